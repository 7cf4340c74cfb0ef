"""The one training loop, for every data set that yields the batch `input`, `actions`, `valid`."""

import json
import platform
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from bams import checkpoint, losses
from bams.checkpoint import Checkpoint
from bams.losses import HoALoss, HoASums
from bams.models import BAMS

LEAST_PAIRS = 32  # BatchNorm of the bootstrap predictors sees at least so many pairs of views
MARGINAL_BATCHES = 8  # the marginal loss is measured on so many batches


@dataclass(frozen=True)
class TrainConfig:
    """How to train; every field is a flag of the scripts."""

    epochs: int = 500
    """passes over the training windows"""
    batch_size: int = 32
    """windows in a batch"""
    lr: float = 1e-3
    """learning rate of the encoders and the action predictor"""
    bootstrap_lr: float = 1e-2
    """learning rate of the bootstrap predictors"""
    weight_decay: float = 4e-5
    """weight decay of AdamW"""
    lr_milestones: tuple[int, ...] = (200,)
    """epochs at which the learning rates are multiplied by 0.1"""
    hoa_window: int = 30
    """W: the histogram of actions covers this many frames to come"""
    skip_frames: int = 100
    """first frames of a window that give no loss, as the encoders lack context there"""
    hoa_frames: float = 0.25
    """share of the frames at which the action predictor is trained in each step, above 0 and at most 1"""
    loss: Literal["normalised", "paper"] = "normalised"
    """normalised: start at the data-wide histogram, and divide each action's loss by that histogram's;
    paper: the plain mean over actions, weighted by 500, from a random start"""
    bootstrap_weight: float = 0.5
    """weight of each encoder's bootstrap loss"""
    seed: int = 0
    """every random draw follows from it"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    num_workers: int = 0
    """processes that load batches; 0 loads in the training process"""
    log_every_step: int = 10
    """steps between points of the training curves"""
    checkpoint_every: int = 1
    """epochs between checkpoints; one is also written at the end and on Ctrl-C"""

    def __post_init__(self):
        least = {"epochs": 1, "batch_size": 1, "hoa_window": 1, "log_every_step": 1, "checkpoint_every": 1}
        least |= {"skip_frames": 0, "num_workers": 0, "seed": 0, "lr": 0, "bootstrap_lr": 0, "weight_decay": 0}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {lowest}")
        if not 0 < self.hoa_frames <= 1:
            raise ValueError(f"hoa_frames is {self.hoa_frames}; it must be above 0 and at most 1")


class Interrupted(Exception):  # noqa: N818 - it is an order, not an error
    """The run was told to stop, and has written its checkpoint."""

    def __init__(self, signal_number: int, path: Path, step: int):
        super().__init__(f"stopped at step {step}; {path} holds all until here: go on with --resume {path}")
        self.exit_status = 128 + signal_number


class StepLosses(dict[str, Tensor]):
    """Scalars of one step by the names they have in TensorBoard, `total_loss` among them."""


@dataclass
class _State:
    model: BAMS
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    hoa: HoALoss
    step: int = 0


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

    Returns:
        the last checkpoint.

    Raises:
        FloatingPointError: a loss is not finite; the last good checkpoint is kept.
        Interrupted: on SIGINT or SIGTERM, after writing the checkpoint.
    """
    device = pick_device(config.device)
    per_epoch = -(-len(dataset) // config.batch_size)
    state = _begin(model, dataset, config, device, per_epoch, resume)

    def save() -> Checkpoint:
        done = _snapshot(state, dataset, config, per_epoch, about or {})
        checkpoint.save(ckpt_path, done)
        return done

    writer = SummaryWriter(str(log_dir), purge_step=state.step + 1 if resume else None)
    with writer, _stop_signals() as stopped:
        writer.add_text("config", f"```\n{json.dumps(asdict(config), indent=1)}\n```", state.step)
        first_epoch = state.step // per_epoch
        epochs = tqdm(range(first_epoch, config.epochs), "epochs", initial=first_epoch, total=config.epochs)
        for epoch in epochs:
            model.train()
            since, recent = time.perf_counter(), []
            steps = tqdm(_batches(dataset, config, epoch, state.step % per_epoch), leave=False, desc="steps")
            for windows, batch in steps:
                batch = {name: batch[name].to(device) for name in ("input", "actions", "valid")}
                values = training_step(state.model, batch, state.hoa, config, state.step)
                if not torch.isfinite(values["total_loss"]):
                    raise FloatingPointError(_not_finite(values, state.step, dataset, windows))
                state.optimizer.zero_grad(set_to_none=True)
                values["total_loss"].backward()
                state.optimizer.step()
                state.scheduler.step()
                state.step += 1
                recent.append({name: value.detach() for name, value in values.items()})
                if state.step % config.log_every_step == 0 or state.step == 1:
                    logged = {name: float(torch.stack([r[name] for r in recent]).mean()) for name in values}
                    steps.set_postfix(loss=f"{logged['total_loss']:.3f}", skill=f"{logged['hoa_skill']:.3f}")
                    logged["lr"] = state.optimizer.param_groups[0]["lr"]
                    frames = len(recent) * batch["valid"][..., 0].numel()
                    logged["frames_per_second"] = frames / (time.perf_counter() - since)
                    since, recent = time.perf_counter(), []
                    for name, value in logged.items():
                        writer.add_scalar(f"train/{name}", value, state.step)
                if stopped:
                    save()
                    raise Interrupted(stopped[0], Path(ckpt_path), state.step)
            if val_dataset is not None:
                scores = validate(model, val_dataset, state.hoa, config, device)
                for name, value in scores.items():
                    writer.add_scalar(f"val/{name}", value, state.step)
                epochs.set_postfix(val_skill=f"{scores['hoa_skill']:.3f}")
            if (epoch + 1) % config.checkpoint_every == 0 and epoch + 1 < config.epochs:
                save()
    return save()


def training_step(
    model: BAMS, batch: Mapping[str, Tensor], hoa: HoALoss, config: TrainConfig, step: int
) -> StepLosses:
    """Forward pass and losses of one batch; all draws follow from the seed and the step.

    Args:
        batch: `input` (B, T, F), `actions` (B, T, D), `valid` (B, T, D), on the model's device.
    """
    tracks, total, _ = batch["input"].shape
    torch.manual_seed(_seed(config.seed, 1, step))  # of dropout
    draws = torch.Generator().manual_seed(_seed(config.seed, 2, step))
    embs = model.encode(batch["input"])

    frames = hoa.predicted_frames(total, config.hoa_frames, draws).to(batch["input"].device)
    logits = model.predict_actions({name: emb[:, frames] for name, emb in embs.items()}, batch["input"][:, frames])
    scores = hoa.scores(hoa.sums(logits, batch["actions"], batch["valid"], frames))
    values = StepLosses(hoa_loss=scores.distance.detach(), hoa_skill=scores.skill.detach())
    total_loss = (5.0 if hoa.normalised else 500.0) * scores.loss

    admissible = batch["valid"].any(-1)
    admissible[:, : config.skip_frames] = False
    for name, predictor in model.bootstrap.items():
        track, first, second = losses.sample_views(
            admissible, model.bootstrap_kinds[name], -(-LEAST_PAIRS // tracks), draws
        )
        view = embs[name][track, first]
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
        batch = {name: batch[name].to(device) for name in ("input", "actions", "valid")}
        frames = hoa.predicted_frames(batch["input"].shape[1], 1.0).to(device)
        embs = {name: emb[:, frames] for name, emb in model.encode(batch["input"]).items()}
        logits = model.predict_actions(embs, batch["input"][:, frames])
        sums.append(hoa.sums(logits, batch["actions"], batch["valid"], frames))
    scores = hoa.scores(HoASums(*(torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))))
    return {"hoa_skill": float(scores.skill), "hoa_loss": float(scores.distance)}


def pick_device(name: str) -> torch.device:
    """'auto' is the first of cuda, mps and cpu that is there.

    Raises:
        ValueError: the device is not on this machine, or is not one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} is not usable here; choose auto or cpu") from error
    return device


def _begin(
    model: BAMS,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    device: torch.device,
    per_epoch: int,
    resume: Checkpoint | None,
) -> _State:
    counts = torch.from_numpy(dataset.statistics.counts)
    if resume is None:
        sample = [
            (batch["actions"], batch["valid"])
            for _, (_, batch) in zip(range(MARGINAL_BATCHES), _batches(dataset, config, 0, 0), strict=False)
        ]
        marginal = losses.marginal_loss(counts, sample, window=config.hoa_window, skip_frames=config.skip_frames)
        model.scale.set(torch.from_numpy(dataset.statistics.centre), torch.from_numpy(dataset.statistics.scale))
        if config.loss == "normalised":
            model.start_at(torch.log((counts + 1) / (counts + 1).sum(-1, keepdim=True)).flatten())
    else:
        marginal = torch.from_numpy(resume.marginal_loss)
    model.to(device)
    main = [p for name, p in model.named_parameters() if not name.startswith("bootstrap.")]
    groups: list[dict[str, Any]] = [{"params": main}]
    if len(model.bootstrap):
        groups.append({"params": list(model.bootstrap.parameters()), "lr": config.bootstrap_lr})
    optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [m * per_epoch for m in config.lr_milestones])
    hoa = HoALoss(
        bins=counts.shape[1],
        window=config.hoa_window,
        skip_frames=config.skip_frames,
        marginal=marginal.to(device),
        normalised=config.loss == "normalised",
    )
    state = _State(model, optimizer, scheduler, hoa)
    if resume is not None:
        if resume.progress["windows"] != len(dataset):
            raise ValueError(
                f"the run to resume had {resume.progress['windows']} training windows, these data give "
                f"{len(dataset)}: resume with the same data and settings"
            )
        optimizer.load_state_dict(resume.progress["optimizer"])
        scheduler.load_state_dict(resume.progress["scheduler"])
        state.step = resume.progress["step"]
    return state


def _snapshot(
    state: _State,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    per_epoch: int,
    about: Mapping[str, Any],
) -> Checkpoint:
    return Checkpoint(
        model=state.model,
        dataset=about.get("dataset", "unnamed"),
        statistics=dataset.statistics,
        marginal_loss=state.hoa.marginal.cpu().numpy(),
        features=dict(about.get("features", {})),
        settings={**about.get("settings", {}), **asdict(config)},
        progress={
            "epoch": state.step // per_epoch,
            "step": state.step,
            "windows": len(dataset),
            "optimizer": state.optimizer.state_dict(),
            "scheduler": state.scheduler.state_dict(),
        },
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("bams", "torch", "numpy")},
        },
    )


def _batches(dataset: torch.utils.data.Dataset, config: TrainConfig, epoch: int, first: int) -> "_CountedBatches":
    """The batches of one epoch from number `first` on, each with the windows it holds."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(_seed(config.seed, 0, epoch)))
    windows = [chosen.tolist() for chosen in order.split(config.batch_size)][first:]
    return _CountedBatches(windows, DataLoader(dataset, batch_sampler=windows, num_workers=config.num_workers))


@dataclass(frozen=True)
class _CountedBatches:
    windows: list[list[int]]
    loader: DataLoader

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        return zip(self.windows, self.loader, strict=True)


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


def _seed(seed: int, purpose: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, purpose, index]).generate_state(1)[0])


def _not_finite(values: StepLosses, step: int, dataset: Any, windows: list[int]) -> str:
    terms = ", ".join(name for name, value in values.items() if not torch.isfinite(value))
    rows = getattr(dataset, "windows", None)
    tracks = sorted({int(rows[i][0]) for i in windows}) if rows is not None else windows
    return (
        f"{terms} is not finite at step {step} (tracks in the batch, counted from 0: {tracks}); look for values "
        "in the data that are out of all proportion, or lower --lr. The last checkpoint before this is kept"
    )
