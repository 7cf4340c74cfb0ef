"""What the scripts share: flags and YAML from the settings, one-sentence errors, the two jobs."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jsonargparse import ArgumentParser, set_parsing_settings

from bams import checkpoint
from bams.app import flags
from bams.app.config import RunConfig
from bams.app.run_files import check_new, newest, own_checkpoint, own_curves
from bams.checkpoint import Checkpoint, check_same_run, kept, part_of
from bams.compute import distributed
from bams.compute.devices import pick_device, pick_precision
from bams.data.dataset import Dataset
from bams.data.split import choose_parts, without_absent
from bams.models.bams import BAMS
from bams.storage import files
from bams.training.config import TrainConfig
from bams.training.loop import Evaluate, train
from bams.training.run import new_model, steps_and_epochs

set_parsing_settings(docstring_parse_attribute_docstrings=True)


class Settings(NamedTuple):
    """Everything that flags and files said.

    Attributes:
        run, train: the settings that all scripts share.
        script: those of this script, or None.
        resume: the checkpoint to go on from, or None.
        auto: it was found by `--resume auto`, and may be of a run that is done.
    """

    run: RunConfig
    train: TrainConfig
    script: Any = None
    resume: Checkpoint | None = None
    auto: bool = False

    @property
    def configs(self) -> list[Any]:
        """The dataclasses of settings that there are."""
        return [config for config in (self.run, self.train, self.script) if config is not None]


def parse(
    argv: Sequence[str],
    description: str,
    name: str,
    script_config: type | None = None,
    defaults: Mapping[str, Any] | None = None,
    jobs: Sequence[str] = ("train", "compute_representations"),
) -> Settings:
    """Settings from flags and a YAML file (`--config`); flags come first, then the file, then the defaults.

    Args:
        argv: the command line without the program's name.
        description: what `--help` says first.
        name: of the data set, which a run to go on with must have been on.
        script_config: a dataclass of this script's own settings.
        defaults: where this script's defaults differ.
        jobs: those that this script has.

    Raises:
        ValueError: an unknown flag or key, or a value that does not fit, as one sentence.
        OSError: checkpoints or curves cannot be written where they are to.
    """
    classes = [RunConfig, TrainConfig, *([script_config] if script_config else [])]
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of these settings")
    for cls in classes:
        parser.add_class_arguments(cls)
    parser.set_defaults(dict(defaults or {}))
    kinds = {f.name: f.type for cls in classes for f in dataclasses.fields(cls)}
    argv = flags.with_values(argv, {f"--{name}" for name, kind in kinds.items() if kind is bool})
    for path in flags.config_paths(argv):  # one by one, so that what is wrong is known to be in it
        flags.check_config(path, kinds)
        _parse(parser, ["--config", path], kinds, path)
    values = _parse(parser, argv, kinds)
    if values["job"] not in jobs:
        raise ValueError(f"this script has no --job {values['job']}; it has {', '.join(jobs)}")
    path, resume = values["resume"], None
    auto = path == "auto"
    if auto:
        path, resume = newest(part_of(values, RunConfig), name) or (None, None)
        print(f"going on with {path}" if path else "there is no checkpoint to go on with: a new run begins")
    elif path:
        resume = checkpoint.load(path)
    if resume is not None:
        known = kept(*classes)
        parser.set_defaults({k: v for k, v in resume.settings.items() if k in known})
        values = _parse(parser, argv, kinds)
    values |= {"resume": path, "ckpt_path": None if auto and path else values["ckpt_path"]}
    made = [part_of(values, cls) for cls in classes]
    settings = Settings(made[0], made[1], made[2] if script_config else None, resume, auto)
    _check_early(settings, name)
    return settings


def run_training(
    settings: Settings,
    name: str,
    train_set: Dataset,
    val_set: Dataset | None,
    sizes: Mapping[str, Any],
    features: Mapping[str, Any],
    evaluate: Evaluate | None = None,
    fps: float | None = None,
) -> Path:
    """The job `train` of every script: build or rebuild the model, train it, say what lies where.

    Args:
        settings: from `parse`.
        name: of the data set; the checkpoint is named after it.
        train_set, val_set: training and held-out windows.
        sizes: encoders by name, and `hidden_layers` of the action predictor without its last size.
        features, evaluate: see `bams.train.train`.
        fps: frames per second, if known.

    Returns:
        the checkpoint's path.
    """
    run, config, resume = settings.run, settings.train, settings.resume
    _, epochs = steps_and_epochs(config, len(train_set))
    same_data = resume is not None and resume.progress["windows"] == len(train_set)
    if same_data and resume.progress["epoch"] >= epochs:  # only --resume auto comes here with such a run
        print(f"{_trained(settings)}: there is nothing left to do")
        return Path(run.resume)
    with own_checkpoint(run, name) as path:
        model = new_model(train_set, sizes, config.seed) if resume is None else resume.model
        print(_summary(model, train_set, val_set, config, fps))
        begun = time.perf_counter()
        with own_curves(run.log_dir, path, resume is not None) as log_dir:
            train(
                model,
                train_set,
                config,
                ckpt_path=path,
                log_dir=log_dir,
                val_dataset=val_set,
                resume=resume,
                about={"dataset": name, "features": features, "settings": kept(*settings.configs)},
                evaluate=evaluate,
            )
    print(f"trained {epochs} epochs in {(time.perf_counter() - begun) / 60:.1f} minutes")
    print(f"checkpoint: {path}\ncurves: tensorboard --logdir {run.log_dir}")
    return path


def _summary(model: BAMS, train_set: Dataset, val_set: Dataset | None, config: TrainConfig, fps: float | None) -> str:
    device = pick_device(distributed.own_device(config.device))
    held_out = f"{val_set.n_tracks} held out" if val_set is not None else "none held out"
    per_epoch, epochs = steps_and_epochs(config, len(train_set))
    fields = {name: encoder.receptive_field for name, encoder in model.encoders.items()}
    seen = ", ".join(f"{n} {count}" + (f" ({count / fps:.3g} s)" if fps else "") for n, count in fields.items())
    return (
        f"{train_set.n_tracks} tracks ({held_out}), {len(train_set)} windows of "
        f"{train_set.sequence_length} frames; "
        f"{train_set.input_size} input and {train_set.target_size} action features; "
        f"{epochs} epochs of {per_epoch} steps; "
        f"receptive fields {seen} frames; "
        f"on {device} in {pick_precision(config.precision, device)}"
    )


def split_recordings(recordings: list[np.ndarray], settings: Settings) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Training recordings (A, T, ...) and held-out ones; those too short, or without anybody, are skipped.

    Raises:
        ValueError: every recording is too short, or nobody is in any.
    """
    least = settings.train.skip_frames + settings.train.hoa_window + 1
    share, seed = settings.run.val_share, settings.train.seed
    training, held_out = ([recordings[i] for i in part] for part in choose_parts(recordings, least, share, seed))
    return training, held_out


