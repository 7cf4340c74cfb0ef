"""What each part of the torture counts, and the table of all."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one part.

    Attributes:
        part: its name in the table.
        faults: injected: kills, full disks, files that vanish, ...
        survived: of these, how many ended as promised (a checkpoint that loads, one sentence, the same weights).
        tried: bad inputs: files, command lines, arguments.
        refused: of these, how many were refused with the documented error, in one sentence.
        harmless: of these, how many were taken, and what came out was right.
        wrong: what came out otherwise, a line each; the torture fails if there is any.
    """

    part: str
    faults: int = 0
    survived: int = 0
    tried: int = 0
    refused: int = 0
    harmless: int = 0
    wrong: list[str] = field(default_factory=list)


COLUMNS = ("faults", "survived", "tried", "refused", "harmless")
HEADS = ("faults injected", "survived", "bad inputs tried", "refused with a sentence", "harmless", "wrong")


def table(tallies: Sequence[Tally], seconds: Sequence[float]) -> str:
    """A Markdown table, a row for each part and one of their sums."""
    rows = [[t.part, *(getattr(t, name) for name in COLUMNS), len(t.wrong)] for t in tallies]
    rows = [[*row, round(spent)] for row, spent in zip(rows, seconds, strict=True)]
    rows.append(["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    head = ["part", *HEADS, "seconds"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
