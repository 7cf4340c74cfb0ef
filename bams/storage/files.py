"""Every file is written whole or not at all, and read without running code that hides in it.

Functions that read raise FileNotFoundError, or ValueError if the file is damaged or holds something else.
"""

import errno
import hashlib
import importlib
import io
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from bams.storage.arrays import read_npy, read_npz
from bams.storage.pickles import DataUnpickler

LISTED = 5  # names in a message
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def optional(module: str, purpose: str = "reading this file") -> ModuleType:
    """Import a package of the extra `poses`; if it is not installed, ImportError says what needs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{purpose} needs {module}: pip install "bams[poses]"') from error


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears at `path` only once it is whole and on disk; missing folders are made.

    An error inside the block keeps what was at `path`. OSError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    with _temporary_name(path) as temporary:
        with temporary.open("xb+") as file:  # HDF5 reads again what it has written
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder that replaces what is at `path` once the block is done; the errors of `atomic_write`."""
    path = Path(path)
    with _temporary_name(path) as temporary:
        yield make_folder(temporary)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    """A name beside `path`, in a folder that exists; what has this name at the end of the block is removed."""
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        with made_folder(path.parent), ExitStack() as stack:
            stack.callback(remove, temporary)
            yield temporary
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(f"cannot write {path}: {error.strerror}; what was there before is kept") from error


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def made_folder(path: str | Path) -> Iterator[Path]:
    """Make a folder that can be written; new folders that are empty at the end of the block are removed."""
    path = Path(path)
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield check_writable(make_folder(path))
    finally:
        with suppress(OSError):  # a folder that is not empty stays, and so do its parents
            for folder in new:
                folder.rmdir()


def make_folder(path: str | Path) -> Path:
    """Make a folder with its parents, unless it exists; OSError if that fails, or a file is in its place."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def check_writable(folder: str | Path) -> Path:
    """Raise OSError before a long job begins if `folder`, or its nearest parent that exists, cannot be written."""
    folder = Path(folder)
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not nearest.is_dir():
        raise OSError(f"cannot make the folder {folder}: {nearest} is a file; choose another folder")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return folder
    except OSError as error:
        raise OSError(f"cannot write in the folder {folder}: {error.strerror}") from error


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read a `.npy` file (as {'keypoints': array}) or all arrays of an `.npz` file; none may hold Python objects."""
    with existing(path).open("rb") as file:
        zipped = file.read(2) == b"PK"
        file.seek(0)
        try:
            return read_npz(file) if zipped else {"keypoints": read_npy(file)}
        except Exception as error:  # numpy, zipfile and zlib each raise their own kinds
            message = f"{path} cannot be read as plain .npy or .npz arrays ({short(error)})"
            raise ValueError(f"{message}; save it with numpy.save or numpy.savez, without Python objects") from error


def write_arrays(path: str | Path, **arrays: np.ndarray) -> Path:
    """Write named arrays to an uncompressed `.npz`."""
    with atomic_write(path) as file:
        np.savez(file, **arrays)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write text as UTF-8."""
    with atomic_write(path) as file:
        file.write(text.encode())
    return Path(path)


def read_pickled_dict(path: str | Path) -> dict[str, Any]:
    """Read a dict that `numpy.save` pickled into a `.npy` file; no code in it is run (see `bams.storage.pickles`)."""
    path = existing(path)
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if dtype.kind != "O" or shape != ():
                raise ValueError(f"it holds an array of {dtype} with axes {shape}, not a pickled dict")
            content = DataUnpickler(file).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{path} is not a readable file of a dict of arrays: {short(error)}") from error
    content = content.item() if isinstance(content, np.ndarray) and content.ndim == 0 else content
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dict")
    return content


def unpickle_data(pickled: bytes) -> Any:
    """What a pickle of plain data holds; no code in it is run."""
    try:
        return DataUnpickler(io.BytesIO(pickled)).load()
    except Exception as error:
        raise ValueError(f"a pickle is not plain data: {short(error)}") from error


def write_pickled_dict(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a dict as `numpy.save` does (read it with `numpy.load(path, allow_pickle=True).item()`)."""
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(dict(content), dtype=object), file, protocol=5)  # numpy.save would copy each array
    return Path(path)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    path = existing(path)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable JSON file: {short(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__}, not an object with names")
    return content


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON object."""
    return write_text(path, json.dumps(dict(content), indent=1) + "\n")


def content_key(*parts: np.ndarray | str) -> str:
    """A short name that differs wherever the arrays or settings differ."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, str):
            digest.update(b"s" + part.encode() + b"\0")
        else:
            digest.update(f"a{part.dtype.str}{part.shape}".encode())
            digest.update(memoryview(np.ascontiguousarray(part)).cast("B") if part.size else b"")
    return digest.hexdigest()


def file_key(path: str | Path) -> str:
    """A short name that differs wherever the content of files differs."""
    with existing(path).open("rb") as file:
        return content_key(hashlib.file_digest(file, "sha256").hexdigest())


def existing(path: str | Path) -> Path:
    """The path of a file that exists and is not empty; FileNotFoundError or ValueError if it is not one."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    return path


def short(error: Exception, most: int = 200) -> str:
    """The message of an error, on one line of at most this number of characters."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def listed(names: Sequence[str], between: str = ", ") -> str:
    """The first names of a list, and the number of the others."""
    more = len(names) - LISTED
    return between.join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
