"""What a trained model is on disk: one file that rebuilds it, and opens without running code."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from bams.features.config import FeatureConfig
from bams.features.recording import FeatureSource, from_data, recording_features
from bams.models.bams import BAMS, InputScale
from bams.models.released import is_released, own_name, released_config
from bams.statistics import Statistics, known_inputs
from bams.storage import files, tensors

Part = TypeVar("Part")
FORMAT = "bams-checkpoint-1"
_MISFITS = (LookupError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError)
CUSTOM = "custom"  # data set of your own recordings


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with all that is needed to use it on new data, or to train on."""

    model: BAMS  #: in eval mode
    dataset: str  #: what it was trained on, for example 'mouse_triplets'
    statistics: Statistics  #: fitted on the training tracks; `Dataset(statistics=...)` takes them for new data
    marginal_loss: np.ndarray  #: (D,) float32, see `bams.losses.marginal_loss`
    features: dict[str, Any] = field(default_factory=dict)  #: names of `inputs` and `actions`; `source` makes them
    settings: dict[str, Any] = field(default_factory=dict)  #: the training configuration
    progress: dict[str, Any] = field(default_factory=dict)  #: epoch, step, windows, state of the optimiser
    versions: dict[str, str] = field(default_factory=dict)  #: of bams, torch, numpy and Python at the time of writing
    reference: dict[str, Any] = field(default_factory=dict)  #: what your own training recordings are like, for drift

    def inputs(self, recording: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
        """What the network takes of a recording: (A, T, F) float32; unknown values are at the centre in training.

        `recording` is (A, T, K, d) keypoints or (A, T, F) series, float32, in the unit of training, NaN = not tracked;
        `names` are those of its K keypoints, as in training unless given.
        """
        found = recording_features(recording, trained_features(self), names or self.keypoint_names)
        features = {"inputs": list(found.input_names), "actions": list(found.action_names)}
        check_features(self.features, features, "the model")
        return known_inputs(found.inputs, self.statistics)

    @property
    def keypoint_names(self) -> list[str] | None:
        """K names of the keypoints, None = not known."""
        return list(self.reference.get("keypoint_names", [])) or None

    def __reduce__(self):
        """Copies and pickles are made of what a file holds, as torch does not pickle weight-normalised layers."""
        return _from_content, (_content(self),)


def save(path: str | Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, whole or not at all."""
    return tensors.write(path, _content(checkpoint))


def load(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint of this library, or raise FileNotFoundError or ValueError; the model is in eval mode."""
    content = _read(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        hint = " (it looks like bare weights: see bams.checkpoint.load_released)" if is_released(content) else ""
        raise ValueError(f"{path} is not a checkpoint of this version of bams{hint}")
    try:
        found = _from_content(content)
        found.model.to(device)
        return found
    except _MISFITS as error:
        raise ValueError(f"{path} is a checkpoint with missing or misfitting parts: {files.short(error)}") from error


def _content(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a file holds."""
    model, statistics = checkpoint.model, asdict(checkpoint.statistics)
    parts = {"format": FORMAT, "model": model.config, "statistics": statistics, "weights": model.state_dict()}
    return _storable(vars(checkpoint) | parts)


def _from_content(content: Mapping[str, Any]) -> Checkpoint:
    """The opposite of `_content`."""
    content = {name: value for name, value in content.items() if name != "format"}
    content["model"] = _model(content["model"], content.pop("weights"))
    content["statistics"] = Statistics(**_with_arrays(content["statistics"]))
    content["marginal_loss"] = content["marginal_loss"].numpy()
    content["reference"] = _with_arrays(content.get("reference", {}))
    return Checkpoint(**content)


def _model(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> BAMS:
    """The model of these sizes with these weights, in eval mode."""
    with torch.device("meta"):
        model = BAMS(**config)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> BAMS:
    """The model of a checkpoint, ready for use; the errors of `load`."""
    return load(path, device).model


def part_of(settings: Mapping[str, Any], cls: type[Part]) -> Part:
    """The settings of one class, out of the settings of several; defaults where one is missing."""
    return cls(**{field.name: settings[field.name] for field in fields(cls) if field.name in settings})


def kept(*configs: Any) -> dict[str, Any]:
    """The settings that a checkpoint keeps, by name: all but paths and the like, marked `metadata={"kept": False}`."""
    settings = [(config, setting) for config in configs for setting in fields(config)]
    return {s.name: getattr(config, s.name) for config, s in settings if s.metadata.get("kept", True)}


def check_same_run(trained: Checkpoint, *configs: Any) -> None:
    """Raise ValueError if a setting marked `metadata={"fixed": True}` differs from the run to resume."""
    for config in configs:
        for setting in fields(config):
            name, given = setting.name, getattr(config, setting.name)
            had = trained.settings.get(name, given)
            if setting.metadata.get("fixed") and _storable(had) != _storable(given):
                message = f"the run to resume had {name} {had}, not {given}"
                raise ValueError(f"{message}: resume with the same data and settings")


def trained_features(trained: Checkpoint) -> FeatureSource:
    """Which features a model was trained on; ValueError if they are not known, or not made any more."""
    if "source" in trained.features:
        return from_data(trained.features["source"])
    if trained.dataset != CUSTOM:
        message = f"this checkpoint of {trained.dataset} is from before version 0.2 and does not say how"
        raise ValueError(f"{message} its features are made: give them, for example mouse_triplets.features")
    if trained.settings.get("tracks") == "joint" or trained.settings.get("features") == "camera":
        raise ValueError("the model was trained with --tracks joint or --features camera, which only bams 0.1 has")
    return part_of(trained.settings, FeatureConfig)


def check_dataset(found: Checkpoint, name: str, path: str | Path) -> None:
    """Raise ValueError unless the checkpoint, read from `path`, was trained on the data set `name`."""
    if found.dataset != name:
        raise ValueError(f"{path} was trained on {found.dataset}, not on {name}; use the script it came from")


def check_features(expected: Mapping[str, list[str]], found: Mapping[str, list[str]], path: str) -> None:
    """Raise ValueError unless the features of the data are those `expected`, of the checkpoint at `path`."""
    for kind in ("inputs", "actions"):
        names, known = found.get(kind, expected[kind]), expected[kind]
        if names != known:
            other = next((a for a, b in zip(names, known, strict=False) if a != b), "more or fewer of them")
            counts = f"{len(known)} {kind} features, these data give {len(names)} (first difference: {other})"
            raise ValueError(f"{path} was trained on {counts}: use the same keypoints, by the same names")


def load_released(
    path: str | Path, *, dilations: Mapping[str, int] | None = None, device: str | torch.device = "cpu"
) -> BAMS:
    """Rebuild a model from the bare weights that the paper's released code saves; its input is not scaled.

    The bases of the `dilations`, by encoder, are not in such a file: unless given, 4 for long_term and 2 for others.
    Raises FileNotFoundError, or ValueError if the file is damaged or does not hold such weights.
    """
    weights = _read(path)
    if not is_released(weights):
        raise ValueError(f"{path} does not hold weights under the names of the released code")
    try:
        config = released_config(weights, {"long_term": 4, **(dilations or {})})
        unknown = set(dilations or {}) - set(config)
        if unknown:
            raise ValueError(f"there is no encoder {', '.join(sorted(unknown))} in it")
        renamed = {own_name(key): value for key, value in weights.items() if ".net." not in key}
        scale = InputScale(config["input_size"]).state_dict(prefix="scale.")
        model = _model(config, renamed | scale)
    except _MISFITS as error:
        raise ValueError(f"{path} does not fit the released architecture: {files.short(error)}") from error
    return model.to(device)


def _read(path: str | Path) -> Any:
    path = files.existing(path)
    try:
        return tensors.read(path)
    except Exception as error:  # zipfile, pickle and torch each raise their own kinds
        raise ValueError(f"{path} is not a checkpoint, or is damaged: {files.short(error)}") from error


def _storable(value: Any) -> Any:
    """Plain containers, numbers, strings and tensors only: all that a `weights_only` load admits."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else _mapped(_storable, value)


def _with_arrays(value: Any) -> Any:
    """The opposite of `_storable`, of arrays."""
    return value.numpy() if isinstance(value, torch.Tensor) else _mapped(_with_arrays, value)


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """What the function makes of each item of a container, or anything else as it is."""
    if isinstance(value, Mapping):
        return {key: function(item) for key, item in value.items()}
    return [function(item) for item in value] if isinstance(value, list | tuple) else value
