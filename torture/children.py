"""Child processes forked from one that has everything imported, so that each is quick to start.

Whoever forks must not have trained before: torch's threads do not survive a fork.
"""

import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (or minus the signal that killed it), and what it wrote."""

    status: int
    said: str

    def sentence(self) -> str:
        """What it wrote after `error: `, if that was the last line and there was no traceback."""
        lines = self.said.strip().splitlines()
        clean = lines and lines[-1].startswith("error: ") and "Traceback" not in self.said
        return lines[-1].removeprefix("error: ") if clean else ""


@dataclass(frozen=True)
class Child:
    """A running child, and the file that it writes to."""

    pid: int
    output: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; a child that has ended already does not mind."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait until it ends."""
        _, status = os.waitpid(self.pid, 0)
        return Ended(os.waitstatus_to_exitcode(status), self.output.read_text(errors="replace"))

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def start(
    work: Callable[[], object],
    folder: Path,
    *,
    file_size: int | None = None,
    user: int | None = None,
) -> Child:
    """Let a forked child do some work in a folder.

    Args:
        work: SystemExit gives the exit status; other exceptions are written out, and give 1.
        folder: where it works; what it writes goes to the file OUTPUT in it.
        file_size: most bytes of a file that it may write, as on a disk that is full.
        user: number of the user that it becomes, if it is root.
    """
    output = folder / f"output-{time.monotonic_ns()}"
    output.touch()
    pid = os.fork()
    if pid:
        return Child(pid, output)
    status = 1
    try:
        os.chdir(folder)
        with output.open("wb") as file:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        if user is not None and os.getuid() == 0:
            os.setgid(user)
            os.setuid(user)
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        work()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run_script(main: Callable[[Sequence[str]], None], argv: Sequence[str], folder: Path, **limits) -> Ended:
    """Run a script's `main` in a child, to its end."""
    return start(lambda: main(list(argv)), folder, **limits).end()


def on_one_thread() -> None:
    """Before the first fork: no threads of torch, which forked children would miss, and its late imports done."""
    torch.set_num_threads(1)
    for late in ("torch._dynamo", "encodings.cp437"):  # another user may not be able to import the latter
        importlib.import_module(late)
