"""unpickle.py: a hostile pickle gets a sentence, and reads or takes no memory but its own."""

import io
import os
import pickle
import resource
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bams.storage import files
from bams.storage.pickles import DataUnpickler, check_nesting

only_linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells of the memory")
F8 = np.dtype("f8")


class Calls:
    """Pickles as a call of `function`, and then as a state, if there is one."""

    def __init__(self, function, arguments, state=None):
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.made


def rebuilt(state, shape=(0,)):
    """An array by `_reconstruct` and any state."""
    return Calls(np.zeros(1).__reduce__()[0], (np.ndarray, shape, b"b"), state)


def forged(flags: int):
    """A dtype whose flags a file sets."""
    return Calls(np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, flags))


def number(declared: int) -> bytes:
    return declared.to_bytes(8, "little")


_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
OBJECT, TEXT = np.dtype("O"), np.dtype("U1")
RECORDS = np.dtype([("a", "f8")])

ATTACKS = {
    "a list shorter than the shape": rebuilt((1, (100_000,), OBJECT, False, [None])),
    "bytes shorter than the shape": rebuilt((1, (10**9,), F8, False, bytes(8))),
    "bytes longer than the shape": rebuilt((1, (1,), F8, False, bytes(16))),
    "bytes as objects": rebuilt((1, (1,), OBJECT, False, bytes(8))),
    "a negative axis": rebuilt((1, (-1, -1), F8, False, bytes(8))),
    "an axis that is no number": rebuilt((1, (1.0,), F8, False, bytes(8))),
    "an axis that is true": rebuilt((1, (True,), F8, False, bytes(8))),
    "an endless axis without entries": rebuilt((1, (2**60, 0), F8, False, b"")),
    "text without length, very often": rebuilt((1, (2**60,), Calls(np.dtype, ("U0",)), False, b"")),
    "records": rebuilt((1, (1,), RECORDS, False, bytes(8))),
    "truth values that are neither": rebuilt((1, (2,), np.dtype("?"), False, b"\1\7")),
    "characters that do not exist": rebuilt((1, (1,), TEXT, False, b"\xff\xff\xff\x7f")),
    "no state": rebuilt(3),
    "huge before it is filled": rebuilt((1, (1,), F8, False, bytes(8)), (10**12,)),
    "an array of forged pointers": Calls(np.ndarray, ((1,), OBJECT, b"\x10" * 8)),
    "a buffer of objects": Calls(_FROM_BUFFER, (b"\x10" * 8, OBJECT, (1,), "C")),
    "objects as a buffer": Calls(_FROM_BUFFER, (np.array([{}], object), F8, (1,), "C")),
    "a number of forged pointers": Calls(np.float64(1).__reduce__()[0], (OBJECT, b"\x10" * 8)),
    "a number from too few bytes": Calls(np.float64(1).__reduce__()[0], (F8, b"\x10")),
    "a dtype with a field": Calls(np.dtype, ("f8",), (3, "<", None, ("a",), {"a": (F8, 0)}, 8, 1, 0)),
    "a dtype of subarrays": Calls(np.dtype, ("f8",), (3, "<", (F8, (9,)), None, None, -1, -1, 0)),
    "a dtype by an object": Calls(np.dtype, ([("a", "f8")],)),
    "a date": np.zeros(2, "M8[s]"),
    "a huge text": Calls(bytes, (10**12,)),
    "a slow codec": Calls(pickle.codecs.encode, ("a" * 10, "punycode")),
}


def read(pickled: bytes):
    return DataUnpickler(io.BytesIO(pickled)).load()


def outcome(pickled: bytes) -> str:
    """What reading a pickle ends in, in a process of its own, which may crash."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = repr(files.unpickle_data(pickled))[:500]
        except ValueError as error:
            found = f"refused: {error}"
        except BaseException as error:
            found = f"wrong: {error!r}"
        os.write(there, found.encode())
        os._exit(0)
    os.close(there)
    with open(here) as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    return found if status == 0 else f"crashed: {status}"


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", list(ATTACKS))
def test_an_attack_is_refused(name, protocol):
    found = outcome(pickle.dumps({"a": ATTACKS[name]}, protocol))
    assert found.startswith("refused: a pickle is not plain data: ")
    assert len(found) < 250 and "\n" not in found


def test_flags_of_a_dtype_are_not_taken_from_a_file():
    """numpy's own reader would take these numbers for pointers, and crash."""
    attack = rebuilt((1, (3,), forged(63), False, b"\x10" * 24))
    assert outcome(pickle.dumps(attack)) == repr(np.frombuffer(b"\x10" * 24))


BOMBS = {
    "BINBYTES8": b"\x80\x04\x8e" + number(2**62),
    "BINBYTES": b"\x80\x04B\xff\xff\xff\xff",
    "BINUNICODE8": b"\x80\x04\x8d" + number(2**40),
    "BINUNICODE": b"\x80\x04X\xff\xff\xff\xff",
    "BINSTRING": b"\x80\x02T\xff\xff\xff\x7f",
    "BYTEARRAY8": b"\x80\x05\x96" + number(2**40) + b".",
    "FRAME": b"\x80\x04\x95" + number(2**62) + b"]",
    "LONG4": b"\x80\x02\x8b\xff\xff\xff\x7f",
    "LONG_BINPUT": b"\x80\x02}r\xff\xff\xff\xff",
    "PUT": b"}p4294967295\n",
}


