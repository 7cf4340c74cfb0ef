"""What belongs to one run alone: locks, checkpoints, folders of curves."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch
from strategies import make_checkpoint, numbers

from bams import KeypointsDataset, checkpoint
from bams.app.config import RunConfig
from bams.app.run_files import OWNER, newest, own_checkpoint, own_curves
from bams.storage.locks import claimed

HOLD = """
import sys, time
from bams.storage.locks import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held(path, seconds=60):
    """Another process claims a path, and is killed at the end."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path, str(seconds)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        yield
        other.kill()


def write_checkpoint(path, seed=0):
    return checkpoint.save(path, make_checkpoint(KeypointsDataset(numbers((1, 9, 2, 2), 0)), seed))


def test_only_one_process_claims_a_file_until_it_ends(tmp_path):
    path = tmp_path / "m.pt"
    with held(path), pytest.raises(BlockingIOError, match=r"another process is writing .*m\.pt"), claimed(path):
        pytest.fail("both hold it")
    with claimed(path):
        assert not path.exists()
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path / "new" / "m.pt"):
        assert (tmp_path / "new").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_waiting_for_another_process(tmp_path):
    begun = time.monotonic()
    with held(tmp_path / "cache", seconds=0.5), claimed(tmp_path / "cache", wait=True):
        assert time.monotonic() - begun > 0.4


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    left = [tmp_path / ".m.pt.abcd1234.part", tmp_path / ".m.pt.x_x_x_x_.part"]
    kept = [tmp_path / name for name in ("m.pt", ".n.pt.abcd1234.part", ".m.pt.x.part", "m.pt.abcd1234.part")]
    left[1].mkdir()
    for path in (left[0], left[1] / "inputs.npy", *kept):
        path.write_bytes(b"content")
    with claimed(tmp_path / "m.pt"):
        assert not any(path.exists() for path in left)
    assert set(tmp_path.iterdir()) == set(kept)


def test_runs_that_begin_in_the_same_second_have_files_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "NOW")
    run = RunConfig(output_dir=str(tmp_path))
    with held(tmp_path / "bams-mouse-triplet-NOW.pt"), own_checkpoint(run, "mouse_triplet") as path:
        assert path == tmp_path / "bams-mouse-triplet-NOW-2.pt"
    write_checkpoint(tmp_path / "bams-mouse-triplet-NOW.pt")
    with own_checkpoint(run, "mouse_triplet") as path:
        assert path == tmp_path / "bams-mouse-triplet-NOW-2.pt"


def test_a_checkpoint_that_exists_is_not_overwritten(tmp_path):
    path = write_checkpoint(tmp_path / "m.pt")
    run = RunConfig(ckpt_path=str(path))
    with pytest.raises(ValueError, match="exists already"), own_checkpoint(run, "custom"):
        pytest.fail("it would be lost")
    with own_checkpoint(RunConfig(resume=str(path)), "custom") as own:
        assert own == path


def test_resume_auto_takes_the_newest_whole_checkpoint(tmp_path, capsys):
    run = RunConfig(output_dir=str(tmp_path), resume="auto")
    assert newest(run, "custom") is None
    paths = [tmp_path / f"bams-custom-{name}.pt" for name in "cab"]
    for age, path in enumerate(paths):
        os.utime(write_checkpoint(path, seed=age), (age, age))
    write_checkpoint(tmp_path / "bams-quadruped-z.pt")
    assert newest(run, "custom")[0] == str(paths[2])
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    os.utime(paths[2], (9, 9))
    found, made = newest(run, "custom")
    assert found == str(paths[1])
    assert torch.equal(*(next(c.model.parameters()) for c in (made, checkpoint.load(paths[1]))))
    assert paths[2].name in capsys.readouterr().err


def test_resume_auto_takes_the_checkpoint_that_is_named_if_it_exists(tmp_path):
    write_checkpoint(tmp_path / "bams-custom-other.pt")
    path = tmp_path / "m.pt"
    run = RunConfig(output_dir=str(tmp_path), ckpt_path=str(path), resume="auto")
    assert newest(run, "custom") is None
    write_checkpoint(path)
    assert newest(run, "custom")[0] == str(path)
    path.write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match=r"m\.pt"):
        newest(run, "custom")


def test_each_run_has_a_folder_of_curves_and_finds_it_again(tmp_path):
    one, other = tmp_path / "a/m.v1.pt", tmp_path / "b/m.v1.pt"

    def drawn(path, resumed):
        with own_curves(tmp_path / "runs", path, resumed) as folder:
            (folder / "events").touch()
        return folder.name

    assert [drawn(one, False), drawn(other, False)] == ["m.v1", "m.v1-2"]
    assert [drawn(one, True), drawn(other, True)] == ["m.v1", "m.v1-2"]
    assert [drawn(one, False), drawn(one, True)] == ["m.v1-3"] * 2
    assert drawn(tmp_path / "c/m.v1.pt", True) == "m.v1-4"
    assert (tmp_path / "runs/m.v1-3" / OWNER).read_text() == str(one.resolve())
    with own_curves(tmp_path / "new", one, False):
        pass  # a folder without curves is removed
    assert not (tmp_path / "new").exists()
