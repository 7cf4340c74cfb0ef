"""How a run ends early: it is told to stop, memory or disk run out, or a loss is not finite."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bams.compute import distributed
from bams.compute.devices import is_out_of_memory

NOTHING_KEPT = "nothing of the training is kept"
ASK_EVERY = 8  # steps after which several processes ask each other whether to stop


class Interrupted(Exception):  # noqa: N818 - it is an order, not an error
    """The run was told to stop, and has written its checkpoint if it has a path."""

    def __init__(self, signal_number: int, path: str | Path | None, step: int):
        kept = f"{path} holds everything up to it: go on with --resume {path}" if path else NOTHING_KEPT
        super().__init__(f"stopped at step {step}; {kept}")
        self.exit_status = 128 + signal_number


@contextmanager
def stop_signals(with_checkpoint: bool) -> Iterator[list[int]]:
    """A list that collects the numbers of SIGINT and SIGTERM, so that the current step is finished first.

    A second Ctrl-C raises KeyboardInterrupt at once.
    """
    received: list[int] = []
    ending = ", with a checkpoint; Ctrl-C once more stops at once, without one" if with_checkpoint else ""

    def note(number: int, _: FrameType | None) -> None:
        if number in received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        # the signal may come in the middle of a print, which cannot be entered twice
        os.write(2, f"\nstopping after this step{ending}\n".encode())

    with handled(note, signal.SIGINT, signal.SIGTERM):
        yield received


def told_to_stop(received: Sequence[int], step: int) -> bool:
    """Whether any process has received a signal; several processes ask each other after every few steps."""
    return (distributed.count() == 1 or step % ASK_EVERY == 0) and distributed.agreed(bool(received))


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None] | signal.Handlers, *numbers: int) -> Iterator[None]:
    """Let `handler` take these signals; does nothing outside the main thread, where Python allows no handlers."""
    try:
        previous = {number: signal.signal(number, handler) for number in numbers}
    except ValueError:
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def last_words(path: str | Path | None, save: Callable[[], object], batch_size: int) -> Iterator[None]:
    """Say in the message of an error which checkpoint is kept; after an OSError, write one first.

    An OSError comes between two steps. Memory can run out in the middle of a step, so the last checkpoint stays.
    """
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; {_kept(path)}") from None
    except OSError as error:
        if path is None or not distributed.is_first():  # only the first process writes
            raise OSError(f"{error}; {_kept(path)}") from error
        save()
        raise OSError(f"{error}; {path} holds everything up to here: go on with --resume {path}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            f"there is not enough memory for batches of {batch_size} windows: try a smaller --batch_size or "
            f"--sequence_length; {_kept(path)}"
        ) from error


def _kept(path: str | Path | None) -> str:
    if path is None:
        return NOTHING_KEPT
    return f"{path} holds the last checkpoint" if Path(path).exists() else "no checkpoint was written yet"
