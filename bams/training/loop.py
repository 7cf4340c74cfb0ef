"""The training loop, for every data set that yields `input`, `actions` and `valid`."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from bams.checkpoint import Checkpoint
from bams.compute import distributed
from bams.compute.devices import keeping_freed_memory, own_draws, pick_device
from bams.compute.threads import using_threads
from bams.losses import HoALoss, HoASums
from bams.models.bams import BAMS
from bams.training import tensorboard_log
from bams.training.batches import epoch_batches, load_batches, on_device, place_if_it_fits
from bams.training.config import TrainConfig
from bams.training.interrupts import Interrupted, last_words, stop_signals, told_to_stop
from bams.training.run import Run, begin, measure_marginal, save_run
from bams.training.step import TrainingStep
from bams.training.tensorboard_log import LossCurves

Evaluate = Callable[[BAMS, int], tuple[Mapping[str, float], Mapping[str, Any]]]


def train(
    model: BAMS,
    dataset: Dataset,
    config: TrainConfig,
    *,
    ckpt_path: str | Path | None,
    log_dir: str | Path | None,
    val_dataset: Dataset | None = None,
    resume: Checkpoint | None = None,
    about: Mapping[str, Any] | None = None,
    evaluate: Evaluate | None = None,
) -> Checkpoint:
    """Train a model in place and return the last checkpoint; checkpoints and curves are written on the way.

    The global generators of torch are left as they were.

    Args:
        model: as constructed, or `resume.model`.
        dataset: yields `input` (T, F), `actions` (T, D), `valid` (T, D); has `statistics`.
        ckpt_path, log_dir: the checkpoint file, and the folder of this run's TensorBoard file; None = write none.
        val_dataset: held-out recordings, scored after each epoch.
        resume: go on from here, with the settings of `config`; on a CPU with as many threads and the same settings, the
            weights are those of an uninterrupted run.
        about: `dataset` (its name), `features`, `settings`: kept in the checkpoint.
        evaluate: called with the model and the number of epochs done; gives scalars and figures to log as `test`.

    Raises:
        FloatingPointError, MemoryError: a loss is not finite, or a batch does not fit; the last checkpoint is kept.
        Interrupted: after SIGINT or SIGTERM, with a checkpoint.
        OSError: a file cannot be written, or a process that loads batches has died; a checkpoint is written first.
    """
    device = pick_device(distributed.own_device(config.device))
    with own_draws(device), using_threads(config.threads) as threads:
        run = begin(model, dataset, replace(config, threads=threads), resume, about)
        place_if_it_fits(device, dataset, val_dataset)
        return _take_steps(run, dataset, val_dataset, evaluate, ckpt_path, log_dir)


def _take_steps(
    run: Run,
    dataset: Dataset,
    val_dataset: Dataset | None,
    evaluate: Evaluate | None,
    ckpt_path: str | Path | None,
    log_dir: str | Path | None,
) -> Checkpoint:
    """Train to the end of the run; see `train`."""
    config, step = run.config, distributed.over_processes(TrainingStep(run.model, run.hoa, run.config), run.device)
    save = partial(save_run, run, dataset, ckpt_path)
    signals, ending = stop_signals(ckpt_path is not None), last_words(ckpt_path, save, config.batch_size)
    curves = tensorboard_log.opened(log_dir, run.about["settings"], run.step or None)
    progress, shown = tqdm(total=run.steps, initial=run.step, desc="steps"), {}
    with signals as stopped, keeping_freed_memory(run.device), ending, curves as writer, progress:
        while run.step < run.steps:
            run.model.train()
            recent = LossCurves(writer, dataset, config.log_every_step)
            for windows, batch in epoch_batches(dataset, config, run.step, run.device):
                losses = step(batch, run.step, len(windows))
                rate = run.update(losses["total_loss"])
                shown |= recent.add(run.step, windows, batch, losses, rate)
                progress.set_postfix(shown, refresh=False)
                progress.update()
                if told_to_stop(stopped, run.step):
                    break
            recent.check(run.step)
            epoch, rest = divmod(run.step, run.per_epoch)
            if not rest:
                shown |= _score(run, dataset, val_dataset, evaluate, writer)
            stop = distributed.agreed(bool(stopped))
            if stop or (epoch % config.checkpoint_every == 0 and run.step < run.steps):
                save()
            if stop:
                raise Interrupted(stopped[0] if stopped else signal.SIGTERM, ckpt_path, run.step)
    run.model.eval()
    return save()


def _score(
    run: Run, dataset: Dataset, val_dataset: Dataset | None, evaluate: Evaluate | None, writer: SummaryWriter | None
) -> dict[str, str]:
    """Log the scores after an epoch; returns what the progress bar shows of them."""
    shown = {}
    if val_dataset is not None:
        if run.held_out is None:
            marginal = measure_marginal(dataset, val_dataset, run.config).to(run.device)
            run.held_out = replace(run.hoa, marginal=marginal)
        scores = validate(run.model, val_dataset, run.held_out, run.config, run.device)
        tensorboard_log.log(writer, "val", scores, run.step)
        shown["val_skill"] = f"{scores['hoa_skill']:.3f}"
    if evaluate is not None and distributed.is_first():
        scalars, figures = evaluate(run.model, run.step // run.per_epoch)
        tensorboard_log.log(writer, "test", scalars, run.step, figures)
    return shown


@torch.no_grad()
def validate(
    model: BAMS, dataset: Dataset, hoa: HoALoss, config: TrainConfig, device: torch.device
) -> dict[str, float]:
    """HoA skill and plain distance over a whole data set, at every frame."""
    model.eval()
    order = [windows.tolist() for windows in torch.arange(len(dataset)).split(config.batch_size)]
    sums = HoASums(torch.zeros_like(hoa.marginal), torch.zeros_like(hoa.marginal))
    for batch in load_batches(dataset, config, distributed.share(order)):
        batch = on_device(batch, device)
        frames = hoa.predicted_frames(batch["input"].shape[1], 1.0).to(device)
        embs = {name: emb[:, frames] for name, emb in model.encode(batch["input"]).items()}
        logits = model.predict_actions(embs, batch["input"][:, frames])
        found = hoa.sums(logits, batch["actions"], batch["valid"], frames)
        sums = HoASums(*(one + other for one, other in zip(sums, found, strict=True)))
    scores = hoa.scores(HoASums(*map(distributed.summed, sums)))
    return {"hoa_skill": float(scores.skill), "hoa_loss": float(scores.distance)}
