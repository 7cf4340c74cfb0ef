"""files.py: whole files or none, and reading that says in one sentence what is wrong."""

import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from bams.storage import files


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sample() -> dict:
    """As in the files of MABe 2022."""
    rng = np.random.default_rng(0)
    return {
        "sequences": {
            "A1": {"keypoints": rng.integers(0, 850, (4, 3, 2, 2)), "annotations": rng.random((2, 4))},
            "B2": {"keypoints": rng.random((5, 3, 2, 2)).astype(np.float32), "annotations": np.zeros((2, 5))},
        },
        "vocabulary": ["lights", "chases"],
        "boxed": np.array([{"a": np.arange(3)}, None], dtype=object),
        "frames": (3, 4.5),
        "text": np.array(["left", "right ear"]),
        "whole": np.int64(7),
        "none": None,
    }


def assert_same(left: object, right: object) -> None:
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert list(left) == list(right)
        left, right = list(left.values()), list(right.values())
    if isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    elif isinstance(left, np.ndarray) and left.dtype.hasobject:
        assert_same(left.tolist(), right.tolist())
    else:
        np.testing.assert_array_equal(left, right, strict=True)


def test_a_file_appears_whole_and_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "folders" / "a.bin"
    for before, content in ((None, b"old"), (b"old", b"new")):
        with files.atomic_write(path) as file:
            file.write(content)
            file.flush()
            assert (path.read_bytes() if path.exists() else None) == before
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write(tmp_path / "a.bin", b"old")
    for target in (path, tmp_path / "new" / "b.bin"):
        with pytest.raises(error), files.atomic_write(target) as file:
            file.write(b"half of the new")
            raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


def test_a_folder_whose_parent_is_a_file_is_an_error_with_its_path(tmp_path):
    folder = write(tmp_path / "blocker", b"a file") / "below"
    for make in (files.make_folder, files.check_writable, lambda folder: files.write_text(folder / "a.txt", "x")):
        with refused("cannot make the folder", folder, OSError):
            make(folder)
    assert files.check_writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert os.listdir(tmp_path) == ["blocker"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    for use in (files.check_writable, lambda folder: files.write_text(folder / "a.txt", "x")):
        with refused("cannot write in the folder", folder, OSError):
            use(folder)


def test_a_folder_appears_whole_in_place_of_what_was_there_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="no"), files.whole_folder(tmp_path / "a" / "b"):
        raise ValueError("no")
    assert os.listdir(tmp_path) == []
    for name in ("old", "new"):
        with files.whole_folder(tmp_path / "a" / "b") as folder:
            write(folder / name, b"x")
    assert os.listdir(tmp_path / "a") == ["b"] and os.listdir(tmp_path / "a" / "b") == ["new"]


def test_what_is_written_comes_back_and_numpy_reads_the_same(tmp_path):
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.array([np.nan, 1], np.float32), "c": np.array("text")}
    assert_same(files.read_arrays(files.write_arrays(tmp_path / "a.npz", **arrays)), arrays)
    np.save(tmp_path / "a.npy", sample())
    path = files.write_pickled_dict(tmp_path / "b.npy", sample())
    for found in (files.read_pickled_dict(tmp_path / "a.npy"), files.read_pickled_dict(path)):
        assert_same(found, sample())
    assert_same(np.load(path, allow_pickle=True).item(), sample())


def pickled_npy(content: object, protocol: int) -> bytes:
    """A .npy file of one pickled object, by hand."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps(content, protocol)


@pytest.mark.parametrize("boxed", [True, False], ids=["array of one object", "the dict itself"])
@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_and_of_numpy_1_are_read(tmp_path, protocol, boxed):
    content = pickled_npy(np.array(sample(), dtype=object) if boxed else sample(), protocol)
    assert_same(files.read_pickled_dict(write(tmp_path / "a.npy", content)), sample())
    if protocol in (2, 3):  # in which the names of modules have no length before them
        assert b"numpy._core" in content
        old = write(tmp_path / "a.npy", content.replace(b"numpy._core", b"numpy.core"))
        assert_same(files.read_pickled_dict(old), sample())


READERS = pytest.mark.parametrize("read", [files.read_arrays, files.read_pickled_dict, files.read_json])


@READERS
def test_missing_and_other_files_are_refused(tmp_path, read):
    path = tmp_path / "a.npy"
    with refused("there is no file", path, FileNotFoundError):
        read(path)
    with refused("is a folder", tmp_path):
        read(tmp_path)
    for content in (b"", b"frame,x,y\n0,1,2\n" * 20, b"\x93NUMPY\x09\x00" + b" " * 200, b"PK\x03\x04"):
        with refused(None if content else "is empty", path):
            read(write(path, content))


def test_what_is_no_pickled_dict_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((5, 3, 4, 2)))
    for content in (pickled_npy([1, 2], 4), pickled_npy(np.arange(3), 4), path.read_bytes()):
        with refused("not a (pickled )?dict", path):
            files.read_pickled_dict(write(path, content))


@READERS
@pytest.mark.parametrize("name", ["plain.npy", "stored.npz", "compressed.npz", "dict.npy", "own.npy", "a.json"])
def test_truncated_files_are_refused(tmp_path, read, name):
    array = np.random.default_rng(0).random((20, 3))
    np.save(tmp_path / "plain.npy", array)
    np.savez(tmp_path / "stored.npz", keypoints=array, other=array)
    np.savez_compressed(tmp_path / "compressed.npz", keypoints=array, other=array)
    np.save(tmp_path / "dict.npy", sample())
    files.write_pickled_dict(tmp_path / "own.npy", sample())
    files.write_json(tmp_path / "a.json", {"names": ["a", "b"]})
    whole = (tmp_path / name).read_bytes().rstrip()
    for length in np.random.default_rng(1).integers(1, len(whole), 40):
        with refused(None, tmp_path / "cut"):
            read(write(tmp_path / "cut", whole[:length]))


def test_the_same_content_has_the_same_key_and_any_other_another(tmp_path):
    array = np.arange(6, dtype=np.float32)
    key = files.content_key("bins 32", array.reshape(2, 3))
    assert key == files.content_key("bins 32", np.asfortranarray(array.reshape(2, 3))) and key.isalnum()
    changed = array.copy()
    changed[3] = np.nextafter(changed[3], 9)
    others = [
        *((array,), (changed,), (array.reshape(3, 2),), (array[:3], array[3:]), (array[3:], array[:3])),
        *((array.view(np.int32),), (array.astype(np.float64),), (array.astype(">f4"),), (array.astype("<U3"),)),
        *(("bins 32", array), ("bins 16", array), (array, "bins 32"), ("bins", " 32", array)),
        *((), (array[:0],), (array[:0].reshape(0, 3),)),
    ]
    assert len({key, *(files.content_key(*parts) for parts in others)}) == len(others) + 1
    one, same, other = (files.file_key(write(tmp_path / "a", content)) for content in (b"x", b"x", b"y"))
    assert one == same != other
