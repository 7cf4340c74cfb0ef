"""Inject faults, try bad inputs, and print one table.

python -m torture            everything; exit status 1 if anything came out wrong
python -m torture --short    a little of the first three parts, in about a minute
python -m torture --parts kills faults
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from torture import children, commands, damage, faults, kills, properties
from torture.tally import Tally, table

# The parts that fork come first: see `torture.children`.
PARTS: dict[str, tuple[Callable[[], Tally], Callable[[], Tally] | None]] = {  # in full, and short
    "kills": (kills.run, partial(kills.run, kills=8)),
    "faults": (faults.run, partial(faults.run, faults.SHORT)),
    "damage": (damage.run, partial(damage.run, cases=20)),
    "commands": (commands.run, None),
    "properties": (properties.run, None),
}


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    children.prepare()
    tallies, seconds = [], []
    for name in args.parts:
        part = PARTS[name][args.short]
        if part is None:
            continue
        begun = time.monotonic()
        tallies.append(part())
        seconds.append(time.monotonic() - begun)
        print(f"{tallies[-1].part}: {seconds[-1]:.0f} s", file=sys.stderr, flush=True)
    print(table(tallies, seconds))
    wrong = [f"{tally.part}: {line}" for tally in tallies for line in tally.wrong]
    print("\n".join(wrong) or "nothing came out wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