def split_datasets(
    recordings: list[np.ndarray],
    settings: Settings,
    make_dataset: Callable[..., Dataset],
) -> tuple[Dataset, Dataset | None]:
    """Training and held-out windows: whole recordings are held out.

    Recordings too short to learn from are skipped, and individuals that are never tracked are no tracks.

    Args:
        recordings: arrays (A, T, ...).
        settings: from `parse`.
        make_dataset: (recordings, statistics=...) -> `Dataset`.

    Raises:
        ValueError: every recording is too short, or nobody is in any.
    """
    training, held_out = (
        [without_absent(recording) for recording in part] for part in split_recordings(recordings, settings)
    )
    statistics = settings.resume.statistics if settings.resume is not None else None
    train_set = make_dataset(training, statistics=statistics)
    return train_set, make_dataset(held_out, statistics=train_set.statistics) if held_out else None


def load_trained(settings: Settings, name: str) -> Checkpoint:
    """The checkpoint to embed with, if it is of the data set `name`.

    Raises:
        FileNotFoundError, ValueError: it is missing, damaged, or of other data.
    """
    trained = checkpoint.load(settings.run.ckpt_path)
    check_kind(trained, name, settings.run.ckpt_path)
    return trained


def check_kind(found: Checkpoint, name: str, path: str) -> None:
    """Raise ValueError unless the checkpoint is of the data set `name`."""
    if found.dataset != name:
        raise ValueError(f"{path} was trained on {found.dataset}, not on {name}; use the script it came from")


def _check_early(settings: Settings, name: str) -> None:
    """Refuse, before any recording is read, what a job would end with after work that is then lost."""
    run, resume = settings.run, settings.resume
    pick_device(settings.train.device)
    if run.job in ("train", "all"):
        for folder in (check_new(run), run.log_dir):
            files.check_writable(folder)
    if resume is None:
        return
    check_kind(resume, name, run.resume)
    check_same_run(resume, *settings.configs)
    _, epochs = steps_and_epochs(settings.train, resume.progress["windows"])
    if resume.progress["epoch"] >= epochs and not settings.auto:
        raise ValueError(f"{_trained(settings)}: there is nothing left to do; give more --epochs to go on")


def _trained(settings: Settings) -> str:
    _, epochs = steps_and_epochs(settings.train, settings.resume.progress["windows"])
    done = settings.resume.progress["epoch"]
    return f"{settings.run.resume} has been trained for {done} epochs already, of {epochs}"


def _parse(parser: ArgumentParser, argv: Sequence[str], kinds: Mapping[str, Any], config: str = "") -> dict[str, Any]:
    try:
        return parser.parse_args(argv).as_dict()
    except argparse.ArgumentError as error:
        raise ValueError(flags.sentence(str(error), argv, kinds, config)) from error
