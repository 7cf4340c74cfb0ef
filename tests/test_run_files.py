"""What belongs to one run alone: locks, checkpoints, folders of curves."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from bams import checkpoint
from bams.app.config import RunConfig
from bams.app.run_files import OWNER, newest, own_checkpoint, own_curves, unused
from bams.models.bams import BAMS
from bams.statistics import Statistics
from bams.storage.locks import claimed

HOLD = """
import sys, time
from bams.storage.locks import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(path):
    """Another process that has claimed a path."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    return other


def write_checkpoint(path, seed=0, dataset="custom"):
    torch.manual_seed(seed)
    model = BAMS(3, predictor={"hidden_layers": (-1, 4, 8)}, short_term={"num_channels": (4,), "kernel_size": 3})
    statistics = Statistics(np.zeros(3, "f4"), np.ones(3, "f4"), np.zeros((2, 3), "f4"), np.ones((2, 4), int))
    return checkpoint.save(path, checkpoint.Checkpoint(model, dataset, statistics, np.ones(2, "f4")))


def test_who_claims_a_file_is_the_only_one_until_it_ends(tmp_path):
    path = tmp_path / "m.pt"
    other = hold(path)
    with pytest.raises(BlockingIOError, match=r"another process is writing .*m\.pt"), claimed(path):
        pytest.fail("both hold it")
    other.kill()
    other.wait()
    with claimed(path):
        assert not path.exists()
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path / "new" / "m.pt"):
        assert (tmp_path / "new").exists()
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path / "new" / "m.pt"):
        assert (tmp_path / "new").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_waiting_for_another_process(tmp_path):
    other, begun = hold(tmp_path / "cache"), time.monotonic()
    stopper = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.5); os.kill({other.pid}, 9)"])
    with claimed(tmp_path / "cache", wait=True):
        assert time.monotonic() - begun > 0.4
    assert stopper.wait() == 0
    assert other.wait() == -9


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    left = [tmp_path / ".m.pt.abcd1234.part", tmp_path / ".m.pt.x_x_x_x_.part"]
    kept = [tmp_path / name for name in ("m.pt", ".n.pt.abcd1234.part", ".m.pt.x.part", "m.pt.abcd1234.part")]
    left[0].write_bytes(b"half")
    left[1].mkdir()
    (left[1] / "inputs.npy").write_bytes(b"half")
    for path in kept:
        path.write_bytes(b"whole")
    with claimed(tmp_path / "m.pt"):
        assert not any(path.exists() for path in left)
    assert set(tmp_path.iterdir()) == set(kept)


def test_runs_that_begin_in_the_same_second_have_files_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "NOW")
    run = RunConfig(output_dir=str(tmp_path))
    other = hold(tmp_path / "bams-mouse-triplet-NOW.pt")
    with own_checkpoint(run, "mouse_triplet") as path:
        assert path == tmp_path / "bams-mouse-triplet-NOW-2.pt"
    other.kill()
    other.wait()
    write_checkpoint(tmp_path / "bams-mouse-triplet-NOW.pt")
    with own_checkpoint(run, "mouse_triplet") as path:
        assert path == tmp_path / "bams-mouse-triplet-NOW-2.pt"


def test_a_checkpoint_that_is_there_is_not_written_over(tmp_path):
    path = write_checkpoint(tmp_path / "m.pt")
    with (
        pytest.raises(ValueError, match="exists already"),
        own_checkpoint(RunConfig(ckpt_path=str(path)), "custom"),
    ):
        pytest.fail("it would be lost")
    with own_checkpoint(RunConfig(resume=str(path)), "custom") as own:
        assert own == path


def test_the_newest_whole_checkpoint_is_gone_on_with(tmp_path, capsys):
    run = RunConfig(output_dir=str(tmp_path), resume="auto")
    assert newest(run, "custom") is None
    paths = [tmp_path / f"bams-custom-{name}.pt" for name in "cab"]
    for age, path in enumerate(paths):
        write_checkpoint(path, seed=age)
        os.utime(path, (age, age))
    write_checkpoint(tmp_path / "bams-quadruped-z.pt")
    assert newest(run, "custom")[0] == str(paths[2])
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    os.utime(paths[2], (9, 9))
    found, made = newest(run, "custom")
    assert found == str(paths[1])
    assert torch.equal(*(next(c.model.parameters()) for c in (made, checkpoint.load(paths[1]))))
    assert "left out" in capsys.readouterr().err


def test_the_checkpoint_that_is_named_is_gone_on_with_if_it_is_there(tmp_path):
    write_checkpoint(tmp_path / "bams-custom-other.pt")
    path = tmp_path / "m.pt"
    run = RunConfig(output_dir=str(tmp_path), ckpt_path=str(path), resume="auto")
    assert newest(run, "custom") is None
    write_checkpoint(path)
    assert newest(run, "custom")[0] == str(path)
    path.write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match=r"m\.pt is not a checkpoint, or is damaged"):
        newest(run, "custom")


def test_each_run_has_a_folder_of_curves_and_finds_it_again(tmp_path):
    one, other = tmp_path / "a/m.v1.pt", tmp_path / "b/m.v1.pt"

    def drawn(path, resumed):
        with own_curves(tmp_path / "runs", path, resumed) as folder:
            (folder / "events").touch()
        return folder.name

    assert [drawn(one, False), drawn(other, False)] == ["m.v1", "m.v1-2"]
    assert [drawn(one, True), drawn(other, True)] == ["m.v1", "m.v1-2"]
    assert drawn(one, False) == "m.v1-3"
    assert drawn(one, True) == "m.v1-3"
    assert drawn(tmp_path / "c/m.v1.pt", True) == "m.v1-4"
    assert (tmp_path / "runs/m.v1-3" / OWNER).read_text() == str(one.resolve())


def test_a_folder_in_which_nothing_was_drawn_goes_again(tmp_path):
    with own_curves(tmp_path / "new/runs", tmp_path / "m.pt", False) as folder:
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_taken_get_numbers(tmp_path):
    assert unused(tmp_path / "report.png").name == "report.png"
    for name in ("report.png", "report-2.png"):
        (tmp_path / name).touch()
    assert unused(tmp_path / "report.png").name == "report-3.png"
