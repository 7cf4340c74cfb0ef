"""The short version of torture/fuzz.py, and that it notices what it is there for."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from bams.storage import files

pytest.importorskip("h5py")
pytest.importorskip("h5netcdf")
fuzz = pytest.importorskip("torture.fuzz", reason="the torture lies beside the library, not in it")
only_linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="children are limited as Linux does")


@only_linux
def test_damaged_files_are_refused_or_read_as_they_are():
    tally = fuzz.run(cases=400)
    assert tally.wrong == []
    assert tally.refused + tally.harmless == tally.tried == 400
    assert tally.refused > 100 and tally.harmless > 20


def worst(kind: str, path: Path) -> object:
    """What no reader may do."""
    match kind:
        case "crash":
            os.abort()
        case "hang":
            while True:
                pass
        case "memory":
            return np.ones(2**28).sum()
        case "error":
            raise KeyError("x")
        case "no name":
            raise ValueError("it is damaged")
        case "print":
            os.write(2, b"Traceback (most recent call last)")
        case "wait":
            time.sleep(0)
        case "other content":
            return path.read_bytes()
    return None


@only_linux
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        *(("crash", "SIGABRT"), ("hang", "took too long"), ("memory", "MemoryError"), ("error", "KeyError")),
        *(("no name", "not named"), ("print", "printed"), ("other content", "checksums"), ("wait", "")),
    ],
)
def test_what_is_wrong_is_counted(tmp_path, monkeypatch, kind, said):
    whole = files.write_text(tmp_path / "a.txt", "a file of 1234 numbers " * 20).read_bytes()

    def read(path: Path) -> object:
        return worst(kind, path) if path.read_bytes() != whole else path.read_bytes() * (kind == "other content")

    original = fuzz.Original(tmp_path / "a.txt", read, sealed=kind == "other content")
    monkeypatch.setattr(fuzz, "write_originals", lambda folder: {"text": original})
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    tally = fuzz.run(cases=3)
    assert len(tally.wrong) == (0 if kind == "wait" else 3), tally
    assert all(said in line and line.startswith("case ") for line in tally.wrong)
    assert (tally.harmless, tally.refused) == ((3, 0) if kind == "wait" else (0, 0))


def test_the_same_seed_gives_the_same_damage():
    contents = {name: f"{name} 12 34.5 ".encode() * 50 for name in ("a", "b")}
    found = [[fuzz.damaged(contents, case, seed) for case in range(50)] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert sum(content == contents[kind] for kind, content in found[0]) < 10
