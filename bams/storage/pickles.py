"""Unpickling data: numbers, text, containers and plain arrays; nothing in a file decides what is called.

Python's own unpickler, the one that is written in Python, without the operations that data do not need, and with
functions of our own where a pickle names those of numpy. The one that is written in C takes memory for whatever
length or number a file declares, and numpy takes numbers for pointers where a file says so.
"""

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO, ClassVar

import numpy as np

from bams.storage.arrays import check_kind, check_shape, check_values, short_shape

SURE = 2**16  # bytes that are asked for without a look at how many there are
DEEPEST = 100  # containers within each other
MOST_PARTS = 10**8  # of all containers, where those that stand in several places count in each
OPERATIONS = (
    "MARK STOP POP POP_MARK DUP PROTO NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT EMPTY_SET "
    "GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL"
)
OWN = "FRAME BYTEARRAY8 REDUCE BUILD DICT SETITEM SETITEMS ADDITEMS FROZENSET"
KEYS = (str, bytes, int, float, complex, type(None), np.generic)


class DataUnpickler(pickle._Unpickler):
    """Reads one pickle of data from a file, up to the end of the pickle."""

    dispatch: ClassVar = {
        getattr(pickle, name): pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in OPERATIONS.split()
    }

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.file, self.readline = file, file.readline
        begin = file.tell()
        self.size = file.seek(0, os.SEEK_END)
        file.seek(begin)

    def load(self) -> Any:
        """What the pickle holds.

        Raises:
            Exception: nearly any; it is damaged, or asks for something else than data.
        """
        self.stack, self.metastack = [], []
        self.append = self.stack.append
        next_byte, operations = partial(self.file.read, 1), self.dispatch
        try:
            while True:
                code = next_byte()
                if code not in operations:
                    raise pickle.UnpicklingError(f"it is cut off, or has an operation, {code!r}, that no data need")
                operations[code](self)
        except pickle._Stop as stop:
            check_nesting(stop.value)
            return stop.value

    def read(self, size: int) -> bytes:
        """So many bytes; an error if there are not."""
        if size > SURE:
            self._check_left(size)
        found = self.file.read(size)
        if len(found) < size:
            raise EOFError("it is cut off")
        return found

    def _check_left(self, size: int) -> None:
        """Before memory is taken for them."""
        left = self.size - self.file.tell()
        if size > left:
            raise EOFError(f"it asks for {size} bytes where {left} are left")

    def find_class(self, module: str, name: str) -> Callable | None:
        """Our own function in place of the one that is named."""
        module = "numpy" if re.fullmatch(r"numpy(\._?core\.(multiarray|numeric))?", module) else module
        module = {"__builtin__": "builtins"}.get(module, module)
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module[:40]}.{name[:40]}, which is not data")
        return _STAND_INS[module, name]

    def load_frame(self) -> None:
        """How much to read ahead: not needed."""
        self.read(8)

    def load_bytearray8(self) -> None:
        """The memory of an array, straight from the file."""
        size = int.from_bytes(self.read(8), "little")
        self._check_left(size)
        memory = np.empty(size, np.uint8)
        if self.file.readinto(memoryview(memory)) < size:
            raise EOFError("it is cut off")
        self.append(memory)

    def load_reduce(self) -> None:
        """A call; nothing but our own functions can be called."""
        arguments = self.stack.pop()
        if type(arguments) is not tuple or not callable(self.stack[-1]):
            raise pickle.UnpicklingError("it has a call of what is no function")
        self.stack[-1] = self.stack[-1](*arguments)

    def load_build(self) -> None:
        """The content of an array, or the byte order of a dtype."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, np.dtype):
            _set_byte_order(made, state)
        elif type(made) is np.ndarray and made.shape == (0,) and made.base is None:
            _fill(made, state)
        else:
            raise pickle.UnpicklingError(f"it sets the state of a {type(made).__name__}")

    def load_dict(self) -> None:
        """A dict of what stands since the mark."""
        items = self.pop_mark()
        self.append(dict(_with_keys(zip(items[::2], items[1::2], strict=True))))

    def load_setitem(self) -> None:
        """One more entry of a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        self._dict().update(_with_keys([(key, value)]))

    def load_setitems(self) -> None:
        """More entries of a dict."""
        items = self.pop_mark()
        self._dict().update(_with_keys(zip(items[::2], items[1::2], strict=True)))

    def load_additems(self) -> None:
        """More entries of a set."""
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise pickle.UnpicklingError("it adds to what is no set")
        self.stack[-1].update(map(_key, items))

    def load_frozenset(self) -> None:
        """A set of what stands since the mark."""
        items = self.pop_mark()
        self.append(frozenset(map(_key, items)))

    def _dict(self) -> dict:
        if not isinstance(self.stack[-1], dict):
            raise pickle.UnpicklingError("it sets entries of what is no dict")
        return self.stack[-1]


DataUnpickler.dispatch |= {
    getattr(pickle, name): getattr(DataUnpickler, f"load_{name.lower()}") for name in OWN.split()
}


