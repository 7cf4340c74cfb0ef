"""Properties of the public functions, each tried on ten times as many examples as the test suite tries."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from torture.tally import Tally

ROOT = Path(__file__).parents[1]


def run(profile: str = "torture") -> Tally:
    """Run `tests/test_properties_*.py` in a process of its own, and count its calls of public functions."""
    tests = sorted(map(str, (ROOT / "tests").glob("test_properties_*.py")))
    with TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        about = {"BAMS_PROPERTIES": profile, "BAMS_PROPERTIES_COUNTS": str(counts), "PYTHONPATH": path}
        command = [sys.executable, "-m", "pytest", "-n", "0", *tests]  # one process, which counts
        env = {**os.environ, **about, "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        found = json.loads(counts.read_text()) if counts.exists() else {"tried": 0, "refused": 0, "wrong": []}
    tried, refused, wrong = found["tried"], found["refused"], found["wrong"]
    if done.returncode and not wrong:
        wrong = [f"pytest ended with status {done.returncode}: {(done.stdout + done.stderr)[-300:]}"]
    harmless = max(tried - refused - len(wrong), 0)  # the last call of a property that failed was wrong
    return Tally("arguments of public functions", tried=tried, refused=refused, harmless=harmless, wrong=wrong)
