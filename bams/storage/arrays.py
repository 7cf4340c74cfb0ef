"""Arrays in `.npy` and `.npz` files: no memory is taken for what a file does not hold, and none of it is code.

Errors tell of the file as "it"; `bams.files` puts the path before them.
"""

import io
import math
import re
import struct
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np

LEAST_LIMIT = 2**30  # bytes of an array that any file may give
SPARSEST = 100  # bytes of an array for each byte of its file


def check_size(shape: Sequence[int], path: Path | None, itemsize: int = 4) -> None:
    """Refuse an array that no such file can fill, before memory is taken for it.

    Raises:
        ValueError: it takes over 1 GiB, and over 100 times the bytes of the file.
    """
    size = math.prod(map(int, shape)) * itemsize  # Python's numbers do not overflow
    if path is not None and size > max(LEAST_LIMIT, SPARSEST * path.stat().st_size):
        axes = " x ".join(map(str, shape))
        raise ValueError(
            f"it asks for {axes} numbers, {size / 2**30:.0f} GiB, in a file of {path.stat().st_size} bytes"
        )


HEAD = 2**14  # bytes that hold any header that numpy reads
BLOCK = 2**20  # bytes that are unpacked at once
EMPTIEST = 2**31  # entries of the other axes of an array that has none; loops over them must end
PLAIN = "biufcSU"  # bool, whole numbers, real and complex ones, bytes and text
LAST_CHARACTER = 0x10FFFF


class Header(NamedTuple):
    """What a `.npy` says of its array, and where the array begins."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    begin: int


def read_npy(file: BinaryIO, size: int) -> np.ndarray:
    """The array of a `.npy` file of so many bytes.

    Raises:
        ValueError: it is damaged, or of another kind.
    """
    header = read_header(file.read(HEAD))
    _check_length(header, size)
    file.seek(header.begin)
    return _shaped(np.fromfile(file, header.dtype, math.prod(header.shape)), header)


def read_npz(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file of so many bytes.

    Raises:
        ValueError, zipfile.BadZipFile, zlib.error: it is damaged, or holds other kinds.
    """
    with zipfile.ZipFile(file) as archive:
        members = check_members(archive, file, size)
        unpacked = sum(member.file_size for member in members)
        if unpacked > max(LEAST_LIMIT, SPARSEST * size):
            raise ValueError(f"it unpacks to {unpacked / 2**30:.0f} GiB, from {size} bytes")
        found = {}
        for member in members:
            with archive.open(member) as stream:  # checks that the name is the one that stands before the part
                if member.filename.endswith(".npy"):
                    found[member.filename.removesuffix(".npy")] = _read_member(stream, member)
        return found


def check_members(archive: zipfile.ZipFile, file: BinaryIO, size: int) -> list[zipfile.ZipInfo]:
    """The members of a zip file, if all that it counts are there, once.

    Raises:
        ValueError: a name stands twice, or the number of members is not the one in the file's end.
    """
    members = archive.infolist()
    if len({member.filename for member in members}) < len(members):
        raise ValueError("two of its parts have one name")
    file.seek(max(size - 2**16, 0))
    tail = file.read()
    end = tail[tail.rfind(b"PK\5\6") :][:22]
    counted = struct.unpack("<H", end[10:12])[0] if len(end) == 22 else None
    if counted not in (len(members), 0xFFFF):  # that many are counted elsewhere
        raise ValueError(f"it counts {counted} parts and has {len(members)}")
    return members


def read_header(head: bytes) -> Header:
    """The header of a `.npy`, from the first `HEAD` bytes of the file.

    Raises:
        ValueError: it is none.
    """
    stream = io.BytesIO(head)
    if not head.startswith(b"\x93NUMPY"):
        raise ValueError("it is no .npy file")
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is of version {version[0]}.{version[1]}, which is not of plain arrays")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():  # of damaged headers, by Python's own reader of literals
        warnings.simplefilter("ignore")
        shape, fortran, dtype = read(stream)
    return Header(shape, fortran, dtype, stream.tell())


def check_kind(dtype: np.dtype) -> None:
    """Raise ValueError unless the dtype is of plain numbers or text."""
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if dtype.kind not in PLAIN:
        raise ValueError(f"it holds {dtype}, which is neither numbers nor text")


def check_shape(shape: Sequence[int], dtype: np.dtype, size: int) -> None:
    """Raise ValueError unless an array of this shape takes so many bytes."""
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"it has an array of axes {short_shape(shape)}")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != size or (0 in (*shape, dtype.itemsize) and math.prod(max(n, 1) for n in shape) > EMPTIEST):
        raise ValueError(f"an array of axes {short_shape(shape)} of {dtype} takes {wanted} bytes, not {size}")


def short_shape(shape: Sequence[int]) -> str:
    """Axes in words, however many and long they are."""
    return re.sub(r"\d{20,}", "(very many)", ascii(tuple(shape)[:8]))


def check_values(array: np.ndarray) -> np.ndarray:
    """The array, if its bytes are what numpy and Python take for truth values and text.

    Raises:
        ValueError: some are not, which would give absurd sums and crashes later.
    """
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError("it has truth values that are neither true nor false")
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        flat = array.ravel(order="K")
        codes = flat.view(np.uint32).byteswap() if not array.dtype.isnative else flat.view(np.uint32)
        if codes.max() > LAST_CHARACTER:
            raise ValueError("it has text with characters that do not exist")
    return array


def _check_length(header: Header, size: int) -> None:
    check_kind(header.dtype)
    check_shape(header.shape, header.dtype, size - header.begin)


def _shaped(flat: np.ndarray, header: Header) -> np.ndarray:
    check_values(flat)
    return flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)


def _read_member(stream: IO[bytes], member: zipfile.ZipInfo) -> np.ndarray:
    """One array, read to its end, where its checksum is checked."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its part {member.filename} is compressed in a way that numpy does not use")
    head = stream.read(HEAD)
    header = read_header(head)
    _check_length(header, member.file_size)
    flat = np.empty(math.prod(header.shape), header.dtype)
    bytes_of = memoryview(flat.view(np.uint8) if flat.nbytes else bytearray())
    at = len(head) - header.begin
    bytes_of[:at] = head[header.begin :]
    while block := stream.read(BLOCK):
        bytes_of[at : at + len(block)] = block
        at += len(block)
    if at < len(bytes_of):
        raise ValueError(f"its part {member.filename} is cut off")
    return _shaped(flat, header)
