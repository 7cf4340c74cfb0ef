"""A run of two thousand short epochs stays as small as it began."""

import subprocess
import sys

from torture.tally import Tally


def run(epochs: int = 2_000) -> Tally:
    """The benchmark of long runs, in a process of its own; an epoch is a fault that is to leave nothing behind."""
    tally = Tally("epochs of a long run", faults=epochs)
    command = [sys.executable, "-m", "benchmarks.soak", "--epochs", str(epochs)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    *said, verdict = ended.stdout.strip().splitlines() or [ended.stderr[-500:]]
    print("\n".join(said))
    if verdict == "flat":
        tally.survived = epochs
    else:
        tally.wrong.append(verdict)
    return tally
