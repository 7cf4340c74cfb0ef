"""The one training loop, for every data set that yields the batch `input`, `actions`, `valid`."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from bams import checkpoint, losses
from bams.checkpoint import Checkpoint
from bams.config import TrainConfig
from bams.devices import pick_device, pick_precision
from bams.losses import HoALoss, HoASums
from bams.models import BAMS
from bams.state import State, batches, begin, derived_seed, held_out_loss, snapshot

Evaluate = Callable[[BAMS, int], tuple[Mapping[str, float], Mapping[str, Any]]]

LEAST_PAIRS = 32  # BatchNorm of the bootstrap predictors sees at least so many pairs of views


class Interrupted(Exception):  # noqa: N818 - it is an order, not an error
    """The run was told to stop, and has written its checkpoint."""

    def __init__(self, signal_number: int, path: Path, step: int):
        super().__init__(f"stopped at step {step}; {path} holds all until here: go on with --resume {path}")
        self.exit_status = 128 + signal_number


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
    """
    device = pick_device(config.device)
    config = replace(config, precision=pick_precision(config.precision, device))
    state = begin(model, dataset, config, device, resume)
    about = {"dataset": "unnamed", "features": {}, "settings": {}, **(about or {})}
    about["settings"] = {**about["settings"], **asdict(config), "epochs": state.epochs}
    score = partial(
        _score, state, held_out_loss(state, dataset, val_dataset, config), val_dataset, config, evaluate
    )
    save = partial(_save, state, dataset, ckpt_path, about)

    writer = SummaryWriter(str(log_dir), purge_step=state.step + 1 if resume else None)
    with writer, _stop_signals() as stopped, _saying_what_is_kept(Path(ckpt_path)):
        writer.add_text("config", f"```\n{json.dumps(about['settings'], indent=1)}\n```", state.step)
        first_epoch = state.step // state.per_epoch
        epochs = tqdm(range(first_epoch, state.epochs), "epochs", initial=first_epoch, total=state.epochs)
        for epoch in epochs:
            _train_epoch(state, dataset, config, device, epoch, writer, stopped)
            if state.step % state.per_epoch == 0:
                epochs.set_postfix(score(epoch + 1, writer))
            if stopped:
                save()
                raise Interrupted(stopped[0], Path(ckpt_path), state.step)
            if (epoch + 1) % config.checkpoint_every == 0 and epoch + 1 < state.epochs:
                save()
    model.eval()
    return save()


def _save(
    state: State, dataset: torch.utils.data.Dataset, path: str | Path, about: Mapping[str, Any]
) -> Checkpoint:
    if not all(torch.isfinite(p).all() for p in state.model.parameters()):
        raise FloatingPointError(f"weights are not finite after step {state.step}; lower --lr")
    done = snapshot(state, dataset, **about)
    checkpoint.save(path, done)
    return done


def _score(
    state: State,
    val_hoa: HoALoss | None,
    val_dataset: torch.utils.data.Dataset | None,
    config: TrainConfig,
    evaluate: Evaluate | None,
    epoch: int,
    writer: SummaryWriter,
) -> dict[str, str]:
    """Log what an epoch has come to; what the progress bar is to say of it."""
    said = {}
    if val_hoa is not None:
        scores = validate(state.model, val_dataset, val_hoa, config, state.hoa.marginal.device)
        _log(writer, "val", scores, state.step)
        said["val_skill"] = f"{scores['hoa_skill']:.3f}"
    if evaluate is not None:
        scalars, figures = evaluate(state.model, epoch)
        _log(writer, "test", scalars, state.step)
        for name, figure in figures.items():
            writer.add_figure(f"test/{name}", figure, state.step)
    return said


def _train_epoch(
    state: State,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    device: torch.device,
    epoch: int,
    writer: SummaryWriter,
    stopped: list[int],
) -> None:
    """The steps of one epoch that are still to do, until `stopped` says otherwise."""
    state.model.train()
    since, frames, recent = time.perf_counter(), 0, []
    steps = tqdm(batches(dataset, config, epoch, state.step % state.per_epoch), "steps", leave=False)
    for windows, batch in steps:
        batch = _on_device(batch, device)
        values = training_step(state.model, batch, state.hoa, config, state.step)
        if not torch.isfinite(values["total_loss"]):
            raise FloatingPointError(_not_finite(values, state.step, dataset, windows))
        state.optimizer.zero_grad(set_to_none=True)
        values["total_loss"].backward()
        state.optimizer.step()
        lr = state.optimizer.param_groups[0]["lr"]
        state.scheduler.step()
        state.step += 1
        frames += batch["input"][..., 0].numel()
        recent.append({name: value.detach() for name, value in values.items()})
        if state.step % config.log_every_step == 0 or state.step == 1:
            means = {name: float(torch.stack([r[name] for r in recent]).mean()) for name in values}
            speed = frames / (time.perf_counter() - since)
            _log(writer, "train", {**means, "lr": lr, "frames_per_second": speed}, state.step)
            steps.set_postfix(loss=f"{means['total_loss']:.3f}", skill=f"{means['hoa_skill']:.3f}")
            since, frames, recent = time.perf_counter(), 0, []
        if stopped:
            return