def read_in_little_memory(read, limit: int) -> int:
    """Exit status of a process that may take so many bytes more: 0 = it was read, 9 = refused, 3 = too little."""
    child = os.fork()
    if child == 0:
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + limit,) * 2)
        try:
            read()
        except MemoryError:
            os._exit(3)
        except Exception:
            os._exit(9)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@only_linux
@pytest.mark.parametrize("name", list(BOMBS))
def test_a_declared_length_takes_no_memory(name):
    assert read_in_little_memory(DataUnpickler(io.BytesIO(BOMBS[name])).load, 2**27) == 9


def nested(levels: int, begin: bytes, end: bytes, inner: bytes = b"N") -> bytes:
    return b"\x80\x02" + begin * levels + inner + end * levels + b"."


_itself = np.array([None, None], object)
_itself[0] = [_itself]
STRUCTURES = {
    "deep lists": nested(20_000, b"]", b"a"),
    "deep tuples": nested(200_000, b"", b"\x85"),
    "a deep tuple as a key": b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns.",
    "a deep tuple in a set": b"\x80\x04\x8f(N" + b"\x85" * 200_000 + b"\x90.",
    "a wide tuple as a key": b"\x80\x02}N" + b"2\x86" * 100 + b"Ns.",
    "copies of copies": b"\x80\x02N" + b"2\x86" * 90 + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a list in a dict in itself": b"\x80\x02}q\x00K\x01]h\x00as.",
    "an array in itself": pickle.dumps(_itself),
}


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_structures_that_hang_or_crash_python_are_refused(name):
    assert outcome(STRUCTURES[name]).startswith("refused: a pickle is not plain data: ")


def test_depth_adds_up_where_parts_are_shared():
    chain = deep = []
    for _ in range(60):
        chain = [chain]
    deep = [chain]
    for _ in range(60):
        deep = [deep]
    with pytest.raises(ValueError, match="within each other"):
        check_nesting([chain, deep])
    check_nesting([chain, chain, {"a": chain}])


def test_shared_parts_are_still_shared():
    names = ["a", "b"]
    found = read(pickle.dumps({"first": names, "second": names, "pair": (names, np.arange(3))}))
    assert found["first"] is found["second"] is found["pair"][0]
    np.testing.assert_array_equal(found["pair"][1], np.arange(3))


def test_what_follows_the_end_of_a_pickle_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", {"a": 1})
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole + b"x")
    with pytest.raises(ValueError, match="something follows the end"):
        files.read_pickled_dict(tmp_path / "a.npy")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        *(np.float32(1.5), np.str_("ab"), np.str_(""), np.bool_(True), np.bytes_(b"x"), np.complex128(1j)),
        *((1, (2, "b")), {("a", 1): 2}, [[[]]], OrderedDict(b=1, a=2)),
        *(2**70, -1, 2.5, "ear \N{SNOWMAN}", b"\xff", True, None),
    ],
    ids=repr,
)
def test_data_of_every_kind_are_read(protocol, value):
    found = read(pickle.dumps(value, protocol))
    assert type(found) is type(value) and found == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["?", "i1", ">i2", "u8", "f2", "<f4", ">f8", "c8", "S3", "<U5", ">U5", "O"])
def test_arrays_of_every_kind_and_order_are_read(protocol, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for one in (array, np.asfortranarray(array), array.transpose(1, 0, 2), array[:, ::2], array[:0]):
        found = read(pickle.dumps(one, protocol))
        np.testing.assert_array_equal(found, one)
        assert found.dtype.newbyteorder("=") == one.dtype.newbyteorder("=") and found.flags.writeable


@only_linux
@pytest.mark.parametrize("write", [np.save, files.write_pickled_dict])
def test_big_arrays_are_not_copied(tmp_path, write):
    write(tmp_path / "a.npy", {"a": np.zeros(2**27, np.uint8)})
    for limit, status in ((1.3, 0), (0.9, 9)):
        read = partial(files.read_pickled_dict, tmp_path / "a.npy")
        assert read_in_little_memory(read, int(limit * 2**27)) == status


@pytest.mark.parametrize("value", [{1, 2}, frozenset({"a"})], ids=repr)
def test_sets_are_read_where_they_have_operations_of_their_own(value):
    assert read(pickle.dumps(value, 4)) == value


def test_pickles_of_python_2_are_read():
    array = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04\x87q\x05"
        b"Rq\x06(K\x01K\x02\x85q\x07cnumpy\ndtype\nq\x08U\x02i8q\tK\x00K\x01\x87q\nRq\x0b(K\x03U\x01<q\x0cNNNJ\xff\xff"
        b"\xff\xffJ\xff\xff\xff\xffK\x00tq\rb\x89U\x10\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"
        b"q\x0etq\x0fb."
    )
    np.testing.assert_array_equal(read(array), [1, 2])
