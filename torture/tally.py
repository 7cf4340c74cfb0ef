"""The counts of each part, and the table of all."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one part."""

    part: str
    faults: int = 0  # kills, full disks, folders that vanish, ...
    survived: int = 0  # faults that ended as promised: a checkpoint that loads, one sentence, the same weights
    tried: int = 0  # bad inputs: files, command lines, arguments
    refused: int = 0  # bad inputs that were refused with one sentence
    harmless: int = 0  # bad inputs that were taken, with a right result
    wrong: list[str] = field(default_factory=list)  # everything else, a line each

    def fault(self, wrong: str) -> None:
        """Count a fault, which was survived if nothing is `wrong`."""
        self.faults += 1
        self.survived += not wrong
        self.wrong += [wrong] if wrong else []


COLUMNS = ("faults", "survived", "tried", "refused", "harmless")
HEADS = ("faults injected", "survived", "bad inputs", "refused with a sentence", "harmless", "wrong")


def table(tallies: Sequence[Tally], seconds: Sequence[float]) -> str:
    """A Markdown table, one row for each part and one for the sums."""
    rows = [
        [t.part, *(getattr(t, name) for name in COLUMNS), len(t.wrong), round(spent)]
        for t, spent in zip(tallies, seconds, strict=True)
    ]
    rows.append(["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    head = ["part", *HEADS, "seconds"]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *rows])
