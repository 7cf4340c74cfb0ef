"""The curves and figures of a run, for TensorBoard; of several processes the first draws them."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from bams.compute import distributed


@contextmanager
def opened(
    log_dir: str | Path, settings: Mapping[str, Any], resumed_step: int | None = None
) -> Iterator[SummaryWriter | None]:
    """What `log` and `show` write with, until the end of the block; None but in the first of several processes.

    Args:
        log_dir: the run's own folder.
        settings: noted as text.
        resumed_step: the run goes on after this step; later points of the curves are dropped.

    Raises:
        OSError: the folder cannot be written.
    """
    if not distributed.is_first():
        yield None
        return
    purge = None if resumed_step is None else resumed_step + 1
    with _quiet_thread(), _named(log_dir):
        writer = SummaryWriter(str(log_dir), purge_step=purge)
        writer.add_text("config", f"```\n{json.dumps(dict(settings), indent=1)}\n```", resumed_step or 0)
    try:
        with _quiet_thread():
            yield writer
    finally:
        with _quiet_thread(), _named(log_dir):
            writer.close()


def log(writer: SummaryWriter | None, group: str, scalars: Mapping[str, float], step: int) -> None:
    """Add a point to each of some curves."""
    if writer is not None:
        with _named(writer.log_dir):
            for name, value in scalars.items():
                writer.add_scalar(f"{group}/{name}", value, step)


def show(writer: SummaryWriter | None, group: str, figures: Mapping[str, Any], step: int) -> None:
    """Add figures of matplotlib, by name."""
    if writer is not None:
        with _named(writer.log_dir):
            for name, figure in figures.items():
                writer.add_figure(f"{group}/{name}", figure, step)


@contextmanager
def _named(log_dir: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"the curves cannot be written in {log_dir}: {error.strerror or error}") from error


@contextmanager
def _quiet_thread() -> Iterator[None]:
    """TensorBoard's own thread does not print its errors, which the next call of its writer raises."""
    usual = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__name__ == "_AsyncWriterThread"):
            usual(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual
