"""A run of two thousand short epochs needs no more memory at its end than at its beginning."""

import subprocess
import sys

from torture.tally import Tally


def run(epochs: int = 2_000) -> Tally:
    """The benchmark of long runs, in a process of its own: one fault, survived if memory stays flat."""
    tally = Tally(f"a run of {epochs} epochs")
    command = [sys.executable, "-m", "benchmarks.soak", "--epochs", str(epochs)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    *said, verdict = ended.stdout.strip().splitlines() or [ended.stderr[-500:]]
    print("\n".join(said))
    tally.fault("" if verdict == "flat" else verdict)
    return tally
