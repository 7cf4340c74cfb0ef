"""Files and folders that only one process writes at a time."""

import errno
import glob
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bams.storage import files

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # some network file systems have none


@contextmanager
def claimed(path: str | Path, wait: bool = False) -> Iterator[None]:
    """Let no other process write `path`, a file or a folder; if one does, `wait` for it, or raise BlockingIOError.

    Temporary files that killed processes have left beside it are removed.
    """
    path = Path(path)
    lock = path.with_name(f".{path.name}.lock")
    with files.made_folder(path.parent), ExitStack() as held:
        try:
            held.enter_context(FileLock(lock, timeout=-1 if wait else 0))
        except Timeout as error:
            message = f"another process is writing {path}: wait for it, or choose another name (--ckpt_path)"
            raise BlockingIOError(message) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
            files.remove(leftover)
        try:
            yield
        finally:
            with suppress(OSError):  # on Windows, where an open file cannot be removed, filelock does it
                lock.unlink()
