"""Files and folders that only one process writes at a time."""

import errno
import glob
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bams.storage import files

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # some network file systems have none


@contextmanager
def claimed(path: str | Path, wait: bool = False) -> Iterator[None]:
    """Let no other process write `path`, a file or a folder, until the block or this process ends.

    Temporary files that killed processes have left beside it are removed.

    Args:
        path: need not exist yet.
        wait: wait for another process that writes it, instead of raising an error.

    Raises:
        BlockingIOError: another process writes it.
        OSError: its folder cannot be made or written.
    """
    path = Path(path)
    lock = path.with_name(f".{path.name}.lock")
    with files.made_folder(path.parent):
        files.check_writable(path.parent)
        with _held(lock, path, wait):
            _remove_leftovers(path)
            try:
                yield
            finally:
                with suppress(OSError):  # on Windows, where an open file cannot be removed, filelock does it
                    lock.unlink()


def _held(lock: Path, path: Path, wait: bool) -> AbstractContextManager:
    try:
        return FileLock(lock).acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise BlockingIOError(
            f"another process is writing {path}: wait for it, or choose another name (--ckpt_path)"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return nullcontext()


def _remove_leftovers(path: Path) -> None:
    """The temporary files and folders that `bams.storage.files` makes for `path`."""
    for found in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
        shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
