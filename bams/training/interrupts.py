"""How a run, or a script, ends before its time: stopped, out of memory, on a full disk, with losses not finite."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bams.compute import distributed
from bams.compute.devices import is_out_of_memory


class Interrupted(Exception):  # noqa: N818 - it is an order, not an error
    """The run was told to stop, and has written its checkpoint."""

    def __init__(self, signal_number: int, path: Path, step: int):
        super().__init__(f"stopped at step {step}; {path} holds all until here: go on with --resume {path}")
        self.exit_status = 128 + signal_number


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that a SIGINT or SIGTERM puts its number in; the step under way is finished first.

    Whoever presses Ctrl-C again does not want to wait: KeyboardInterrupt.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if number in received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        # print could be in the midst of another line, and must not be entered twice
        os.write(2, b"\nstopping after this step, with a checkpoint; Ctrl-C once more stops at once, without one\n")

    with handled(note, signal.SIGINT, signal.SIGTERM):
        yield received


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Let `handler` take some signals; outside the main thread, where Python allows none, nothing is done."""
    try:
        previous = {number: signal.signal(number, handler) for number in numbers}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def last_words(path: str | Path, save: Callable[[], object], batch_size: int) -> Iterator[None]:
    """Say of an error that ends a run what is kept; where a file or a helper failed, write a checkpoint first.

    Such errors come between two steps. Out of memory, a step may be half done: the last checkpoint stays.

    Args:
        path: of the checkpoint.
        save: writes it.
        batch_size: windows in a step.
    """
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; {_kept(path)}") from None
    except OSError as error:
        if not distributed.is_first():  # which does not write
            raise OSError(f"{error}; {_kept(path)}") from error
        save()
        raise OSError(f"{error}; {path} holds all until here: go on with --resume {path}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            f"there is not enough memory for batches of {batch_size} windows: try a smaller --batch_size or "
            f"--sequence_length; {_kept(path)}"
        ) from error


def _kept(path: str | Path) -> str:
    there = Path(path).exists()
    return f"{path} holds the last checkpoint before this" if there else "no checkpoint was written yet"
