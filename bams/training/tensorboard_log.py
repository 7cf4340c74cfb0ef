"""The curves and figures of a run in TensorBoard; with several processes the first one writes them."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from bams.compute import distributed


@contextmanager
def opened(
    log_dir: str | Path | None, settings: Mapping[str, Any], resumed_step: int | None = None
) -> Iterator[SummaryWriter | None]:
    """What `log` writes with, until the end of the block; None without a folder, or if another process logs.

    The settings are noted as text. Points of the curves after `resumed_step`, where the run goes on, are dropped.
    """
    if log_dir is None or not distributed.is_first():
        yield None
        return
    usual, threading.excepthook = threading.excepthook, _without_file_errors
    try:
        with _named(log_dir):
            writer = SummaryWriter(str(log_dir), purge_step=None if resumed_step is None else resumed_step + 1)
            writer.add_text("config", f"```\n{json.dumps(dict(settings), indent=1)}\n```", resumed_step or 0)
        try:
            yield writer
        finally:
            with _named(log_dir):
                writer.close()
    finally:
        threading.excepthook = usual


def log(
    writer: SummaryWriter | None, group: str, scalars: Mapping[str, float], step: int, figures: Mapping[str, Any] = {}
) -> None:
    """Add a point to each curve, and figures of matplotlib."""
    if writer is not None:
        with _named(writer.log_dir):
            for name, value in scalars.items():
                writer.add_scalar(f"{group}/{name}", value, step)
            for name, figure in figures.items():
                writer.add_figure(f"{group}/{name}", figure, step)


class LossCurves:
    """Curves of the training losses in one epoch, a point `every` steps; until then losses stay on the device."""

    def __init__(self, writer: SummaryWriter | None, dataset: Any, every: int):
        self.writer, self.dataset, self.every = writer, dataset, every
        self.recent: list[tuple[list[int], Mapping[str, Tensor]]] = []
        self.frames, self.since = 0, time.perf_counter()

    def add(
        self, step: int, windows: list[int], batch: Mapping[str, Tensor], losses: Mapping[str, Tensor], rate: float
    ) -> dict[str, str]:
        """Take the losses of a step, and log the means since the last point if one is due; returns some as text."""
        self.recent.append((windows, {name: loss.detach() for name, loss in losses.items()}))
        self.frames += len(windows) * batch["input"].shape[1]
        if step % self.every and step != 1:
            return {}
        means = self.check(step)
        speed = self.frames / (time.perf_counter() - self.since)
        log(self.writer, "train", {**means, "lr": rate, "frames_per_second": speed}, step)
        self.recent, self.frames, self.since = [], 0, time.perf_counter()
        return {"loss": f"{means['total_loss']:.3f}", "skill": f"{means['hoa_skill']:.3f}"}

    def check(self, step: int) -> dict[str, float]:
        """Means of the losses since the last point; FloatingPointError if one is not finite. Waits for the device."""
        if not self.recent:
            return {}
        names = list(self.recent[0][1])
        rows = torch.stack([torch.stack(list(losses.values())) for _, losses in self.recent]).cpu()
        finite = rows.isfinite()
        if not finite.all():
            first = finite.all(dim=1).tolist().index(False)
            terms = ", ".join(name for name, is_finite in zip(names, finite[first], strict=True) if not is_finite)
            raise FloatingPointError(
                f"{terms} is not finite at step {step - len(rows) + 1 + first} (tracks in the batch"
                f"{self._tracks(self.recent[first][0])}); look for values in the data that are out of all proportion, "
                "or lower --lr"
            )
        return dict(zip(names, rows.mean(dim=0).tolist(), strict=True))

    def _tracks(self, windows: list[int]) -> str:
        rows, names = getattr(self.dataset, "windows", None), getattr(self.dataset, "track_names", None)
        tracks = windows if rows is None else sorted({int(rows[i][0]) for i in windows})
        return ": " + ", ".join(names[i] for i in tracks) if names else f", counted from 0: {str(tracks)[1:-1]}"


@contextmanager
def _named(log_dir: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"the curves cannot be written in {log_dir}: {error.strerror or error}") from error


def _without_file_errors(failed: threading.ExceptHookArgs) -> None:
    """Leave out OSErrors of TensorBoard's own thread, which the next call of its writer raises."""
    if not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)
