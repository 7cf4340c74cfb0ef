"""tensors.py: what is written comes back, and changed bytes are noticed."""

import io
import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from bams.storage import tensors

CONTENT = {
    "plain": {"a": [1, 2.5, True], "b": OrderedDict(c=3)},
    "weights": {f"layer{i}": torch.arange(6.0).reshape(2, 3) + i for i in range(3)},
    "shapes": [torch.tensor(3), torch.zeros(2, 0, 3), torch.arange(6.0).reshape(2, 3).T, torch.zeros(3, dtype=bool)],
}


def assert_same(found: dict) -> None:
    torch.testing.assert_close(found, CONTENT, rtol=0, atol=0)


def test_data_and_tensors_come_back_and_torch_reads_them(tmp_path):
    path = tensors.write(tmp_path / "a.pt", CONTENT)
    assert_same(tensors.read(path))
    assert_same(torch.load(path, weights_only=True))


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("flipped", [0xFF, 1])
def test_any_changed_byte_is_noticed_or_makes_no_difference(tmp_path, digest, flipped):
    path = tmp_path / "a.pt"
    if digest:
        tensors.write(path, CONTENT)
    else:
        torch.save(CONTENT, path)
    whole = path.read_bytes()
    noticed = 0
    for at in range(flipped % 3, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
        try:
            found = tensors.read(path)
        except Exception:  # of nearly any kind; `bams.checkpoint` makes it a sentence
            noticed += 1
        else:
            assert_same(found)
    assert noticed > (0.95 if digest else 0.5) * len(whole) / 3


def test_a_truncated_file_is_refused(tmp_path):
    whole = tensors.write(tmp_path / "a.pt", CONTENT).read_bytes()
    for length in [0, 1, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1]:
        (tmp_path / "a.pt").write_bytes(whole[:length])
        with pytest.raises((ValueError, zipfile.BadZipFile)):
            tensors.read(tmp_path / "a.pt")


def test_a_part_that_is_marked_as_a_folder_is_refused(tmp_path):
    """From which torch would read arbitrary numbers."""
    torch.save(CONTENT, tmp_path / "a.pt")
    whole = bytearray((tmp_path / "a.pt").read_bytes())
    whole[whole.rindex(b"PK\1\2") + 38] |= 0x10
    (tmp_path / "a.pt").write_bytes(whole)
    with pytest.raises(ValueError, match=r"its part .* has changed"):
        tensors.read(tmp_path / "a.pt")


class Runs:
    """Pickles as a command of the system."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    torch.save({"a": Runs(f"echo > '{tmp_path}/proof'")}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="something other than numbers, text and tensors"):
        tensors.read(tmp_path / "a.pt")
    assert not (tmp_path / "proof").exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "proof").exists(), "a careless reader would have run it"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors.files, "atomic_write", lambda _: io.FileIO("/dev/full", "w"))
    with pytest.raises(OSError, match="No space left"):
        tensors.write(tmp_path / "a.pt", {"a": torch.zeros(10**6)})
