"""pickles.py: pickles of data are read in every protocol, and what would run code is refused and does not run."""

import os
import pickle
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from bams.storage import files


@pytest.mark.parametrize("protocol", range(6))
def test_data_of_every_kind_are_read(protocol):
    for value in (
        *(np.float32(1.5), np.str_("ab"), np.str_(""), np.bool_(True), np.bytes_(b"x"), np.complex128(1j)),
        *((1, (2, "b")), {("a", 1): 2}, [[[]]], OrderedDict(b=1, a=2)),
        *(2**70, -1, 2.5, "ear \N{SNOWMAN}", b"\xff", b"", True, None),
        *(({1, 2}, frozenset({"a"})) if protocol >= 4 else ()),
    ):
        found = files.unpickle_data(pickle.dumps(value, protocol))
        assert type(found) is type(value) and found == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["?", "i1", ">i2", "u8", "f2", "<f4", ">f8", "c8", "S3", "<U5", ">U5", "O"])
def test_arrays_of_every_kind_and_order_are_read(protocol, dtype):
    for count in (24, 2400):  # numpy copies the memory of short ones only
        array = np.arange(count).reshape(2, 3, -1).astype(dtype)
        for one in (array, np.asfortranarray(array), array.transpose(1, 0, 2), array[:, ::2], array[:0]):
            found = files.unpickle_data(pickle.dumps(one, protocol))
            assert type(found) is np.ndarray and found.flags.writeable
            np.testing.assert_array_equal(found, one)
            assert found.dtype.newbyteorder("=") == one.dtype.newbyteorder("=")


def test_shared_parts_are_still_shared():
    names = ["a", "b"]
    found = files.unpickle_data(pickle.dumps({"first": names, "second": names, "pair": (names, np.arange(3))}))
    assert found["first"] is found["second"] is found["pair"][0]


@pytest.mark.parametrize("write", [np.save, files.write_pickled_dict])
def test_big_arrays_are_not_copied(tmp_path, write):
    write(tmp_path / "a.npy", {"a": np.zeros(2**25, np.uint8)})
    tracemalloc.start()
    found = files.read_pickled_dict(tmp_path / "a.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["a"].nbytes < peak < 1.1 * found["a"].nbytes


class Calls:
    """Pickles as a call of `function`, and then as a state, if there is one."""

    def __init__(self, function, *arguments, state=None):
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.made


class SetsState:
    """Pickles as an instance of this very class, whose __setstate__ would run."""

    def __init__(self, path: Path):
        self.path = path

    def __setstate__(self, state):
        state["path"].touch()


def attacks(proof: Path) -> dict[str, object]:
    """What a file may hold; reading it carelessly makes the file `proof`."""
    touch = f"open({str(proof)!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, f"echo > '{proof}'"),
        "eval": Calls(eval, touch),
        "open": Calls(open, str(proof), "w"),
        "subprocess": Calls(subprocess.call, [sys.executable, "-c", touch]),
        "numpy function": Calls(np.save, str(proof), 1),
        "method of ndarray": Calls(np.ndarray.tofile, np.arange(3), str(proof)),
        "own class": SetsState(proof),
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", list(attacks(Path("proof"))))
def test_what_would_run_something_is_refused_and_does_not_run(tmp_path, name, protocol):
    attack = attacks(tmp_path / "proof")[name]
    for content in (
        {"sequences": attack},
        {"sequences": {(1, attack): 2}},
        {"sequences": {"A": {"keypoints": np.array([1, attack], dtype=object)}}},
        {"sequences": np.array([(1, attack)], dtype=[("a", int), ("b", object)])},
        attack,
    ):
        pickled = pickle.dumps(content, protocol)
        with pytest.raises(ValueError, match=r"it asks for|neither numbers nor text") as error:
            files.unpickle_data(pickled)
        assert "\n" not in str(error.value) and not list(tmp_path.glob("proof*"))
    pickle.loads(pickled)
    assert list(tmp_path.glob("proof*")), "a careless reader would have run it"


@pytest.mark.parametrize(
    "pickled",
    [
        b"cposix\nsystem\n(S'echo > PROOF'\ntR.",
        b'(S\'open("PROOF", "w")\'\ni__builtin__\neval\n.',  # INST
        b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'echo > PROOF'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93.",  # a dotted name (protocol 4)
    ],
)
def test_hand_written_pickles_are_refused_and_do_not_run(tmp_path, pickled):
    with pytest.raises(ValueError, match="a pickle is not plain data"):
        files.unpickle_data(pickled.replace(b"PROOF", str(tmp_path / "proof").encode()))
    assert not (tmp_path / "proof").exists()


OBJECT, RECONSTRUCT = np.dtype("O"), np.zeros(1).__reduce__()[0]
POINTERS = b"\x10" * 8


@pytest.mark.parametrize(
    "attack",
    [
        Calls(np.ndarray, (1,), OBJECT, POINTERS),
        Calls(np.zeros(1).__reduce_ex__(5)[0], POINTERS, OBJECT, (1,), "C"),
        Calls(np.float64(1).__reduce__()[0], OBJECT, POINTERS),
        Calls(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), OBJECT, False, POINTERS)),
        Calls(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (100_000,), OBJECT, False, [None])),
    ],
    ids=["ndarray", "_frombuffer", "scalar", "_reconstruct", "a list shorter than the shape"],
)
def test_numbers_are_never_taken_for_pointers(attack):
    """By which a file could run code after all."""
    with pytest.raises(ValueError, match="a pickle is not plain data"):
        files.unpickle_data(pickle.dumps(attack))


def test_the_flags_of_a_dtype_are_not_taken_from_a_file():
    forged = Calls(np.dtype, "f8", False, True, state=(3, "<", None, None, None, -1, -1, 63))
    state = (1, (3,), forged, False, b"\x10" * 24)
    found = files.unpickle_data(pickle.dumps(Calls(RECONSTRUCT, np.ndarray, (0,), b"b", state=state)))
    assert not found.dtype.hasobject
    np.testing.assert_array_equal(found, np.frombuffer(b"\x10" * 24))
