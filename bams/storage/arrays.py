"""Arrays of numbers and text in `.npy` and `.npz` files; no pickled object in them is read.

Errors call the file "it"; `bams.storage.files` puts the path before them.
"""

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

LEAST_LIMIT = 2**30  # bytes of an array that any file may give
SPARSEST = 100  # bytes of an array for each byte of its file
PLAIN = "biufcSU"  # kinds of dtypes: bool, integers, real and complex numbers, bytes and text


def check_size(shape: Sequence[int], path: Path | None, itemsize: int = 4) -> None:
    """Raise ValueError for an array that no such file can fill, before memory is taken for it."""
    size = math.prod(map(int, shape)) * itemsize  # Python's integers do not overflow
    held = path.stat().st_size if path else math.inf
    if size > max(LEAST_LIMIT, SPARSEST * held):
        axes = " x ".join(map(str, shape))
        raise ValueError(f"it asks for {axes} numbers, {size / 2**30:.0f} GiB, in a file of {held} bytes")


def read_npy(file: IO[bytes]) -> np.ndarray:
    """The array of a `.npy` file that ends with it."""
    array = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):  # at the end of a part of a zip file, this compares the checksum too
        raise ValueError("something follows the end of its array")
    if array.dtype.kind not in PLAIN:
        raise ValueError(f"it holds {array.dtype}, which is neither numbers nor text")
    return array


def read_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file, by name; damaged files raise ValueError, zipfile.BadZipFile or zlib.error."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        # zipfile itself does not compare the number of parts with the one at the file's end
        size = file.seek(-12 - len(archive.comment), os.SEEK_END) + 12
        if int.from_bytes(file.read(2), "little") != len(parts):
            raise ValueError("its list of parts is damaged")
        unpacked = sum(part.file_size for part in parts)
        if unpacked > max(LEAST_LIMIT, SPARSEST * size):
            raise ValueError(f"it unpacks to {unpacked / 2**30:.0f} GiB, from {size} bytes")
        arrays = {}
        for part in parts:
            with archive.open(part) as stream:  # compares the name with the one before the part
                if part.filename.endswith(".npy"):
                    arrays[part.filename.removesuffix(".npy")] = read_npy(stream)
        return arrays
