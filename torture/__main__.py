"""Inject faults, try bad inputs, and print one table.

python -m torture            all of it, under 25 minutes on 2 cores; exit status 1 if anything came out wrong
python -m torture --short    a little of each part, under 2 minutes
python -m torture --parts kills faults
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from torture import children, commands, damage, faults, fuzz, kills, long_runs, properties
from torture.tally import Tally, table

PARTS: dict[str, tuple[Callable[[], Tally], Callable[[], Tally] | None]] = {  # whole, and short
    "kills": (kills.run, partial(kills.run, kills=8)),
    "faults": (faults.run, partial(faults.run, faults.SOME)),
    "damage": (damage.run, partial(damage.run, cases=400)),
    "fuzz": (fuzz.run, partial(fuzz.run, cases=400)),
    "commands": (commands.run, None),
    "properties": (properties.run, None),
    "long_runs": (long_runs.run, None),
}


def main() -> None:
    """Run the parts one after the other, those that fork first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    children.on_one_thread()
    tallies, seconds = [], []
    for name in args.parts:
        whole, short = PARTS[name]
        chosen = short if args.short else whole
        if chosen is None:
            continue  # what is short of it, the test suite has
        begun = time.monotonic()
        tallies.append(chosen())
        seconds.append(time.monotonic() - begun)
        print(f"{tallies[-1].part}: {seconds[-1]:.0f} s", file=sys.stderr, flush=True)
    print(table(tallies, seconds))
    wrong = [f"{tally.part}: {line}" for tally in tallies for line in tally.wrong]
    print("\n".join(wrong) or "nothing came out wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
