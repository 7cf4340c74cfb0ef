"""Child processes, forked from one that has imported everything, so that they start quickly.

The process that forks must not have trained before: torch's threads do not survive a fork.
"""

import importlib
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

NOBODY = 65534  # a user who may write nowhere


@dataclass(frozen=True)
class Ended:
    """The exit status of a child (or minus the signal that killed it), and all that it wrote."""

    status: int
    said: str

    def sentence(self) -> str:
        """The text after `error: ` in the last line; empty if the child printed a traceback or ended otherwise."""
        last = self.said.strip().rpartition("\n")[2]
        clean = last.startswith("error: ") and "Traceback" not in self.said
        return last.removeprefix("error: ") if clean else ""


@dataclass(frozen=True)
class Child:
    """A running child, and the file of its output."""

    pid: int
    output: Path

    def end(self) -> Ended:
        _, status = os.waitpid(self.pid, 0)
        return Ended(os.waitstatus_to_exitcode(status), self.output.read_text(errors="replace"))

    def runs(self) -> bool:
        return not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def start(work: Callable[[], object], folder: Path, *, file_size: int | None = None, as_nobody: bool = False) -> Child:
    """Do some work in a forked child, in a folder.

    `file_size` is the most bytes that a file may have, to imitate a full disk. `as_nobody` takes the rights of root.
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
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        if as_nobody and os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
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
    """Run a script's `main` in a child until it ends."""
    return start(lambda: main(list(argv)), folder, **limits).end()


def prepare() -> None:
    """Before the first fork: use one thread, and import what torch and zipfile import late."""
    torch.set_num_threads(1)
    for late in ("torch._dynamo", "encodings.cp437"):  # the user nobody may be unable to import the latter
        importlib.import_module(late)