def training_step(
    model: BAMS, batch: Mapping[str, Tensor], hoa: HoALoss, config: TrainConfig, step: int
) -> dict[str, Tensor]:
    """Forward pass and losses of one batch; all draws follow from the seed and the step.

    Args:
        batch: `input` (B, T, F), `actions` (B, T, D), `valid` (B, T, D), on the model's device.

    Returns:
        scalars by the names they have in TensorBoard; `total_loss` is to be minimised.
    """
    tracks, total, _ = batch["input"].shape
    torch.manual_seed(derived_seed(config.seed, 1, step))  # of dropout
    draws = torch.Generator().manual_seed(derived_seed(config.seed, 2, step))
    lower = torch.autocast(batch["input"].device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    with lower:
        embs = model.encode(batch["input"])

    frames = hoa.predicted_frames(total, config.hoa_frames, draws).to(batch["input"].device)
    keep = losses.sample_kept_parts(tracks, len(embs), config.hide_parts, draws).to(frames.device)
    seen = {name: emb[:, frames] for name, emb in embs.items()}
    with lower:
        logits = model.predict_actions(seen, batch["input"][:, frames], keep)
    scores = hoa.scores(hoa.sums(logits, batch["actions"], batch["valid"], frames))
    values = {"hoa_loss": scores.distance.detach(), "hoa_skill": scores.skill.detach()}
    total_loss = (5.0 if hoa.normalised else 500.0) * scores.loss

    admissible = batch["valid"].any(-1)
    admissible[:, : config.skip_frames] = False
    pairs = max(config.views, -(-LEAST_PAIRS // max(int(admissible.any(1).sum()), 1)))
    near, far = (0, config.near_frames), (config.far_frames or total, config.far_frames or total)
    for name, predictor in model.bootstrap.items():
        reach = near if model.bootstrap_kinds[name] == "near" else far
        track, first, second = losses.sample_views(admissible, pairs, *reach, draws)
        view = embs[name][track, first].float()
        predicted = predictor(view) if len(view) else view
        loss = losses.bootstrap_loss(predicted, embs[name][track, second])
        values[f"byol_loss_{name}"] = loss.detach()
        total_loss = total_loss + config.bootstrap_weight * loss
    values["total_loss"] = total_loss
    return values


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
    sums: list[HoASums] = []
    for batch in DataLoader(dataset, config.batch_size):
        batch = _on_device(batch, device)
        frames = hoa.predicted_frames(batch["input"].shape[1], 1.0).to(device)
        embs = {name: emb[:, frames] for name, emb in model.encode(batch["input"]).items()}
        logits = model.predict_actions(embs, batch["input"][:, frames])
        sums.append(hoa.sums(logits, batch["actions"], batch["valid"], frames))
    scores = hoa.scores(HoASums(*(torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))))
    return {"hoa_skill": float(scores.skill), "hoa_loss": float(scores.distance)}


def _on_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    return {name: batch[name].to(device) for name in ("input", "actions", "valid")}


def _log(writer: SummaryWriter, group: str, scalars: Mapping[str, float], step: int) -> None:
    for name, value in scalars.items():
        writer.add_scalar(f"{group}/{name}", value, step)


@contextmanager
def _saying_what_is_kept(path: Path) -> Iterator[None]:
    """End the message of a loss or weight that is not finite with where the last good checkpoint is."""
    try:
        yield
    except FloatingPointError as error:
        kept = (
            f"{path} holds the last checkpoint before this" if path.exists() else "no checkpoint was written yet"
        )
        raise FloatingPointError(f"{error}; {kept}") from None


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that a SIGINT or SIGTERM puts its number in; the step under way is finished first."""
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        received.append(number)

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where Python allows no handlers
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _not_finite(values: Mapping[str, Tensor], step: int, dataset: Any, windows: list[int]) -> str:
    terms = ", ".join(name for name, value in values.items() if not torch.isfinite(value))
    rows = getattr(dataset, "windows", None)
    tracks = sorted({int(rows[i][0]) for i in windows}) if rows is not None else windows
    return (
        f"{terms} is not finite at step {step + 1} (tracks in the batch, counted from 0: {tracks}); look for "
        "values in the data that are out of all proportion, or lower --lr"
    )
