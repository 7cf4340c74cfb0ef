"""Pickles of data: numbers, text, containers and numpy arrays, as in the files of MABe 2022. Reading one runs no code.

A pickle names the functions that build its objects. Only those on the allow-list below are called, and each is a
function of this module or harmless: numpy's own can be told to take numbers for pointers.
"""

import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np


class DataUnpickler(pickle._Unpickler):
    """Reads one pickle, by the Python version of the standard unpickler; errors are of nearly any kind."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Callable | None:
        """The function on the allow-list that stands for the one that the pickle names."""
        module = re.sub(r"^numpy(\._?core\.(multiarray|numeric))?$", "numpy", module)
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module[:40]}.{name[:40]}, which is not data")
        return ALLOWED[module, name]

    def load_build(self) -> None:
        """Set the byte order of a dtype, or the content of an array."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, np.dtype):
            version, _, *rest = made.__reduce__()[2]
            made.__setstate__((version, state[1], *rest))
        elif isinstance(made, np.ndarray):
            _fill(made, *state[1:])
        else:
            raise pickle.UnpicklingError(f"it sets the state of a {type(made).__name__}")

    dispatch[pickle.BUILD[0]] = load_build
    # bytes are read without a copy, and numpy shares the memory of long ones
    dispatch[pickle.BYTEARRAY8[0]] = pickle._Unpickler.load_binbytes8


def _dtype(kind: str, *_: Any) -> np.dtype:
    """For numpy's `dtype`: a copy, whose byte order `load_build` sets."""
    if not re.fullmatch(r"[<>|=]?[biufcSUO]\d*", kind):
        raise pickle.UnpicklingError(f"it has the dtype {kind[:40]}, which is neither numbers nor text")
    return np.dtype(kind, False, True)


def _array(memory: bytes, dtype: np.dtype, shape: tuple, order: str, axes: Any = None) -> np.ndarray:
    """For numpy's `_frombuffer`."""
    array = _fill(np.empty(0), shape, dtype, order == "F", memory)
    return array if axes is None else array.transpose(axes)


def _fill(array: np.ndarray, shape: tuple, dtype: np.dtype, fortran: bool, content: bytes | list) -> np.ndarray:
    """Give an array its content; numpy does not compare the length of a list with the shape."""
    listed = type(content) is list and min(shape, default=0) >= 0 and len(content) == math.prod(shape)
    if dtype.hasobject and not listed:
        raise pickle.UnpicklingError(f"it has an array of objects that does not fill the axes {shape}")
    array.__setstate__((1, shape, dtype, fortran, content))
    return array


def _scalar(dtype: np.dtype, content: bytes = b"") -> np.generic:
    """For numpy's `scalar`; `frombuffer` refuses objects."""
    return np.frombuffer(content, dtype)[0] if content else dtype.type()


ALLOWED: dict[tuple[str, str], Callable | None] = {
    ("numpy", "ndarray"): None,  # only ever an argument of `_reconstruct`
    ("numpy", "_reconstruct"): lambda *_: np.empty(0),  # `load_build` fills it
    ("numpy", "dtype"): _dtype,
    ("numpy", "_frombuffer"): _array,
    ("numpy", "scalar"): _scalar,
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # older pickles write bytes so
    ("builtins", "bytes"): bytes,
    ("__builtin__", "bytes"): bytes,
    ("collections", "OrderedDict"): OrderedDict,
}
