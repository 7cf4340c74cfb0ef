"""arrays.py: .npy and .npz are what they say, or refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from bams.storage import arrays, files


def header(descr: str, shape: str) -> bytes:
    """A version 1.0 header, by hand."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


ARRAYS = [
    *(np.arange(24.0).reshape(2, 3, 4), np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(300_000)),
    *(np.array(3.5), np.zeros((0, 3)), np.array([True, False]), np.arange(5, dtype=">i2"), np.array([1j])),
    *(np.array(["ear", "\N{SNOWMAN}"]), np.array([b"ear"])),
]


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_every_plain_array_is_read_as_numpy_reads_it(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    zipped(tmp_path / "b.npz", {"a.npy": (tmp_path / "a.npy").read_bytes(), "readme.txt": b"left out"})
    found = [files.read_arrays(tmp_path / name) for name in ("a.npy", "a.npz", "b.npz")]
    assert [list(one) for one in found] == [["keypoints"], ["a"], ["a"]]
    for (one,) in map(dict.values, found):
        np.testing.assert_array_equal(one, array)
        assert one.dtype == array.dtype and one.shape == array.shape and one.flags.writeable


TEN = bytes(80)
DAMAGED = {
    "more than there is": header("<f8", "(10000000000000,)") + TEN,
    "less than there is": header("<f8", "(9,)") + TEN,
    "a byte too many": header("<f8", "(10,)") + TEN + b"x",
    "a byte too few": header("<f8", "(10,)") + TEN[1:],
    "objects": header("|O", "(10,)") + TEN,
    "records": header("|V8", "(10,)") + TEN,
    "dates": header("<M8[s]", "(10,)") + TEN,
    "no shape": header("<f8", "(" * 100),
    "no array": b"0, 1, 2\n" * 20,
}


@pytest.mark.parametrize("name", list(DAMAGED))
def test_what_is_not_as_it_says_is_refused(tmp_path, name):
    (tmp_path / "a.npy").write_bytes(DAMAGED[name])
    zipped(tmp_path / "a.npz", {"fine.npy": header("<f8", "(10,)") + TEN, "a.npy": DAMAGED[name]})
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        with pytest.raises(ValueError, match=r"cannot be read as plain .* without Python objects") as error:
            files.read_arrays(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2**22, np.uint8))
    assert files.read_arrays(tmp_path / "a.npz")["a"].size == 2**22
    monkeypatch.setattr(arrays, "LEAST_LIMIT", 2**20)
    with pytest.raises(ValueError, match="unpacks to"):
        files.read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("flipped", [0xFF, 1, 0x10])
def test_no_changed_byte_of_an_npz_gives_other_content(tmp_path, flipped):
    arrays = {"keypoints": np.arange(4.0), "names": np.array(["a", "b"])}
    whole = files.write_arrays(tmp_path / "a.npz", **arrays).read_bytes()
    path = tmp_path / "b.npz"
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
        try:
            found = files.read_arrays(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert list(found) == list(arrays), at
            assert all(np.array_equal(found[name], arrays[name]) for name in arrays), at
    assert refused > len(whole) / 2
