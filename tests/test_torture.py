"""A little of what `make torture` does; command lines, fuzzed files and properties are tests of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from torture.tally import Tally, table


@pytest.mark.slow
def test_what_goes_wrong_loses_nothing_and_lets_nothing_in():
    ended = subprocess.run(
        [sys.executable, "-m", "torture", "--short", "--parts", "kills", "faults", "damage"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing came out wrong" in ended.stdout
    assert "| kills of a training (SIGKILL) | 8 | 8 |" in ended.stdout


def test_the_table_adds_up():
    first = Tally("one", faults=3, survived=2, wrong=["what"])
    other = Tally("other", tried=5, refused=4, harmless=1)
    lines = table([first, other], [1.2, 2.7]).splitlines()
    assert lines[0].split("|")[1].strip() == "part"
    assert lines[2:] == [
        "| one | 3 | 2 | 0 | 0 | 0 | 1 | 1 |",
        "| other | 0 | 0 | 5 | 4 | 1 | 0 | 3 |",
        "| all | 3 | 2 | 5 | 4 | 1 | 1 | 4 |",
    ]
