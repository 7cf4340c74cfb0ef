"""Files and folders that one process alone writes at a time, and what killed ones left of them."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bams.storage import files

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


@contextmanager
def claimed(path: str | Path, wait: bool = False) -> Iterator[None]:
    """Be the only process that writes `path`, a file or a folder; the claim ends with the block or the process.

    What writers that were killed have left behind, under temporary names, is removed. Windows has no such locks:
    nothing is claimed there.

    Args:
        path: need not be there.
        wait: for another process to be done with it, rather than to refuse.

    Raises:
        BlockingIOError: another process writes it.
        OSError: its folder cannot be made or written.
    """
    path = Path(path)
    if fcntl is None:
        with files.made_folder(path.parent):
            yield
        return
    lock = path.with_name(f".{path.name}.lock")
    with files.made_folder(path.parent):
        files.check_writable(path.parent)
        while True:
            with lock.open("a+") as file:
                _lock(file.fileno(), path, wait)
                if not _same_file(file.fileno(), lock):
                    continue  # whoever had it has just removed it
                _remove_leftovers(path)
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return


def _lock(descriptor: int, path: Path, wait: bool) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError) as error:  # which of them depends on the system
        raise BlockingIOError(
            f"another process is writing {path}: wait for it, or choose another name (--ckpt_path)"
        ) from error
    except OSError:
        return  # the file system knows no locks


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove_leftovers(path: Path) -> None:
    """The temporary files and folders of `bams.files`, which nobody writes any more."""
    temporary = re.compile(re.escape(f".{path.name}.") + r"[a-z0-9_]{8}\.part")
    for found in path.parent.iterdir():
        if temporary.fullmatch(found.name):
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
