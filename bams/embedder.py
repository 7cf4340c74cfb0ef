"""Fit and transform, as scikit-learn has them, on the training loop of the scripts.

Axes: A individuals, T frames, K keypoints, d coordinates, C channels.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from bams import checkpoint
from bams.checkpoint import Checkpoint, part_of, trained_features
from bams.compute.devices import pick_device
from bams.data.keypoints import KeypointsDataset
from bams.data.split import choose_parts, ever_tracked
from bams.embed.tracks import TrackEmbedding, embed
from bams.features.config import FeatureConfig
from bams.quality import drift
from bams.quality.drift import DriftReport, compare
from bams.quality.training_summary import Reference, describe, describe_embeddings
from bams.recordings.cleaning import CleaningConfig, clean
from bams.recordings.recording import (
    Recording,
    as_recordings,
    check_same_rate,
    check_same_skeleton,
    check_skeleton,
    track_names,
)
from bams.training.config import TrainConfig
from bams.training.loop import train
from bams.training.run import new_model

# as benchmarks/readout.py found
DEFAULTS: dict[str, Any] = {
    "epochs": 0,
    "lr": 2e-3,
    "lr_schedule": "cosine",
    "sequence_length": 600,
    "skip_frames": 10,
    "views": 16,
    "near_frames": 15,
    "far_frames": 60,
}
CHANNELS = 128  # of an embedding, all encoders and the pooling of individuals taken together
# So many recordings, and frames of each, tell what the embeddings of all are like.
REFERENCE_RECORDINGS, REFERENCE_FRAMES = 16, 10_000


def sizes(pooled: bool) -> dict[str, Any]:
    """The network's sizes; with individuals to pool, whose mean and range are joined, half the channels each."""
    each = CHANNELS // (4 if pooled else 2)
    return {
        "short_term": {"num_channels": (64, 64, 64, each), "kernel_size": 3},
        "long_term": {"num_channels": (64, 64, 64, 64, each), "kernel_size": 3, "dilation": 4},
        "hidden_layers": (256, 512, 512),
    }


def prepare(recordings: Sequence[Recording], cleaning: CleaningConfig) -> list[Recording]:
    """Recordings that can be taken together, cleaned.

    Raises:
        ValueError: their keypoints or rates differ, or they cannot be cleaned so.
    """
    cleaned = clean(recordings, cleaning)
    check_same_skeleton(cleaned)
    check_same_rate(cleaned)
    return cleaned


def prepare_like(recordings: Sequence[Recording], trained: Checkpoint) -> list[Recording]:
    """New recordings, cleaned as those that a model was trained on.

    Raises:
        ValueError: they have other keypoints, or cannot be cleaned so.
    """
    cleaned = prepare(recordings, part_of(trained.settings, CleaningConfig))
    if trained.reference:
        check_skeleton(trained.reference["keypoint_names"], cleaned)
    return cleaned


def feature_config(asked: FeatureConfig, recordings: Sequence[Recording]) -> FeatureConfig:
    """The features asked for, of as many other animals as there are in any of the recordings."""
    config = part_of(vars(asked), FeatureConfig)
    return replace(config, others=min(config.others, max(len(r.individuals) for r in recordings) - 1))


def make_dataset(recordings: Sequence[Recording], config: FeatureConfig, **options: Any) -> KeypointsDataset:
    """The tracks of recordings, with features that need no hand-work; `options` are those of the data set."""
    dataset = KeypointsDataset(
        [track for recording in recordings for track in recording.keypoints],
        individuals=[len(recording.individuals) for recording in recordings],
        keypoint_names=recordings[0].keypoint_names or None,
        config=config,
        **options,
    )
    joint = config.tracks == "joint"
    dataset.track_names = [one.name for one in recordings] if joint else track_names(recordings)
    return dataset


def split(
    recordings: Sequence[Recording], least: int, share: float, seed: int, joint: bool
) -> tuple[list[Recording], list[Recording]]:
    """Training recordings and held-out ones.

    Recordings too short to learn from are left out, as are individuals that are never tracked.

    Args:
        recordings: any.
        least: frames that a recording must have.
        share: of the recordings to hold out.
        seed: which are held out follows from it.
        joint: the individuals of a recording are one track together, and all stay.

    Raises:
        ValueError: every recording is too short, or nobody is in any.
    """
    parts = choose_parts([recording.keypoints for recording in recordings], least, share, seed)
    found = ([recordings[i] for i in part] for part in parts)
    training, held_out = found if joint else ([_tracked_alone(one) for one in part] for part in found)
    return training, held_out


