"""Writing files whole or not at all, and reading them without running code that hides in them."""

import errno
import hashlib
import importlib
import io
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from bams.storage.arrays import HEAD, read_header, read_npy, read_npz, short_shape
from bams.storage.pickles import DataUnpickler


def optional(module: str, purpose: str = "reading this file") -> ModuleType:
    """Import a package of the extra `poses`, which the purpose needs.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{purpose} needs {module}: pip install "bams[poses]"') from error


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
BLOCK = 2**24  # bytes of a file that are read at once for its key


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears under `path` only once it is whole and on disk.

    Until then it lives under a temporary name in the same folder; an error inside the block removes it
    and leaves what was at `path` untouched. Missing parent folders are made.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path = Path(path)
    with _room(path), made_folder(path.parent):
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        except OSError as error:
            raise OSError(f"cannot write in the folder {path.parent}: {error.strerror}") from error
        try:
            with os.fdopen(handle, "w+b") as file:  # HDF5 reads again what it has written
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes private files; give the result the permissions of an ordinary new file
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """Say what could not be written, and that nothing is lost, where a disk is full or read-only."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(f"cannot write {path}: {error.strerror}; what was there before is kept") from error


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder that appears under `path` only once the block is done, in place of what was there.

    Raises:
        OSError: it cannot be made.
    """
    path = Path(path)
    temporary = partial(tempfile.TemporaryDirectory, prefix=f".{path.name}.", suffix=".part")
    with _room(path), made_folder(path.parent) as parent, temporary(dir=parent) as made:
        inner = Path(made) / path.name
        inner.mkdir()
        yield inner
        shutil.rmtree(path, ignore_errors=True)
        os.replace(inner, path)


@contextmanager
def made_folder(path: str | Path) -> Iterator[Path]:
    """A folder, made with its parents; those that are new go again if they are empty at the end of the block.

    Raises:
        OSError: it cannot be made, or a file is in its place.
    """
    path = Path(path)
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield make_folder(path)
    finally:
        with suppress(OSError):  # of one that something has been put in
            for folder in new:
                folder.rmdir()


def make_folder(path: str | Path) -> Path:
    """Make a folder with its parents, if it is not there, and return it.

    Raises:
        OSError: it cannot be made, or a file is in its place.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def check_writable(folder: str | Path) -> Path:
    """Try a small file in `folder`, or where that would be made, so that a long job does not end in a write error.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder = Path(folder)
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise OSError(f"cannot make the folder {folder}: {there} is a file; choose another folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            return folder
    except OSError as error:
        raise OSError(f"cannot write in the folder {folder}: {error.strerror}") from error


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read a `.npy` file (as {'keypoints': array}) or all arrays of an `.npz` file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither, is damaged, or holds Python objects.
    """
    path = existing(path)
    with path.open("rb") as file:
        begin = file.read(6)
    if not begin.startswith((b"\x93NUMPY", b"PK")):
        raise ValueError(
            f"{path} is not a .npy or .npz file; save the keypoints as a plain array with numpy.save or numpy.savez"
        )
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return read_npz(file, size) if begin.startswith(b"PK") else {"keypoints": read_npy(file, size)}
    except Exception as error:  # numpy, zipfile and zlib each raise their own kinds
        raise ValueError(
            f"{path} cannot be read as plain .npy or .npz arrays ({short(error)}); "
            "save it with numpy.save or numpy.savez, without Python objects"
        ) from error


def write_arrays(path: str | Path, **arrays: np.ndarray) -> Path:
    """Write named arrays to an uncompressed `.npz`, whole or not at all."""
    with atomic_write(path) as file:
        np.savez(file, **arrays)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write text as UTF-8, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode())
    return Path(path)


def read_pickled_dict(path: str | Path) -> dict[str, Any]:
    """Read a dict that `numpy.save` pickled into a `.npy` file, admitting nothing but data.

    Dicts, lists, tuples, numbers, strings and numpy arrays are read; a file that names any other class
    or function is refused before that is looked up.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds something else than a dict, or asks for code.
    """
    path = existing(path)
    try:
        with path.open("rb") as file:
            header = read_header(file.read(HEAD))
            if header.dtype.kind != "O" or header.shape != ():
                shape = short_shape(header.shape)
                raise ValueError(f"it holds an array of {header.dtype} with axes {shape}, not a pickled dict")
            file.seek(header.begin)
            content = DataUnpickler(file).load()
            if file.read(1):
                raise ValueError("something follows the end of its pickle")
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{path} is not a readable file of a dict of arrays: {short(error)}") from error
    content = content.item() if isinstance(content, np.ndarray) and content.ndim == 0 else content
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dict")
    return content


def unpickle_data(pickled: bytes) -> Any:
    """What a pickle holds, admitting nothing but data, as `read_pickled_dict` does.

    Raises:
        ValueError: it is damaged, or asks for code.
    """
    try:
        return DataUnpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"a pickle is not plain data: {short(error)}") from error


def write_pickled_dict(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a dict as `numpy.save` does (read it with `numpy.load(path, allow_pickle=True).item()`).

    Pickle protocol 5 writes each array straight from its memory, where numpy.save's own copies it first.
    """
    with atomic_write(path) as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(np.array(dict(content), dtype=object), file, protocol=5)
    return Path(path)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON in UTF-8, or holds something else.
    """
    path = existing(path)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable JSON file: {short(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__}, not an object with names")
    return content


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON object, whole or not at all."""
    with atomic_write(path) as file:
        file.write(json.dumps(dict(content), indent=1).encode() + b"\n")
    return Path(path)


def content_key(*parts: np.ndarray | str) -> str:
    """A short name that is the same for the same arrays and settings, and for nothing else."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, str):
            digest.update(b"s" + part.encode() + b"\0")
            continue
        digest.update(f"a{part.dtype.str}{part.shape}".encode())
        digest.update(memoryview(np.ascontiguousarray(part)).cast("B") if part.size else b"")
    return digest.hexdigest()


def file_key(path: str | Path) -> str:
    """A short name that is the same for files of the same content, and for no others; read by several threads."""
    path = existing(path)
    with path.open("rb") as file, ThreadPoolExecutor() as pool:

        def digest(first: int) -> bytes:
            # of the safe ones the quickest where processors know it, as most do
            return hashlib.sha256(os.pread(file.fileno(), BLOCK, first)).digest()

        blocks = b"".join(pool.map(digest, range(0, path.stat().st_size, BLOCK)))
    return content_key(f"{path.stat().st_size} {blocks.hex()}")


def existing(path: str | Path) -> Path:
    """The path of a file that is there and has something in it.

    Raises:
        FileNotFoundError, ValueError: there is none; or it is a folder, or empty.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    return path


def short(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
