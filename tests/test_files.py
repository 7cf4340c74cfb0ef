"""files.py: whole files or none, and reading that runs nothing."""

import io
import os
import pickle
import pickletools
import stat
import subprocess
import sys
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bams.storage import files

# --- helpers -----------------------------------------------------------------------------------


def pickled_npy(pickled: bytes) -> bytes:
    """A .npy file of one pickled object, by hand: magic, version 1.0, header padded to 64 bytes, pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickled


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def with_old_module_names(pickled: bytes) -> bytes:
    """The same pickle with numpy.core for numpy._core, as numpy 1 wrote it (and without frames)."""
    operations = [*pickletools.genops(pickled), (None, None, len(pickled))]
    out, renamed = b"", 0
    for (operation, argument, at), (_, _, end) in pairwise(operations):
        chunk = pickled[at:end]
        if operation.name == "FRAME":
            continue
        if isinstance(argument, str) and argument.startswith("numpy._core"):
            renamed += 1
            if operation.name == "SHORT_BINUNICODE":
                old = argument.replace("numpy._core", "numpy.core").encode()
                chunk = b"\x8c" + bytes([len(old)]) + old
            else:
                chunk = chunk.replace(b"numpy._core", b"numpy.core")
        out += chunk
    assert renamed
    assert b"numpy._core" not in out
    return out


def sample() -> dict:
    rng = np.random.default_rng(0)
    return {
        "sequences": {
            "A1": {"keypoints": rng.integers(0, 850, (4, 3, 2, 2)), "annotations": rng.random((2, 4))},
            "B2": {"keypoints": rng.random((5, 3, 2, 2)).astype(np.float32), "annotations": np.zeros((2, 5))},
        },
        "vocabulary": ["lights", "chases"],
        "pair": (3, 4.5),
        "flags": np.array([True, False]),
        "big_endian": np.arange(3, dtype=">f8"),
        "fortran": np.asfortranarray(rng.random((3, 4))),
        "text": np.array(["left", "right ear"]),
        "whole": np.int64(7),
        "real": np.float32(1.5),
        "yes": np.bool_(True),
        "none": None,
    }


def assert_same(left: object, right: object) -> None:
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    elif isinstance(left, np.ndarray):
        # numpy itself turns big-endian numbers into native ones when it unpickles
        assert left.dtype.newbyteorder("=") == right.dtype.newbyteorder("=")
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


def assert_one_sentence(error: pytest.ExceptionInfo, path: Path) -> None:
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert "Traceback" not in message


# --- writing -----------------------------------------------------------------------------------


def test_a_written_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "folders" / "a.bin"
    with files.atomic_write(path) as file:
        file.write(b"first half")
        file.flush()
        assert not path.exists()
        file.write(b", second half")
    assert path.read_bytes() == b"first half, second half"
    assert os.listdir(path.parent) == ["a.bin"]


def test_a_file_is_replaced_only_at_the_end(tmp_path):
    path = write(tmp_path / "a.bin", b"old")
    with files.atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write(tmp_path / "a.bin", b"old")
    with pytest.raises(error), files.atomic_write(path) as file:
        file.write(b"half of the new")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_error_while_writing_a_new_file_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), files.atomic_write(tmp_path / "a.bin") as file:
        file.write(b"half")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        with files.atomic_write(tmp_path / "a.bin") as file:
            file.write(b"x")
        (tmp_path / "plain").write_bytes(b"x")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.bin", "plain")]
    assert modes[0] == modes[1] == 0o666 & ~umask


def test_a_folder_whose_parent_is_a_file_is_an_error_with_its_path(tmp_path):
    blocker = write(tmp_path / "blocker", b"a file")
    folder = blocker / "below"
    for make in (files.make_folder, files.check_writable):
        with pytest.raises(OSError, match="cannot make the folder") as error:
            make(folder)
        assert_one_sentence(error, folder)
    with pytest.raises(OSError, match="cannot make the folder") as error, files.atomic_write(folder / "a.bin"):
        raise AssertionError("the block must not be entered")
    assert_one_sentence(error, folder)


def test_a_folder_is_never_replaced_by_a_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError), files.atomic_write(tmp_path / "a") as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OSError, match="cannot write in the folder") as error:
        files.check_writable(folder)
    assert_one_sentence(error, folder)
    with pytest.raises(OSError, match="cannot write in the folder"), files.atomic_write(folder / "a"):
        raise AssertionError("the block must not be entered")


def test_check_writable_leaves_nothing(tmp_path):
    assert files.check_writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert files.check_writable(tmp_path) == tmp_path
    assert os.listdir(tmp_path) == []


def test_a_folder_that_did_not_come_to_be_leaves_no_folders_above_it(tmp_path):
    with pytest.raises(ValueError, match="no"), files.whole_folder(tmp_path / "a" / "b" / "c"):
        raise ValueError("no")
    assert os.listdir(tmp_path) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="no"), files.whole_folder(tmp_path / "a" / "b"):
        raise ValueError("no")
    assert os.listdir(tmp_path) == ["a"]


# --- plain arrays ------------------------------------------------------------------------------


def test_plain_arrays_come_back_as_they_were_written(tmp_path):
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.array([np.nan, 1], np.float32), "c": np.array("text")}
    assert_same(files.read_arrays(files.write_arrays(tmp_path / "a.npz", **arrays)), arrays)
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_single_array_is_called_keypoints(tmp_path):
    array = np.random.default_rng(0).random((2, 3, 4))
    np.save(tmp_path / "a.npy", array)
    assert_same(files.read_arrays(tmp_path / "a.npy"), {"keypoints": array})


def test_compressed_arrays_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", keypoints=np.arange(5))
    assert_same(files.read_arrays(tmp_path / "a.npz"), {"keypoints": np.arange(5)})


def test_arrays_are_written_without_pickles(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        files.write_arrays(tmp_path / "a.npz", a=np.array([{}], dtype=object))
        np.load(tmp_path / "a.npz", allow_pickle=False)["a"]


@pytest.mark.parametrize("read", [files.read_arrays, files.read_pickled_dict])
class TestUnreadable:
    def test_missing(self, tmp_path, read):
        with pytest.raises(FileNotFoundError, match="there is no file") as error:
            read(tmp_path / "a.npy")
        assert_one_sentence(error, tmp_path / "a.npy")

    def test_folder(self, tmp_path, read):
        with pytest.raises(ValueError, match="is a folder") as error:
            read(tmp_path)
        assert_one_sentence(error, tmp_path)

    def test_empty(self, tmp_path, read):
        path = write(tmp_path / "a.npy", b"")
        with pytest.raises(ValueError, match="is empty") as error:
            read(path)
        assert_one_sentence(error, path)

    @pytest.mark.parametrize(
        "content",
        [b"frame,x,y\n0,1,2\n" * 20, b"x", b"\x93NUMPY", b"\x93NUMPY\x09\x00" + b" " * 200, b"PK\x03\x04"],
    )
    def test_something_else(self, tmp_path, read, content):
        path = write(tmp_path / "a.npy", content)
        with pytest.raises(ValueError) as error:
            read(path)
        assert_one_sentence(error, path)

    @pytest.mark.parametrize("name", ["plain.npy", "stored.npz", "compressed.npz", "dict.npy"])
    def test_truncated(self, tmp_path, read, name):
        array = np.random.default_rng(0).random((20, 3))
        np.save(tmp_path / "plain.npy", array)
        np.savez(tmp_path / "stored.npz", keypoints=array, other=array)
        np.savez_compressed(tmp_path / "compressed.npz", keypoints=array, other=array)
        np.save(tmp_path / "dict.npy", {"keypoints": array})
        whole = (tmp_path / name).read_bytes()
        for length in np.random.default_rng(1).integers(1, len(whole), 40):
            path = write(tmp_path / "cut", whole[:length])
            with pytest.raises(ValueError) as error:
                read(path)
            assert_one_sentence(error, path)


def test_plain_arrays_refuse_pickled_objects(tmp_path):
    np.save(tmp_path / "a.npy", {"a": 1})
    np.savez(tmp_path / "b.npz", fine=np.arange(3), hidden=np.array([{}, None], dtype=object))
    for path in (tmp_path / "a.npy", tmp_path / "b.npz"):
        with pytest.raises(ValueError, match="without Python objects") as error:
            files.read_arrays(path)
        assert_one_sentence(error, path)


def test_a_changed_byte_in_an_npz_gives_no_wrong_numbers(tmp_path):
    whole = files.write_arrays(tmp_path / "a.npz", keypoints=np.arange(100.0)).read_bytes()
    start = whole.index(np.arange(100.0).tobytes())
    for at in range(start, start + 800, 97):
        path = write(tmp_path / "b.npz", whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
        with pytest.raises(ValueError) as error:
            files.read_arrays(path)
        assert_one_sentence(error, path)


# --- pickled dicts -----------------------------------------------------------------------------


def test_what_numpy_saves_is_read(tmp_path):
    np.save(tmp_path / "a.npy", sample())
    assert_same(files.read_pickled_dict(tmp_path / "a.npy"), sample())


def test_what_is_written_numpy_loads(tmp_path):
    path = files.write_pickled_dict(tmp_path / "a.npy", sample())
    assert_same(np.load(path, allow_pickle=True).item(), sample())
    assert_same(files.read_pickled_dict(path), sample())
    assert os.listdir(tmp_path) == ["a.npy"]


def test_an_ordered_dict_is_read(tmp_path):
    np.save(tmp_path / "a.npy", OrderedDict(b=1, a=2))
    assert files.read_pickled_dict(tmp_path / "a.npy") == OrderedDict(b=1, a=2)


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
@pytest.mark.parametrize("boxed", [True, False], ids=["array of one object", "the dict itself"])
@pytest.mark.parametrize("old", [False, True], ids=["numpy 2", "numpy 1"])
@pytest.mark.parametrize("protocol", range(6))
def test_every_pickle_protocol_is_read(tmp_path, protocol, old, boxed):
    content = np.array(sample(), dtype=object) if boxed else sample()
    pickled = pickle.dumps(content, protocol=protocol)
    path = write(tmp_path / "a.npy", pickled_npy(with_old_module_names(pickled) if old else pickled))
    assert_same(files.read_pickled_dict(path), sample())


@pytest.mark.parametrize("protocol", range(6))
def test_empty_arrays_and_bytes_are_data_in_every_protocol(tmp_path, protocol):
    content = {"empty": np.zeros((2, 0), np.float32), "bytes": b"", "some": b"a\xff"}
    path = write(tmp_path / "a.npy", pickled_npy(pickle.dumps(content, protocol)))
    assert_same(files.read_pickled_dict(path), content)


def test_the_python_pickler_is_read_too(tmp_path):
    stream = io.BytesIO()
    pickle._Pickler(stream, 2).dump(np.array(sample(), dtype=object))
    path = write(tmp_path / "a.npy", pickled_npy(stream.getvalue()))
    assert_same(files.read_pickled_dict(path), sample())


@pytest.mark.parametrize("content", [[1, 2], "text", 3, None, np.arange(3)], ids=str)
def test_a_pickle_of_something_else_than_a_dict_is_refused(tmp_path, content):
    path = write(tmp_path / "a.npy", pickled_npy(pickle.dumps(content)))
    with pytest.raises(ValueError, match="not a dict") as error:
        files.read_pickled_dict(path)
    assert_one_sentence(error, path)


def test_a_plain_array_is_no_pickled_dict(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    np.save(tmp_path / "b.npy", np.array([{}, {}], dtype=object))
    for path in (tmp_path / "a.npy", tmp_path / "b.npy"):
        with pytest.raises(ValueError, match="not a pickled dict") as error:
            files.read_pickled_dict(path)
        assert_one_sentence(error, path)


# --- pickles that would run something ----------------------------------------------------------


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class SetsState:
    """Pickles as an instance of this very class, whose __setstate__ would run."""

    def __setstate__(self, state):
        Path(state["path"]).touch()

    def __getstate__(self):
        return {"path": str(self.path)}


def attacks(proof: Path) -> dict[str, object]:
    """What a file may hold; reading it carelessly makes the file `proof`."""
    touch = f"open({str(proof)!r}, 'w').close()"
    state = SetsState()
    state.path = proof
    return {
        "os.system": Calls(os.system, f"echo > '{proof}'"),
        "os.open": Calls(os.open, str(proof), os.O_CREAT),
        "eval": Calls(eval, touch),
        "exec": Calls(exec, touch),
        "open": Calls(open, str(proof), "w"),
        "subprocess": Calls(subprocess.call, [sys.executable, "-c", touch]),
        "pathlib": Calls(Path.touch, proof),
        "numpy function": Calls(np.save, str(proof), 1),
        "method of ndarray": Calls(np.ndarray.tofile, np.arange(3), str(proof)),
        "own class": state,
    }


NAMES = list(attacks(Path("proof")))


def load_carelessly(path: Path) -> None:
    np.load(path, allow_pickle=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_attacks_of_these_tests_would_work_on_a_careless_reader(tmp_path, name):
    np.save(tmp_path / "a.npy", {"a": attacks(tmp_path / "proof")[name]})
    load_carelessly(tmp_path / "a.npy")
    assert list(tmp_path.glob("proof*"))


def hidden_places(attack: object) -> dict[str, object]:
    return {
        "value": {"sequences": attack},
        "key": {"sequences": {(1, attack): 2}},
        "array of objects": {"sequences": {"A": {"keypoints": np.array([1, attack], dtype=object)}}},
        "structured array": {"sequences": np.array([(1, attack)], dtype=[("a", int), ("b", object)])},
        "instead of the dict": attack,
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_file_that_would_run_something_is_refused_and_does_not_run(tmp_path, name, protocol):
    proof = tmp_path / "proof"
    for content in hidden_places(attacks(proof)[name]).values():
        path = write(tmp_path / "a.npy", pickled_npy(pickle.dumps(np.array(content, dtype=object), protocol)))
        with pytest.raises(ValueError) as error:
            files.read_pickled_dict(path)
        assert_one_sentence(error, path)
        assert not list(tmp_path.glob("proof*"))


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n(S'echo > PROOF'\ntR.",
        b"cposix\nsystem\n(S'echo > PROOF'\ntR.",
        b'c__builtin__\neval\n(S\'open("PROOF", "w")\'\ntR.',
        b'(S\'open("PROOF", "w")\'\ni__builtin__\neval\n.',  # INST
        b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'echo > PROOF'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93.",  # a dotted name (protocol 4)
        b"\x80\x04\x8c\x0cnumpy.dtypes\x8c\x13sys.modules.osDType\x93.",
        b"\x80\x02\x82\x01.",  # a name of the extension registry
        b"Pname\n.",  # a persistent id
    ],
)
def test_hand_written_pickles_are_refused_and_do_not_run(tmp_path, pickled):
    proof = tmp_path / "proof"
    path = write(tmp_path / "a.npy", pickled_npy(pickled.replace(b"PROOF", str(proof).encode())))
    with pytest.raises(ValueError) as error:
        files.read_pickled_dict(path)
    assert_one_sentence(error, path)
    assert not proof.exists()


def read_in_another_process(path: Path) -> int:
    """Read a file and touch all of it, where a crash of the interpreter would do no harm; its exit status."""
    child = os.fork()
    if child == 0:
        try:
            repr(files.read_pickled_dict(path))
        except ValueError:
            os._exit(9)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_array_of_forged_pointers_is_refused(tmp_path):
    attack = Calls(np.ndarray, (1,), np.dtype(object), b"\x10" * 8)
    path = write(tmp_path / "a.npy", pickled_npy(pickle.dumps({"a": attack})))
    assert read_in_another_process(path) == 9


def test_numbers_declared_as_objects_by_a_damaged_byte_are_refused(tmp_path):
    pickled = pickle.dumps({"a": np.full(3, 1e-300)}, protocol=3)
    assert pickled.count(b"f8") == 1
    path = write(tmp_path / "a.npy", pickled_npy(pickled.replace(b"f8", b"O8")))
    assert read_in_another_process(path) == 9


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 10**6), protocol=st.integers(0, 5))
def test_a_truncated_pickle_is_always_a_value_error(tmp_path, cut, protocol):
    whole = pickled_npy(pickle.dumps(np.array(sample(), dtype=object), protocol))
    path = write(tmp_path / "a.npy", whole[: 1 + cut % (len(whole) - 1)])
    with pytest.raises(ValueError) as error:
        files.read_pickled_dict(path)
    assert_one_sentence(error, path)


# --- content keys ------------------------------------------------------------------------------


def test_the_same_content_has_the_same_key():
    array = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    key = files.content_key("settings", array)
    assert key == files.content_key("settings", array.copy())
    assert key == files.content_key("settings", np.asfortranarray(array))
    assert key == files.content_key("settings", np.repeat(array, 2, axis=0)[::2])
    assert key.isalnum()


def test_another_content_shape_type_setting_or_order_has_another_key():
    array = np.arange(6, dtype=np.float32)
    changed = array.copy()
    changed[3] = np.nextafter(changed[3], 9)
    parts = {
        "plain": (array,),
        "one bit": (changed,),
        "shape": (array.reshape(2, 3),),
        "other shape": (array.reshape(3, 2),),
        "type of the same bytes": (array.view(np.int32),),
        "type of the same numbers": (array.astype(np.float64),),
        "byte order": (array.astype(">f4"),),
        "split": (array[:3], array[3:]),
        "split elsewhere": (array[:2], array[2:]),
        "order": (array[3:], array[:3]),
        "with a setting": ("bins 32", array),
        "with another setting": ("bins 16", array),
        "setting behind": (array, "bins 32"),
        "two settings": ("bins", " 32", array),
        "nothing": (),
        "empty": (array[:0],),
        "other empty": (array[:0].reshape(0, 3),),
        "no axes": (np.float32(3)[()] * np.ones(()),),
    }
    keys = {name: files.content_key(*values) for name, values in parts.items()}
    assert len(set(keys.values())) == len(keys), keys


@pytest.mark.parametrize("dtype", ["?", "u1", "<f2", "<i8", ">i4", ">f8", "<U3", "<c8"])
def test_arrays_of_any_plain_type_have_a_key(dtype):
    array = np.array([0, 1, 1, 0]).astype(dtype)
    other = np.array([0, 1, 1, 1]).astype(dtype)
    assert files.content_key(array) == files.content_key(array.copy()) != files.content_key(other)
