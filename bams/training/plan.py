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
    """The arguments of `bams.train`, except for the files that it writes."""

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
    """A plan for a new model of these `sizes` (see `new_model`), or for going on with the run `resume`.

    The checkpoint keeps the name of the data set, the features, and any settings.
    """
    model = new_model(dataset, sizes, config.seed) if resume is None else resume.model
    about = {"dataset": name, "features": dict(features), "settings": dict(settings)}
    return Plan(model, dataset, val_dataset, config, about, resume)
