"""tensors.py: what torch itself would take a file's word for."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from bams.storage import tensors


def test_data_and_tensors_come_back_as_torch_reads_them(tmp_path):
    shared = torch.arange(12.0)
    given = {
        "plain": {"a": [1, 2.5, "text", None, True], "b": OrderedDict(c=3)},
        "tensors": [torch.zeros(3, dtype=dtype) for dtype in tensors.STORAGES.values()],
        "shapes": [torch.tensor(3), torch.zeros(0), torch.zeros(2, 0, 3), torch.randn(2, 3).T, shared[3:6]],
        "shared": [shared, shared.view(3, 4)],
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    path = tensors.write(tmp_path / "a.pt", given)
    found, expected = tensors.read(path), torch.load(path, weights_only=True)
    assert found["plain"] == expected["plain"] == given["plain"]
    for name in ("tensors", "shapes", "shared"):
        for ours, theirs in zip(found[name], expected[name], strict=True):
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs)
    assert torch.equal(found["parameter"], torch.ones(2))
    assert found["shared"][0].data_ptr() == found["shared"][1].data_ptr()


def test_a_dict_of_weights_is_read(tmp_path):
    weights = torch.nn.Linear(2, 3).state_dict()
    torch.save(weights, tmp_path / "a.pt")
    found = tensors.read(tmp_path / "a.pt")
    assert found.keys() == weights.keys() and all(torch.equal(found[k], weights[k]) for k in weights)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            return open("/dev/full", "wb", buffering=0)

        def __exit__(self, *_):
            return False

    monkeypatch.setattr(tensors.files, "atomic_write", lambda path: Full())
    with pytest.raises(OSError, match="No space left"):
        tensors.write(tmp_path / "a.pt", {"a": torch.zeros(10**6)})


# --- hostile files -----------------------------------------------------------------------------


class Storage:
    """Pickles as torch's storage, of whatever size it says."""

    def __init__(self, count: int, key: str = "0"):
        self.pid = ("storage", torch.FloatStorage, key, "cpu", count)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Storage) else None


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def tensor(count: int, offset: int, size: tuple, stride: tuple):
    return Calls(torch._utils._rebuild_tensor_v2, Storage(count), offset, size, stride, False, OrderedDict())


def pickled(content) -> bytes:
    file = io.BytesIO()
    Pickler(file, 2).dump(content)
    return file.getvalue()


def write_zip(path: Path, data: bytes, names=("a/data.pkl", "a/data/0"), **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name in names:
            archive.writestr(name, data if name.endswith(".pkl") else bytes(16))
    return path


HOSTILE = {
    "more numbers than there are": tensor(10**9, 0, (10**9,), (1,)),
    "one number everywhere": tensor(4, 0, (10**6, 10**6), (0, 0)),
    "beyond the end": tensor(4, 2, (4,), (1,)),
    "far steps": tensor(4, 0, (4,), (10**9,)),
    "before the beginning": tensor(4, -4, (4,), (1,)),
    "a negative axis": tensor(4, 0, (-1, -4), (1, 1)),
    "an endless axis": tensor(4, 0, (2**60, 0), (1, 1)),
    "other storage": Calls(torch._utils._rebuild_tensor_v2, Storage(4, "../0"), 0, (4,), (1,), False, OrderedDict()),
    "no storage": Calls(torch._utils._rebuild_tensor_v2, 3, 0, (4,), (1,), False, OrderedDict()),
    "a call": Calls(os.system, "true"),
    "a call of torch": Calls(torch.zeros, 10**12),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_file_is_refused(tmp_path, name):
    good = tensors.read(write_zip(tmp_path / "a.pt", pickled({"a": tensor(4, 1, (3,), (1,))})))
    assert torch.equal(good["a"], torch.zeros(3))
    with pytest.raises(Exception, match=r"it |no item|out of bounds"):
        tensors.read(write_zip(tmp_path / "a.pt", pickled({"a": HOSTILE[name]})))


@pytest.mark.parametrize(
    "data", [b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns.", b"\x80\x02" + b"]" * 9999 + b"a" * 9998 + b"."]
)
def test_structures_that_crash_python_are_refused(tmp_path, data):
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        tensors.read(write_zip(tmp_path / "a.pt", data))


def test_packed_and_doubled_parts_are_refused(tmp_path):
    data = pickled({"a": tensor(4, 0, (4,), (1,))})
    with pytest.raises(ValueError, match="compressed"):
        tensors.read(write_zip(tmp_path / "a.pt", data, compression=zipfile.ZIP_DEFLATED))
    with pytest.warns(UserWarning, match="Duplicate"):
        write_zip(tmp_path / "a.pt", data, ("a/data.pkl", "a/data/0", "a/data/0"))
    with pytest.raises(ValueError, match="one name"):
        tensors.read(tmp_path / "a.pt")
