"""Arguments of the public functions: whatever is given, a right result or the documented error."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from torture.tally import Tally

ROOT = Path(__file__).parents[1]


def run(profile: str = "torture") -> Tally:
    """Try the properties of `tests/test_properties_*.py` in a process of their own, and count.

    Args:
        profile: of `tests/conftest.py`: how many examples each property is tried on.
    """
    tests = sorted(map(str, (ROOT / "tests").glob("test_properties_*.py")))
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        about = {"BAMS_PROPERTIES": profile, "BAMS_PROPERTIES_COUNTS": str(counts), "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "0", *tests],  # in one process, which counts
            cwd=ROOT,
            env={**os.environ, **about, "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found = json.loads(counts.read_text()) if counts.exists() else {"tried": 0, "refused": 0, "wrong": []}
    wrong = found["wrong"]
    if done.returncode and not wrong:
        said = (done.stdout.strip() or "nothing").splitlines()[-1]
        wrong = [f"the properties ended with status {done.returncode}: {said}"]
    # of what was tried in a property that failed, the last call was wrong, or what came of it
    harmless = found["tried"] - found["refused"] - len(found["wrong"])
    return Tally(
        "arguments of public functions",
        tried=found["tried"],
        refused=found["refused"],
        harmless=max(harmless, 0),
        wrong=wrong,
    )


if __name__ == "__main__":
    print(run(*sys.argv[1:]))
