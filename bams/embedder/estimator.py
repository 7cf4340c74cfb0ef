"""Fit and transform, as scikit-learn has them: the one assembly of recordings, features, network and training.

Axes: A individuals, T frames, K keypoints, d coordinates, C channels.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from bams import checkpoint
from bams.checkpoint import CUSTOM, Checkpoint, part_of, trained_features
from bams.compute.devices import pick_device
from bams.compute.threads import using_threads
from bams.data.split import choose_parts
from bams.embed.tracks import TrackEmbedding, embed
from bams.embedder.defaults import DEFAULTS, make_dataset, sizes
from bams.embedder.drift import find_drift, say_drift, tracked_alone, with_reference
from bams.features.config import FeatureConfig
from bams.features.recording import as_data
from bams.quality.drift import DriftReport
from bams.quality.reading import say_reading_warnings
from bams.recordings.cleaning import CleaningConfig, check_renames, clean
from bams.recordings.recording import Recording, as_recordings, check_same_rate, check_same_skeleton, check_skeleton
from bams.training.config import TrainConfig
from bams.training.loop import train
from bams.training.plan import Plan, plan_training

Recordings = Sequence[Recording | np.ndarray] | np.ndarray


@dataclass(eq=False, repr=False)
class BAMSEmbedder(TransformerMixin, BaseEstimator):
    """Learns embeddings of recordings, without labels, and embeds these and others.

    Args:
        epochs: passes over the training windows; 0: as many as make 1500 steps.
        sequence_length: frames of a training window.
        batch_size: windows in a step.
        features: what the network sees and predicts; the defaults unless given.
        cleaning: what is done to the keypoints of these and new recordings; nothing unless given.
        hoa_window_s: seconds to come whose actions are predicted; unless given `hoa_window` frames, 30.
        settings: other fields of `TrainConfig`, by name; the defaults equal those of `custom_dataset.py`.
        seed: every random draw follows from it.
        device: auto, cpu, cuda, cuda:1, mps, ...
        log_dir: folder for TensorBoard files; none are kept unless given.
        val_share: share of the recordings that is held out, to log the skill on.
        hoa_bins: Q, bins of the histogram of actions.
        cache_path: folder to keep features in, as mapped files; memory unless given.

    The fitted embedder has `checkpoint_`, the trained model as in a file, and `keypoint_names_`, K names.

    Example:
        Two animals that move at random:

        >>> steps = np.random.default_rng(0).normal(size=(2, 200, 4, 2))
        >>> embedder = BAMSEmbedder(epochs=1, sequence_length=100).fit(np.cumsum(steps, axis=1))
        >>> embedder.transform(np.cumsum(steps, axis=1))[0]["short_term"].shape
        (200, 64)
    """

    epochs: int = 0
    sequence_length: int = DEFAULTS["sequence_length"]
    batch_size: int = 32
    features: FeatureConfig | None = None
    cleaning: CleaningConfig | None = None
    hoa_window_s: float | None = None
    settings: Mapping[str, Any] | None = None
    seed: int = 0
    device: str = "auto"
    log_dir: str | Path | None = None
    val_share: float = 0.0
    hoa_bins: int = 32
    cache_path: str | Path | None = None

    def fit(self, X: Recordings, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on recordings, on arrays (T, K, d) or (A, T, K, d), or on one padded array; NaN = not tracked.

        Raises ValueError if recordings differ in their keypoints or rate, or there is nothing to learn from.
        """
        given = _as_list(X)
        say_reading_warnings(given)
        plan, recordings = self.plan(self.prepare(given))
        with using_threads(plan.config.threads) as threads:
            plan = replace(plan, config=replace(plan.config, threads=threads))
            trained = train(**vars(plan), ckpt_path=None, log_dir=self.log_dir)
            self.checkpoint_ = with_reference(trained, recordings, pick_device(self.device))
        self.keypoint_names_ = recordings[0].keypoint_names
        return self

    def prepare(self, X: Recordings) -> list[Recording]:  # noqa: N803
        """Recordings, cleaned and checked: ValueError if their keypoints or rates differ."""
        return _prepared(_as_list(X), self.cleaning or CleaningConfig())

    def plan(
        self, recordings: Sequence[Recording], resume: Checkpoint | None = None, kept: Mapping[str, Any] | None = None
    ) -> tuple[Plan, list[Recording]]:
        """What `fit` trains on recordings from `prepare`, and the recordings of its training windows.

        Recordings too short to learn from are left out, as are individuals that are never tracked. The checkpoint
        also keeps the settings `kept`.
        """
        config = self.train_config(recordings)
        asked = self.features or FeatureConfig()
        most = max(len(one.individuals) for one in recordings)
        features = replace(asked, others=min(asked.others, most - 1))
        arrays = [one.keypoints for one in recordings]
        about = [one.name for one in recordings], [one.group or one.name for one in recordings]
        parts = choose_parts(arrays, config.least_frames, self.val_share, config.seed, *about)
        training, held_out = ([tracked_alone(recordings[i]) for i in part] for part in parts)
        shape = {"sequence_length": self.sequence_length, "hoa_bins": self.hoa_bins}
        options = {**shape, "cache_path": self.cache_path}
        statistics = resume.statistics if resume is not None else None
        train_set = make_dataset(training, features, statistics=statistics, **options)
        val_set = make_dataset(held_out, features, statistics=train_set.statistics, **options) if held_out else None
        settings = {**asdict(features), **asdict(self.cleaning or CleaningConfig()), **(kept or {})}
        settings |= {**shape, "val_share": self.val_share, "trained_fps": recordings[0].fps}
        source = {**train_set.feature_names, "source": as_data(features)}
        network = sizes(pooled=max(train_set.individuals) > 1)
        return plan_training(CUSTOM, train_set, val_set, network, config, source, settings, resume), training

    def train_config(self, recordings: Sequence[Recording]) -> TrainConfig:
        """How to train on recordings; their frame rate turns `hoa_window_s` into frames."""
        given = {name: value for name, value in DEFAULTS.items() if name != "sequence_length"}
        given |= {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed, "device": self.device}
        given |= self.settings or {}
        if self.hoa_window_s:
            if (rate := check_same_rate(recordings)) is None:
                raise ValueError("hoa_window_s needs the frames per second, which no file says: give fps too")
            given["hoa_window"] = max(round(self.hoa_window_s * rate), 1)
        return TrainConfig(**given)

    def transform(self, X: Recordings) -> list[TrackEmbedding]:  # noqa: N803
        """Embed each individual of each recording whole; NaN before its first and after its last tracked frame.

        stderr says how the recordings differ from those in training. Raises ValueError if
        these lack keypoints of the model.
        """
        check_is_fitted(self)
        given = _as_list(X)
        say_reading_warnings(given)
        recordings, device = prepare_like(given, self.checkpoint_), pick_device(self.device)
        with using_threads((self.settings or {}).get("threads", 0)):
            say_drift(self.checkpoint_, recordings, device)
            return [one for found in embed(self.checkpoint_, recordings, device) for one in found]

    def drift(self, X: Recordings) -> DriftReport:  # noqa: N803
        """How recordings differ from those in training."""
        check_is_fitted(self)
        with using_threads((self.settings or {}).get("threads", 0)):
            return find_drift(self.checkpoint_, prepare_like(_as_list(X), self.checkpoint_), pick_device(self.device))

    def save(self, path: str | Path) -> Path:
        """Write the checkpoint, which the scripts take too."""
        check_is_fitted(self)
        return checkpoint.save(path, self.checkpoint_)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """What `save`, or `custom_dataset.py`, wrote; ValueError if it is damaged, or of other data."""
        trained = checkpoint.load(path)
        checkpoint.check_dataset(trained, CUSTOM, path)
        shared = {"epochs", "sequence_length", "batch_size", "seed", "val_share", "hoa_bins"}
        others = {field.name for field in fields(TrainConfig)} - shared - {"device", "threads"}
        made = cls(
            **{name: value for name, value in trained.settings.items() if name in shared},
            features=trained_features(trained),
            cleaning=part_of(trained.settings, CleaningConfig),
            settings={name: value for name, value in trained.settings.items() if name in others},
            device=device,
        )
        made.checkpoint_, made.keypoint_names_ = trained, trained.keypoint_names or []
        return made


