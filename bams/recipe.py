"""Recordings of one's own: the features, sizes and settings found best for them, and embeddings of new ones.

What the scripts for recordings of one's own and `bams.embedder` share. Axes: A individuals, T frames, C channels.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from bams.checkpoint import Checkpoint, check_features, trained_features
from bams.cleaning import clean
from bams.config import CleaningConfig, FeatureConfig, part_of
from bams.drift import DriftReport, compare
from bams.exports import GROUP, TrackEmbedding
from bams.features import Features
from bams.keypoints import KeypointsDataset, recording_features
from bams.poses import check_same_rate, check_same_skeleton
from bams.recordings import Recording, choose_parts, ever_tracked, track_names, tracked_presence
from bams.reference import Reference, check_skeleton, describe, describe_embeddings
from bams.represent import embed_recording, pool_individuals
from bams.statistics import known_inputs

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
JOINED = "all"  # stands for an individual's name where all are joined in one track
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


def embed(
    trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu", pooled: bool = False
) -> Iterator[list[TrackEmbedding]]:
    """Embeddings of recordings, whole ones of any length, one recording after the other.

    Args:
        trained: a model of recordings of one's own.
        recordings: cleaned as those in training were.
        device: where to compute.
        pooled: whether a recording with several tracks also has an embedding of the group, see
            `represent.pool_individuals`; NaN where nobody is present.

    Yields:
        those of the individuals of a recording, in their order (or of all joined), then of the group.

    Raises:
        ValueError: the recordings have other features than those in training.
    """
    if not recordings:  # of several processes one may have none
        return
    names = recordings[0].keypoint_names or None
    make = partial(recording_features, config=trained_features(trained), names=names)
    found = make(recordings[0].keypoints[:, :1])
    given = {"inputs": list(found.input_names), "actions": list(found.action_names)}
    check_features(trained.features, given, "the model")
    for recording in recordings:
        yield _embed_one(trained, recording, make, device, pooled)


def _embed_one(
    trained: Checkpoint,
    recording: Recording,
    make: Callable[[np.ndarray], Features],
    device: str | torch.device,
    pooled: bool,
) -> list[TrackEmbedding]:
    joint = trained_features(trained).tracks == "joint"
    individuals, total = [JOINED] if joint else recording.individuals, recording.keypoints.shape[1]
    shape, sizes = (len(individuals), total), trained.model.sizes
    embs = {name: np.empty((*shape, size), np.float32) for name, size in sizes.items()}
    pooled = pooled and len(individuals) > 1
    groups = {name: np.empty((total, 2 * size), np.float32) for name, size in sizes.items()} if pooled else {}
    present = tracked_presence(recording.keypoints)

    def make_inputs(part: np.ndarray) -> np.ndarray:
        return known_inputs(make(part).inputs, trained.statistics)

    for span, block in embed_recording(trained.model, recording.keypoints, make_inputs, device):
        for name, values in block.items():
            embs[name][:, span] = values
            if pooled:
                groups[name][span] = pool_individuals(values, present[:, span])
    found = [(individual, {name: embs[name][i] for name in embs}) for i, individual in enumerate(individuals)]
    return [
        TrackEmbedding(recording.name, individual, of_one, recording.first_frame, recording.fps)
        for individual, of_one in [*found, *([(GROUP, groups)] if pooled else [])]
    ]


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
