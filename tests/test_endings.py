"""How runs end before their time."""

import errno
import os
import resource
import signal

import numpy as np
import pytest
import torch

from bams.app.script import script
from bams.compute import distributed
from bams.storage import files
from bams.training import tensorboard_log
from bams.training.interrupts import Interrupted, last_words, stop_signals


def ending(error, path="m.pt"):
    """What a run ends with on an error, and how often it has written a checkpoint."""
    saved = []
    with pytest.raises(Exception) as raised, last_words(path, lambda: saved.append(1), 32):
        raise error
    return raised.value, len(saved)


def test_a_file_that_cannot_be_written_ends_a_run_with_a_checkpoint():
    error, saved = ending(OSError("the curves cannot be written"))
    assert str(error) == "the curves cannot be written; m.pt holds everything up to here: go on with --resume m.pt"
    assert saved == 1


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("can't allocate memory")]
)
def test_too_little_memory_names_the_batch_and_leaves_the_checkpoint(error, tmp_path):
    found, saved = ending(error, tmp_path / "m.pt")
    assert isinstance(found, MemoryError)
    assert "batches of 32 windows: try a smaller --batch_size" in str(found)
    assert "no checkpoint was written yet" in str(found)
    assert saved == 0
    (tmp_path / "m.pt").touch()
    assert "m.pt holds the last checkpoint" in str(ending(error, tmp_path / "m.pt")[0])


def test_other_errors_stay_as_they_are():
    error = RuntimeError("shapes do not fit")
    assert ending(error) == (error, 0)


def test_a_script_says_out_of_memory_in_one_sentence(capsys):
    @script
    def main(argv):
        np.ones(2**50)

    with pytest.raises(SystemExit) as leaving:
        main([])
    assert leaving.value.code == 2
    assert capsys.readouterr().err.startswith("error: out of memory: Unable to allocate")
    with pytest.raises(MemoryError):
        main(["--debug"])


def test_a_second_ctrl_c_does_not_wait(capfd):
    with pytest.raises(KeyboardInterrupt), stop_signals(True) as received:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGTERM, signal.SIGINT]
        os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err.count("stopping after this step") == 2
    assert Interrupted(signal.SIGTERM, "m.pt", 3).exit_status == 143


def test_a_script_told_to_stop_removes_what_is_half_written(tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)

    @script
    def main(argv):
        with files.atomic_write(tmp_path / "half"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as leaving:
        main([])
    assert leaving.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_disk_is_named_and_what_was_there_stays(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"before")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*m\.pt: File too large; what was there before is kept"):
            files.write_text(path, "x" * 2000)
        with pytest.raises(OSError, match=r"cannot write 1 MiB in .*: File too large"):
            distributed.common_array(tmp_path / "large.npy", (2**18,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert path.read_bytes() == b"before"


def test_curves_that_cannot_be_written_say_so(tmp_path, monkeypatch, capfd):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = pytest.raises(OSError, match=r"the curves cannot be written in .*runs: No space left on device")
    with said, tensorboard_log.opened(tmp_path / "runs", {}) as writer:
        monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
        for step in range(1000):
            tensorboard_log.log(writer, "train", {"loss": 1.0}, step)
    assert "Traceback" not in capfd.readouterr().err


def test_only_the_first_process_says_that_it_wrote(monkeypatch):
    monkeypatch.setattr(distributed, "is_first", lambda: False)
    error, saved = ending(OSError("a helper has died"))
    assert str(error) == "a helper has died; no checkpoint was written yet" and saved == 0