def check_nesting(content: Any) -> None:
    """Refuse containers that hold themselves, lie too deep, or would be huge if each place had its own copy.

    Raises:
        ValueError: they do.
    """
    root = [content]
    done: dict[int, tuple[int, int]] = {}  # by a container's id how deep it is, and its parts
    path, within = [(root, iter(_containers(root)))], {id(root)}
    while path:
        container, left = path[-1]
        inner = next((one for one in left if id(one) not in done), None)
        if inner is not None:
            if id(inner) in within or len(path) > DEEPEST:
                raise ValueError(f"it holds itself, or more than {DEEPEST} containers within each other")
            within.add(id(inner))
            path.append((inner, iter(_containers(inner))))
            continue
        path.pop()
        within.discard(id(container))
        found = [done[id(one)] for one in _containers(container)]
        depth = 1 + max((depth for depth, _ in found), default=0)
        parts = len(_values(container)) + sum(parts for _, parts in found)
        if depth > DEEPEST or parts > MOST_PARTS:
            raise ValueError(f"it holds more than {DEEPEST} containers within each other, or {MOST_PARTS} parts")
        done[id(container)] = depth, parts


def _values(container: Any) -> Collection[Any]:
    if isinstance(container, dict):
        return container.values()
    return container.ravel().tolist() if isinstance(container, np.ndarray) else container


def _containers(container: Any) -> list[Any]:
    """What it holds that may hold something else."""
    values = [value for value in _values(container) if isinstance(value, _CONTAINERS)]
    return [value for value in values if not isinstance(value, np.ndarray) or value.dtype.hasobject]


def _key(key: Any) -> Any:
    """A key of a dict or an item of a set; tuples in tuples can take Python forever, or all of its stack."""
    if isinstance(key, KEYS) or (type(key) is tuple and all(isinstance(part, KEYS) for part in key)):
        return key
    raise pickle.UnpicklingError(f"it has a key that is a {type(key).__name__}, or holds other things than names")


def _with_keys(items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    return ((_key(key), value) for key, value in items)


def _empty_array(_: object, shape: Any, dtype: Any) -> np.ndarray:
    """numpy's `_reconstruct`; what it makes is filled afterwards."""
    if shape != (0,):
        raise pickle.UnpicklingError(f"it makes an array of {short_shape(shape)} before it says what is in it")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _plain_dtype(kind: Any, align: bool = False, copy: bool = False) -> np.dtype:
    """numpy's `dtype` for numbers, text and objects; a copy, so that its byte order is its own."""
    if not isinstance(kind, str) or not re.fullmatch(r"[<>|=]?[biufcSUO]\d{0,9}", kind):
        raise pickle.UnpicklingError(f"it has the dtype {ascii(kind)[:40]}, which is neither numbers nor text")
    return np.dtype(kind, False, True)


def _set_byte_order(dtype: np.dtype, state: Any) -> None:
    """numpy's `dtype.__setstate__`, which would also take it from a file that numbers are pointers."""
    if type(state) is not tuple or len(state) != 8 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
        raise pickle.UnpicklingError("it has a dtype with parts, which is neither numbers nor text")
    if not dtype.hasobject:
        own = dtype.__reduce__()[2]
        dtype.__setstate__((*own[:1], state[1], *own[2:]))


def _fill(array: np.ndarray, state: Any) -> None:
    """numpy's `ndarray.__setstate__`, which does not compare a list with the shape; long bytes are not copied."""
    if type(state) is not tuple or len(state) != 5 or type(state[1]) is not tuple:
        raise pickle.UnpicklingError("it has an array without a shape")
    _, shape, dtype, fortran, content = state
    if not isinstance(dtype, np.dtype):
        raise pickle.UnpicklingError("it has an array without a dtype")
    if dtype.hasobject:
        if type(content) is not list:
            raise pickle.UnpicklingError("it has an array of objects that are not listed")
        check_shape(shape, np.dtype("i1"), len(content))
    else:
        content = _as_bytes(content)
        check_shape(shape, dtype, len(content))
    array.__setstate__((1, shape, dtype, bool(fortran), content))
    check_values(array)


def _array_on(memory: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    """numpy's `_frombuffer`, of memory that no file can alter."""
    known = type(memory) is bytes or (type(memory) is np.ndarray and memory.dtype == np.uint8 and memory.ndim == 1)
    if not known or not isinstance(dtype, np.dtype) or type(shape) is not tuple:
        raise pickle.UnpicklingError("it has an array without memory, dtype or shape")
    check_kind(dtype)
    check_shape(shape, dtype, len(memory))
    flat = check_values(np.frombuffer(memory, dtype) if len(memory) else np.empty(0, dtype))
    if order == "K" and axes is not None:
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order=order)


def _scalar(dtype: Any, content: Any = b"") -> np.generic:
    """numpy's `scalar`."""
    if not isinstance(dtype, np.dtype):
        raise pickle.UnpicklingError("it has a number without a dtype")
    check_kind(dtype)
    content = _as_bytes(content)
    check_shape((), dtype, len(content))
    return check_values(np.frombuffer(content, dtype))[0] if content else dtype.type()


def _as_bytes(content: Any) -> bytes:
    """Bytes, which Python 2 wrote as text."""
    return content if type(content) is bytes else _encode(content, "latin1")


def _encode(text: Any, encoding: Any) -> bytes:
    """`_codecs.encode` as older pickles write bytes."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("it has bytes that are written in an unusual way")
    return text.encode("latin1")


_CONTAINERS = (dict, list, tuple, set, frozenset, np.ndarray)
# All that a pickled dict of arrays needs; `ndarray` only ever stands as an argument.
_STAND_INS: dict[tuple[str, str], Callable | None] = {
    ("numpy", "ndarray"): None,
    ("numpy", "_reconstruct"): _empty_array,
    ("numpy", "dtype"): _plain_dtype,
    ("numpy", "_frombuffer"): _array_on,
    ("numpy", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): lambda: b"",
    ("collections", "OrderedDict"): lambda pairs=(): OrderedDict(_with_keys(pairs)),
}
