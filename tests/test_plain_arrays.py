"""arrays.py: .npy and .npz are what they say, or refused."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bams.storage import arrays, files


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def header(descr: str, shape: str, more: str = "") -> bytes:
    """A version 1.0 header, by hand."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}{more}}}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(path: Path, parts: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


ARRAYS = [
    np.arange(24.0).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array(3.5),
    np.zeros((0, 3)),
    np.array([True, False]),
    np.array(["ear", "\N{SNOWMAN}"]),
    np.array(["ear"], ">U3"),
    np.array([b"ear"]),
    np.arange(5, dtype=">i2"),
    np.array([1j]),
    np.arange(300_000),
]


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_every_plain_array_is_read_as_numpy_reads_it(tmp_path, array, version):
    (tmp_path / "a.npy").write_bytes(npy(array, version))
    zipped(tmp_path / "a.npz", {"a.npy": npy(array, version)})
    zipped(tmp_path / "b.npz", {"a.npy": npy(array, version)}, compression=zipfile.ZIP_DEFLATED)
    found = [files.read_arrays(tmp_path / "a.npy")["keypoints"]]
    found += [files.read_arrays(tmp_path / name)["a"] for name in ("a.npz", "b.npz")]
    for one in found:
        np.testing.assert_array_equal(one, array)
        assert one.dtype == array.dtype and one.shape == array.shape and one.flags.writeable
        assert one.flags.f_contiguous == array.flags.f_contiguous


TEN = bytes(80)
DAMAGED = {
    "more than there is": header("<f8", "(10000000000000,)") + TEN,
    "less than there is": header("<f8", "(9,)") + TEN,
    "a byte too many": header("<f8", "(10,)") + TEN + b"x",
    "a byte too few": header("<f8", "(10,)") + TEN[1:],
    "a negative axis": header("<f8", "(-1, -10)") + TEN,
    "an axis that is true": header("<f8", "(True, 10)") + TEN,
    "an endless axis": header("<f8", "(4611686018427387904, 0)"),
    "text without length": header("<U0", "(4611686018427387904,)"),
    "objects": header("|O", "(10,)") + TEN,
    "records": header("|V8", "(10,)") + TEN,
    "dates": header("<M8[s]", "(10,)") + TEN,
    "truth values that are neither": header("|b1", "(2,)") + b"\x01\x07",
    "characters that do not exist": header("<U1", "(1,)") + b"\xff\xff\xff\x7f",
    "characters that do not exist, the other way round": header(">U1", "(1,)") + b"\x7f\xff\xff\xff",
    "a header of 4 GiB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + TEN,
    "a header of nested brackets": header("<f8", "(" * 9000),
    "an escape that Python warns of": header("\\d8", "(10,)") + TEN,
    "another key": header("<f8", "(10,)", ", 'more': 1") + TEN,
    "version 3": b"\x93NUMPY\x03\x00" + TEN,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", list(DAMAGED))
def test_what_is_not_as_it_says_is_refused(tmp_path, name):
    (tmp_path / "a.npy").write_bytes(DAMAGED[name])
    zipped(tmp_path / "a.npz", {"fine.npy": npy(np.arange(3)), "a.npy": DAMAGED[name]})
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        with pytest.raises(ValueError, match="cannot be read as plain") as error:
            files.read_arrays(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 500


def test_parts_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for i in range(2):
            archive.writestr("keypoints.npy", npy(np.arange(i, i + 3)))
    with pytest.raises(ValueError, match="one name"):
        files.read_arrays(tmp_path / "a.npz")


def test_a_part_that_the_book_of_the_zip_passes_over_is_missed(tmp_path):
    """A comment's length that swallows the next part: zipfile itself does not count."""
    whole = bytearray(zipped(tmp_path / "a.npz", {"a.npy": npy(np.arange(3)), "b.npy": npy(np.arange(3))}).read_bytes())
    first, second = whole.index(b"PK\1\2"), whole.rindex(b"PK\1\2")
    whole[first + 32] = second - first
    (tmp_path / "b.npz").write_bytes(whole)
    assert zipfile.ZipFile(tmp_path / "b.npz").namelist() == ["a.npy"]
    with pytest.raises(ValueError, match="counts 2 parts and has 1"):
        files.read_arrays(tmp_path / "b.npz")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2**22, np.uint8))
    assert files.read_arrays(tmp_path / "a.npz")["a"].size == 2**22
    monkeypatch.setattr(arrays, "LEAST_LIMIT", 2**20)
    with pytest.raises(ValueError, match="unpacks to"):
        files.read_arrays(tmp_path / "a.npz")


def test_parts_that_are_no_arrays_are_left_out(tmp_path):
    zipped(tmp_path / "a.npz", {"a.npy": npy(np.arange(3)), "readme.txt": b"hello"})
    assert list(files.read_arrays(tmp_path / "a.npz")) == ["a"]


def test_no_changed_byte_of_an_npz_gives_other_content(tmp_path):
    arrays = {"keypoints": np.arange(4.0), "names": np.array(["a", "b"])}
    whole = files.write_arrays(tmp_path / "a.npz", **arrays).read_bytes()
    path = tmp_path / "b.npz"
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (255 if at % 2 else 1)]) + whole[at + 1 :])
        try:
            found = files.read_arrays(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert list(found) == list(arrays), at
            assert all(np.array_equal(found[name], arrays[name]) for name in arrays), at
    assert refused > len(whole) / 2