def prepare_like(
    recordings: Sequence[Recording], trained: Checkpoint, changes: Mapping[str, Any] | None = None
) -> list[Recording]:
    """New recordings in the shape of those in training; ValueError if they lack a keypoint.

    They are cleaned as in training, except for the settings of cleaning in `changes`, and have the keypoints of
    training in the same order; stderr names those that are left out.
    """
    cleaning = replace(part_of(trained.settings, CleaningConfig), **(changes or {}))
    names = trained.keypoint_names or []
    if "rename" in (changes or {}):
        check_renames(recordings, cleaning)
    cleaned = _prepared(recordings, cleaning, names)
    if names:
        check_skeleton(names, cleaned)
    had = dict.fromkeys(cleaning.renames.get(name, name) for one in recordings for name in one.keypoint_names)
    others = [name for name in had if name not in names]
    if names and others and not cleaning.kept:
        print(f"left out keypoints that the model was not trained on: {', '.join(others)}", file=sys.stderr)
    return cleaned


def _prepared(recordings: Sequence[Recording], cleaning: CleaningConfig, names: Sequence[str] = ()) -> list[Recording]:
    cleaned = clean(recordings, cleaning, names)
    check_same_skeleton(cleaned)
    check_same_rate(cleaned)
    return cleaned


def _as_list(recordings: Recordings) -> list[Recording]:
    if isinstance(recordings, np.ndarray):
        return as_recordings(recordings)
    if isinstance(recordings, str) or not isinstance(recordings, Sequence) or len(recordings) == 0:
        raise ValueError(f"expected a list of recordings, or an array, not {recordings!r}: there is no recording")
    return [_as_recording(one, f"recording{i}") for i, one in enumerate(recordings)]


def _as_recording(one: Recording | np.ndarray, name: str) -> Recording:
    if isinstance(one, Recording):
        return one
    array = np.asarray(one)
    if array.ndim not in (3, 4):
        axes = "(frames, keypoints, coordinates) or (individuals, frames, keypoints, coordinates)"
        raise ValueError(f"{name} has axes {array.shape}; expected {axes}")
    return as_recordings(array[None], {"recording_ids": [name]}, [array.shape[-3]])[0]
