"""Fit and transform, as scikit-learn has them, on the training loop of the scripts.

Axes: A individuals, T frames, K keypoints, d coordinates, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from bams import checkpoint, drift, recipe
from bams.config import CleaningConfig, FeatureConfig, TrainConfig, part_of
from bams.devices import pick_device
from bams.exports import TrackEmbedding
from bams.recordings import Recording, as_recordings
from bams.state import new_model
from bams.train import train

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
        sequence_length: int = recipe.DEFAULTS["sequence_length"],
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
        recordings = recipe.prepare(_as_list(X), cleaning)
        config = self._train_config(recordings)
        features = recipe.feature_config(self.features or FeatureConfig(), recordings)
        least, joint = config.skip_frames + config.hoa_window + 1, features.tracks == "joint"
        recordings, _ = recipe.split(recordings, least, 0.0, config.seed, joint)
        dataset = recipe.make_dataset(recordings, features, sequence_length=self.sequence_length)
        model = new_model(dataset, recipe.sizes(pooled=max(dataset.individuals) > 1), config.seed)
        kept = {**asdict(features), **asdict(cleaning), "sequence_length": self.sequence_length}
        about = {"dataset": checkpoint.CUSTOM, "features": dataset.feature_names, "settings": kept}
        with TemporaryDirectory() as folder:
            log_dir = self.log_dir or Path(folder) / "runs"
            trained = train(model, dataset, config, ckpt_path=Path(folder) / "model.pt", log_dir=log_dir, about=about)
        self.checkpoint_ = recipe.with_reference(trained, recordings, pick_device(config.device))
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
        recordings = recipe.prepare_like(_as_list(X), self.checkpoint_)
        recipe.say_drift(self.checkpoint_, recordings, pick_device(self.device))
        embedded = recipe.embed(self.checkpoint_, recordings, pick_device(self.device))
        return [one for found in embedded for one in found]

    def drift(self, X: Recordings) -> drift.DriftReport:  # noqa: N803
        """In what recordings differ from those in training."""
        check_is_fitted(self)
        recordings = recipe.prepare_like(_as_list(X), self.checkpoint_)
        return recipe.find_drift(self.checkpoint_, recordings, pick_device(self.device))

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
        given = {name: value for name, value in recipe.DEFAULTS.items() if name != "sequence_length"}
        given |= {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed, "device": self.device}
        if self.hoa_window_s is not None:
            given["hoa_window"] = recipe.hoa_window(self.hoa_window_s, recordings)
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
