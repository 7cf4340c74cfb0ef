"""The one training loop, for every data set that yields the batch `input`, `actions`, `valid`."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from bams import checkpoint
from bams.checkpoint import Checkpoint
from bams.compute import distributed
from bams.compute.devices import keeping_freed_memory, pick_device, pick_precision
from bams.losses import HoALoss, HoASums
from bams.models.bams import BAMS
from bams.training import tensorboard_log
from bams.training.batches import batch_order, load_batches, place_if_it_fits
from bams.training.config import TrainConfig
from bams.training.interrupts import Interrupted, last_words, stop_signals
from bams.training.run_state import State, begin, held_out_loss, snapshot
from bams.training.step import TrainingStep

Evaluate = Callable[[BAMS, int], tuple[Mapping[str, float], Mapping[str, Any]]]

ASK_EVERY = 8  # steps after which several processes ask each other whether to stop


def train(
    model: BAMS,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    *,
    ckpt_path: str | Path,
    log_dir: str | Path,
    val_dataset: torch.utils.data.Dataset | None = None,
    resume: Checkpoint | None = None,
    about: Mapping[str, Any] | None = None,
    evaluate: Evaluate | None = None,
) -> Checkpoint:
    """Train a model, writing curves and checkpoints.

    Args:
        model: as constructed, or `resume.model`; it is trained in place.
        dataset: yields `input` (T, F), `actions` (T, D) and `valid` (T, D), and has `statistics`.
        config: how.
        ckpt_path: the checkpoint file, written anew as training goes on.
        log_dir: folder of this run's TensorBoard file.
        val_dataset: held-out recordings, scored after each epoch.
        resume: go on from here; on a CPU with the same number of threads the result is the same, bit for bit,
            as of a run without the interruption.
        about: `dataset` (its name), `features`, `settings`: kept in the checkpoint.
        evaluate: called with the model and the number of epochs done after each; gives scalars and figures by
            name, to be logged under `test`.

    Returns:
        the last checkpoint.

    Raises:
        FloatingPointError: a loss is not finite; the last good checkpoint is kept.
        Interrupted: on SIGINT or SIGTERM, after writing the checkpoint.
        OSError: a file cannot be written, or a process that loads batches has died; a checkpoint is written first.
        MemoryError: a batch does not fit; the last checkpoint is kept.
    """
    device = pick_device(distributed.own_device(config.device))
    config = replace(config, precision=pick_precision(config.precision, device))
    state = begin(model, dataset, config, device, resume)
    about = {"dataset": "unnamed", "features": {}, "settings": {}, **(about or {})}
    about["settings"] = {**about["settings"], **asdict(config), "epochs": state.epochs}
    place_if_it_fits(device, dataset, val_dataset)
    val_hoa = cache(partial(held_out_loss, state, dataset, val_dataset, config))  # not before the first step
    score = partial(_score, state, val_hoa, val_dataset, config, evaluate)
    save = partial(_save, state, dataset, ckpt_path, about)
    forward = distributed.over_processes(TrainingStep(model, state.hoa, config), device)

    drawn = tensorboard_log.opened(log_dir, about["settings"], state.step if resume else None)
    ending = last_words(ckpt_path, save, config.batch_size)
    with stop_signals() as stopped, keeping_freed_memory(device), ending, drawn as writer:
        first_epoch = state.step // state.per_epoch
        epochs = tqdm(range(first_epoch, state.epochs), "epochs", initial=first_epoch, total=state.epochs)
        for epoch in epochs:
            _train_epoch(state, forward, dataset, config, device, epoch, writer, stopped)
            if state.step % state.per_epoch == 0:
                epochs.set_postfix(score(epoch + 1, writer))
            if distributed.agreed(bool(stopped)):
                save()
                raise Interrupted(stopped[0] if stopped else signal.SIGTERM, Path(ckpt_path), state.step)
            if (epoch + 1) % config.checkpoint_every == 0 and epoch + 1 < state.epochs:
                save()
    model.eval()
    return save()


def _save(state: State, dataset: torch.utils.data.Dataset, path: str | Path, about: Mapping[str, Any]) -> Checkpoint:
    if not all(torch.isfinite(p).all() for p in state.model.parameters()):
        raise FloatingPointError(f"weights are not finite after step {state.step}; lower --lr")
    done = snapshot(state, dataset, **about)
    if distributed.is_first():
        checkpoint.save(path, done)
    return done


def _score(
    state: State,
    val_hoa: Callable[[], HoALoss],
    val_dataset: torch.utils.data.Dataset | None,
    config: TrainConfig,
    evaluate: Evaluate | None,
    epoch: int,
    writer: SummaryWriter | None,
) -> dict[str, str]:
    """Log what an epoch has come to; what the progress bar is to say of it."""
    said = {}
    if val_dataset is not None:
        scores = validate(state.model, val_dataset, val_hoa(), config, state.hoa.marginal.device)
        tensorboard_log.log(writer, "val", scores, state.step)
        said["val_skill"] = f"{scores['hoa_skill']:.3f}"
    if evaluate is not None and distributed.is_first():
        scalars, figures = evaluate(state.model, epoch)
        tensorboard_log.log(writer, "test", scalars, state.step)
        tensorboard_log.show(writer, "test", figures, state.step)
    return said


def _train_epoch(
    state: State,
    forward: torch.nn.Module,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    device: torch.device,
    epoch: int,
    writer: SummaryWriter | None,
    stopped: list[int],
) -> None:
    """The steps of one epoch that are still to do, until `stopped` says otherwise."""
    state.model.train()
    since, recent = time.perf_counter(), []
    todo = batch_order(dataset, config, epoch)[state.step % state.per_epoch :]
    loader = load_batches(dataset, config, [distributed.share(windows) for windows in todo])
    steps = tqdm(zip(todo, loader, strict=True), "steps", len(todo), leave=False)
    for windows, batch in steps:
        values = forward(_on_device(batch, device), state.step, len(windows))
        state.optimizer.zero_grad(set_to_none=True)
        values["total_loss"].backward()
        state.optimizer.step()
        lr = state.optimizer.param_groups[0]["lr"]
        state.scheduler.step()
        state.step += 1
        recent.append((windows, {name: value.detach() for name, value in values.items()}))
        logs = state.step % config.log_every_step == 0 or state.step == 1
        if logs or windows is todo[-1]:
            means = _means(recent, state.step, dataset)
        if logs:
            frames = sum(len(windows) for windows, _ in recent) * batch["input"].shape[1]
            speed = frames / (time.perf_counter() - since)
            tensorboard_log.log(writer, "train", {**means, "lr": lr, "frames_per_second": speed}, state.step)
            steps.set_postfix(loss=f"{means['total_loss']:.3f}", skill=f"{means['hoa_skill']:.3f}")
            since, recent = time.perf_counter(), []
        if (distributed.count() == 1 or state.step % ASK_EVERY == 0) and distributed.agreed(bool(stopped)):
            return


def _means(
    recent: Sequence[tuple[list[int], dict[str, Tensor]]], step: int, dataset: torch.utils.data.Dataset
) -> dict[str, float]:
    """Means over the steps up to number `step`, if all their losses are finite; the device is waited for here."""
    _, first = recent[0]
    rows = torch.stack([torch.stack(list(values.values())) for _, values in recent])
    rows = rows.cpu()
    for number, ((windows, _), row) in enumerate(zip(recent, rows, strict=True), step - len(recent) + 1):
        if not torch.isfinite(row).all():
            raise FloatingPointError(_not_finite(dict(zip(first, row, strict=True)), number, dataset, windows))
    return dict(zip(first, rows.mean(dim=0).tolist(), strict=True))


@torch.no_grad()
def validate(
    model: BAMS,
    dataset: torch.utils.data.Dataset,
    hoa: HoALoss,
    config: TrainConfig,
    device: torch.device,
) -> dict[str, float]:
    """HoA skill and plain distance over a whole data set, at every frame."""
    model.eval()
    parts = [part.tolist() for part in torch.arange(len(dataset)).split(config.batch_size)]
    sums = HoASums(torch.zeros_like(hoa.marginal), torch.zeros_like(hoa.marginal))
    for batch in load_batches(dataset, config, distributed.share(parts)):
        batch = _on_device(batch, device)
        frames = hoa.predicted_frames(batch["input"].shape[1], 1.0).to(device)
        embs = {name: emb[:, frames] for name, emb in model.encode(batch["input"]).items()}
        logits = model.predict_actions(embs, batch["input"][:, frames])
        found = hoa.sums(logits, batch["actions"], batch["valid"], frames)
        sums = HoASums(*(one + other for one, other in zip(sums, found, strict=True)))
    scores = hoa.scores(HoASums(*map(distributed.summed, sums)))
    return {"hoa_skill": float(scores.skill), "hoa_loss": float(scores.distance)}


def _on_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    return {name: batch[name].to(device, non_blocking=True) for name in ("input", "actions", "valid")}


def _not_finite(values: Mapping[str, Tensor], step: int, dataset: Any, windows: list[int]) -> str:
    terms = ", ".join(name for name, value in values.items() if not torch.isfinite(value))
    rows = getattr(dataset, "windows", None)
    tracks = sorted({int(rows[i][0]) for i in windows}) if rows is not None else windows
    names = getattr(dataset, "track_names", None)
    known = ": " if names else ", counted from 0: "
    said = ", ".join(names[track] if names else str(track) for track in tracks)
    return (
        f"{terms} is not finite at step {step} (tracks in the batch{known}{said}); look for "
        "values in the data that are out of all proportion, or lower --lr"
    )
