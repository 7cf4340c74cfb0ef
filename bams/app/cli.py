"""What the scripts share: settings from the command line, and the job `train`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bams import checkpoint
from bams.app.config import RunConfig
from bams.app.flags import check_used, read_settings
from bams.app.run_files import check_new, newest, own_checkpoint, own_curves
from bams.checkpoint import Checkpoint, check_dataset, check_same_run, kept, part_of
from bams.compute import distributed
from bams.compute.devices import pick_device, pick_precision
from bams.compute.threads import set_threads
from bams.storage import files
from bams.training.config import TrainConfig
from bams.training.loop import Evaluate, train
from bams.training.plan import Plan
from bams.training.run import steps_and_epochs


@dataclass(frozen=True)
class Settings:
    """What flags and files say."""

    run: RunConfig
    train: TrainConfig
    script: Any = None  # the settings of this script alone
    resume: Checkpoint | None = None  # the run to go on with
    auto: bool = False  # whether `--resume auto` found that run, which may be done
    flags: frozenset[str] = frozenset()  # names of the settings that the command line gives
    in_files: frozenset[str] = frozenset()  # and of those that files give


def parse(
    argv: Sequence[str],
    description: str,
    name: str,
    script_config: type | None = None,
    defaults: Mapping[str, Any] | None = None,
    jobs: Sequence[str] = ("train", "compute_representations"),
) -> Settings:
    """Settings from flags, then YAML files (`--config`), then the run to go on with, then the defaults.

    A run to go on with must have been on the data set `name`. `script_config` is a dataclass of the script's own
    settings, `defaults` are the values in which the script differs. ValueError if the job does not use a flag.
    """
    classes = [cls for cls in (RunConfig, TrainConfig, script_config) if cls]
    read = read_settings(argv, description, classes, defaults or {})
    values = read.values
    if values["job"] not in jobs:
        raise ValueError(f"this script has no --job {values['job']}; it has {', '.join(jobs)}")
    path, resume, auto = values["resume"], None, values["resume"] == "auto"
    if auto:
        path, resume = newest(part_of(values, RunConfig), name) or (None, None)
        print(f"going on with {path}" if path else "there is no checkpoint to go on with: a new run begins")
    elif path:
        resume = checkpoint.load(path)
    if resume is not None:
        had = {setting: resume.settings[setting] for setting in kept(*classes) if setting in resume.settings}
        read = read_settings(argv, description, classes, {**(defaults or {}), **had})
        values = read.values
    values |= {"resume": path, "ckpt_path": None if auto and path else values["ckpt_path"]}
    configs = [part_of(values, cls) for cls in classes]
    if resume is not None:
        check_dataset(resume, name, path)
        check_same_run(resume, *configs)
    settings = Settings(
        *configs, resume=resume, auto=auto, flags=frozenset(read.flags), in_files=frozenset(read.in_files)
    )
    trained = lambda: load_trained(settings, name).settings if settings.run.ckpt_path else {}  # noqa: E731
    check_used(settings.run.job, classes, read, trained)
    # refuse at once what a job would refuse after work that is then lost
    pick_device(settings.train.device)
    settings = replace(settings, train=replace(settings.train, threads=set_threads(settings.train.threads)))
    if settings.run.job in ("train", "all"):
        for folder in (check_new(settings.run), settings.run.log_dir):
            files.check_writable(folder)
    if resume is not None and not auto and (done := _done(settings)):
        raise ValueError(f"{done}; give more --epochs to go on")
    return settings


def run_training(settings: Settings, plan: Plan, evaluate: Evaluate | None = None, fps: float | None = None) -> Path:
    """The job `train` of every script: train, say what lies where, and return the checkpoint's path."""
    run, resume = settings.run, settings.resume
    same_data = resume is not None and resume.progress["windows"] == len(plan.dataset)
    if same_data and (done := _done(settings)):  # only --resume auto comes here with such a run
        print(done)
        return Path(run.resume)
    _, epochs = steps_and_epochs(plan.config, len(plan.dataset))
    with own_checkpoint(run, plan.about["dataset"]) as path:
        print(_summary(plan, fps))
        begun = time.perf_counter()
        with own_curves(run.log_dir, path, resume is not None) as log_dir:
            train(**vars(plan), ckpt_path=path, log_dir=log_dir, evaluate=evaluate)
    print(f"trained {epochs} epochs in {(time.perf_counter() - begun) / 60:.1f} minutes")
    print(f"checkpoint: {path}\ncurves: tensorboard --logdir {run.log_dir}")
    return path


def load_trained(settings: Settings, name: str) -> Checkpoint:
    """The checkpoint `--ckpt_path`, of the data set `name`."""
    trained = checkpoint.load(settings.run.ckpt_path)
    check_dataset(trained, name, settings.run.ckpt_path)
    return trained


def _summary(plan: Plan, fps: float | None) -> str:
    config, windows = plan.config, plan.dataset
    device = pick_device(distributed.own_device(config.device))
    held_out = f"{plan.val_dataset.n_tracks} held out" if plan.val_dataset is not None else "none held out"
    per_epoch, epochs = steps_and_epochs(config, len(windows))
    fields = {name: encoder.receptive_field for name, encoder in plan.model.encoders.items()}
    seen = ", ".join(f"{n} {count}" + (f" ({count / fps:.3g} s)" if fps else "") for n, count in fields.items())
    return (
        f"{windows.n_tracks} tracks ({held_out}), {len(windows)} windows of {windows.sequence_length} frames; "
        f"{windows.input_size} input and {windows.target_size} action features; {epochs} epochs of {per_epoch} steps; "
        f"receptive fields {seen} frames; on {device} in {pick_precision(config.precision, device)}"
    )


def _done(settings: Settings) -> str:
    """What to say of a run to go on with that has no epochs left; empty if it has."""
    trained = settings.resume.progress["epoch"]
    _, epochs = steps_and_epochs(settings.train, settings.resume.progress["windows"])
    said = f"{settings.run.resume} has been trained for {trained} epochs already, of {epochs}: nothing is left to do"
    return said if trained >= epochs else ""
