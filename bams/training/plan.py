"""What a training run works on, put together once for scripts and notebooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bams.checkpoint import Checkpoint
from bams.data.dataset import Dataset
from bams.models.bams import BAMS
from bams.training.config import TrainConfig
from bams.training.run import new_model


@dataclass(frozen=True)
class Plan:
    """The arguments of `bams.train` but for the files that it writes.

    Attributes:
        model: with random weights, or that of the run to go on with.
        dataset, val_dataset: training windows, and held-out ones (None = none).
        config: how to train.
        about: `dataset` (its name), `features` and `settings`, for the checkpoint.
        resume: the run to go on with, None = a new run.
    """

    model: BAMS
    dataset: Dataset
    val_dataset: Dataset | None
    config: TrainConfig
    about: Mapping[str, Any]
    resume: Checkpoint | None = None


def plan_training(
    name: str,
    dataset: Dataset,
    val_dataset: Dataset | None,
    sizes: Mapping[str, Any],
    config: TrainConfig,
    features: Mapping[str, Any],
    settings: Mapping[str, Any],
    resume: Checkpoint | None = None,
) -> Plan:
    """A plan for a new run, or for going on with `resume`.

    Args:
        name: of the data set.
        dataset, val_dataset, config, resume: see `Plan`.
        sizes: encoders by name, and `hidden_layers` of the action predictor without its last size.
        features: names of inputs and actions, and how they are made.
        settings: what else the checkpoint keeps.
    """
    model = new_model(dataset, sizes, config.seed) if resume is None else resume.model
    about = {"dataset": name, "features": dict(features), "settings": dict(settings)}
    return Plan(model, dataset, val_dataset, config, about, resume)