def _tracked_alone(recording: Recording) -> Recording:
    there = ever_tracked(recording.keypoints)
    names = [name for name, one in zip(recording.individuals, there, strict=True) if one]
    confidence = None if recording.confidence is None else recording.confidence[there]
    return replace(recording, keypoints=recording.keypoints[there], individuals=names, confidence=confidence)


def hoa_window(seconds: float, recordings: Sequence[Recording]) -> int:
    """Frames of a window of so many seconds.

    Raises:
        ValueError: the rate is not known.
    """
    rate = check_same_rate(recordings)
    if rate is None:
        raise ValueError("hoa_window_s needs the frames per second, which no file says: give fps too")
    return max(round(seconds * rate), 1)


def with_reference(trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device) -> Checkpoint:
    """A model that knows what the recordings that it was trained on look like; series have no looks."""
    if recordings[0].keypoints.ndim == 3:
        return trained
    embeddings = describe_embeddings(_some_embeddings(trained, recordings, device))
    return replace(trained, reference=asdict(replace(describe(recordings), embeddings=embeddings)))


def find_drift(trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu") -> DriftReport:
    """In what recordings, cleaned as those in training, differ from these.

    Raises:
        ValueError: the model does not know what those in training look like.
    """
    if not trained.reference:
        raise ValueError("the model does not know what the recordings of its training look like")
    return compare(Reference(**trained.reference), recordings, _some_embeddings(trained, recordings, device))


def say_drift(trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu") -> None:
    """Say on stderr in what recordings differ from those in training, if they do and that is known."""
    if trained.reference:
        found = find_drift(trained, recordings, device)
        if found.findings:
            print(found, file=sys.stderr)


def _some_embeddings(
    trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device
) -> dict[str, np.ndarray]:
    """Embeddings of the beginnings of some recordings, (frames, C) by encoder; of those who are there alone."""
    every = -(-len(recordings) // REFERENCE_RECORDINGS)
    some = [replace(one, keypoints=one.keypoints[:, :REFERENCE_FRAMES]) for one in recordings[::every]]
    if trained_features(trained).tracks != "joint":
        some = [there for one in some if len((there := _tracked_alone(one)).individuals)]
    found = [one.embs for embedded in embed(trained, some, device) for one in embedded]
    return {name: np.concatenate([embs[name] for embs in found]) for name in trained.model.sizes if found}


Recordings = Sequence[Recording | np.ndarray] | np.ndarray


class BAMSEmbedder(TransformerMixin, BaseEstimator):
    """Learns embeddings of recordings, without labels, and embeds these and others.

    Args:
        epochs: passes over the training windows; 0: as many as make 1500 steps.
        sequence_length: frames of a training window.
        batch_size: windows in a step.
        features: what the network sees and predicts; the defaults unless given.
        cleaning: what is done to the keypoints first, here and of new recordings; nothing unless given.
        hoa_window_s: seconds to come of which actions are predicted; unless given `hoa_window` frames, 30.
        settings: other fields of `TrainConfig`, by name; the defaults are those of `custom_dataset.py`.
        seed: every random draw follows from it.
        device: auto, cpu, cuda, ...
        log_dir: folder for TensorBoard files; none are kept unless given.

    Attributes:
        checkpoint_: the trained model, as in a file.
        keypoint_names_: K names.

    Example:
        Two animals that move at random:

        >>> steps = np.random.default_rng(0).normal(size=(2, 200, 4, 2))
        >>> embedder = BAMSEmbedder(epochs=1, sequence_length=100).fit(np.cumsum(steps, axis=1))
        >>> embedder.transform(np.cumsum(steps, axis=1))[0]["short_term"].shape
        (200, 64)
    """

    def __init__(
        self,
        epochs: int = 0,
        sequence_length: int = DEFAULTS["sequence_length"],
        batch_size: int = 32,
        features: FeatureConfig | None = None,
        cleaning: CleaningConfig | None = None,
        hoa_window_s: float | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: str = "auto",
        log_dir: str | Path | None = None,
    ):
        self.epochs = epochs
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.features = features
        self.cleaning = cleaning
        self.hoa_window_s = hoa_window_s
        self.settings = settings
        self.seed = seed
        self.device = device
        self.log_dir = log_dir

    def fit(self, X: Recordings, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on recordings.

        Args:
            X: recordings of `load_poses`; or arrays (T, K, d) or (A, T, K, d), NaN = not tracked; or one padded
                array, as `as_recordings` takes it. All have the same keypoints.
            y: is not used.

        Raises:
            ValueError: the recordings do not fit each other, or there is nothing to learn from.
        """
        cleaning = self.cleaning or CleaningConfig()
        recordings = prepare(_as_list(X), cleaning)
        config = self._train_config(recordings)
        features = feature_config(self.features or FeatureConfig(), recordings)
        least, joint = config.skip_frames + config.hoa_window + 1, features.tracks == "joint"
        recordings, _ = split(recordings, least, 0.0, config.seed, joint)
        dataset = make_dataset(recordings, features, sequence_length=self.sequence_length)
        model = new_model(dataset, sizes(pooled=max(dataset.individuals) > 1), config.seed)
        kept = {**asdict(features), **asdict(cleaning), "sequence_length": self.sequence_length}
        about = {"dataset": checkpoint.CUSTOM, "features": dataset.feature_names, "settings": kept}
        with TemporaryDirectory() as folder:
            log_dir = self.log_dir or Path(folder) / "runs"
            trained = train(model, dataset, config, ckpt_path=Path(folder) / "model.pt", log_dir=log_dir, about=about)
        self.checkpoint_ = with_reference(trained, recordings, pick_device(config.device))
        self.keypoint_names_ = recordings[0].keypoint_names
        return self

    def transform(self, X: Recordings) -> list[TrackEmbedding]:  # noqa: N803
        """Embed recordings, each whole; stderr says in what they differ from those in training, if they do.

        Args:
            X: as of `fit`.

        Returns:
            one for each individual of each recording (for each recording, if individuals are joined in one track).

        Raises:
            ValueError: their keypoints are not those in training.
        """
        check_is_fitted(self)
        recordings = prepare_like(_as_list(X), self.checkpoint_)
        say_drift(self.checkpoint_, recordings, pick_device(self.device))
        embedded = embed(self.checkpoint_, recordings, pick_device(self.device))
        return [one for found in embedded for one in found]

    def drift(self, X: Recordings) -> drift.DriftReport:  # noqa: N803
        """In what recordings differ from those in training."""
        check_is_fitted(self)
        recordings = prepare_like(_as_list(X), self.checkpoint_)
        return find_drift(self.checkpoint_, recordings, pick_device(self.device))

    def save(self, path: str | Path) -> Path:
        """Write the checkpoint, which the scripts take too."""
        check_is_fitted(self)
        return checkpoint.save(path, self.checkpoint_)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """What `save`, or `custom_dataset.py`, wrote.

        Raises:
            FileNotFoundError, ValueError: it is missing, damaged, or of other data.
        """
        trained = checkpoint.load(path)
        if trained.dataset != checkpoint.CUSTOM:
            raise ValueError(f"{path} was trained on {trained.dataset}; use the script it came from")
        kept = trained.settings
        known = {field.name for field in fields(TrainConfig)} - {"epochs", "batch_size", "seed", "device"}
        made = cls(
            **{name: kept[name] for name in ("epochs", "sequence_length", "batch_size", "seed")},
            features=checkpoint.trained_features(trained),
            cleaning=part_of(kept, CleaningConfig),
            settings={name: value for name, value in kept.items() if name in known},
            device=device,
        )
        made.checkpoint_ = trained
        made.keypoint_names_ = list(trained.reference.get("keypoint_names", []))
        return made

    def _train_config(self, recordings: Sequence[Recording]) -> TrainConfig:
        given = {name: value for name, value in DEFAULTS.items() if name != "sequence_length"}
        given |= {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed, "device": self.device}
        if self.hoa_window_s is not None:
            given["hoa_window"] = hoa_window(self.hoa_window_s, recordings)
        return TrainConfig(**{**given, **(self.settings or {})})


def _as_list(recordings: Recordings) -> list[Recording]:
    if isinstance(recordings, np.ndarray):
        return as_recordings(recordings)
    if isinstance(recordings, str) or not isinstance(recordings, Sequence):
        raise ValueError(f"recordings are a {type(recordings).__name__}; expected a list of them, or an array")
    if len(recordings) == 0:
        raise ValueError("there is no recording")
    return [
        one if isinstance(one, Recording) else _as_recording(np.asarray(one), f"recording{i}")
        for i, one in enumerate(recordings)
    ]


def _as_recording(keypoints: np.ndarray, name: str) -> Recording:
    if keypoints.ndim not in (3, 4):
        raise ValueError(
            f"{name} has axes {keypoints.shape}; expected (frames, keypoints, coordinates) or (individuals, "
            "frames, keypoints, coordinates)"
        )
    individuals = keypoints if keypoints.ndim == 4 else keypoints[None]
    (made,) = as_recordings(individuals[None], {"recording_ids": [name]}, [individuals.shape[1]])
    return made
