"""A data set from keypoints of any skeleton, of one animal or several, or from any time series.

Axes: S recordings, A individuals, N tracks, T frames, K keypoints, d coordinates, F input features.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from bams.data.dataset import Dataset, as_track, make_table
from bams.data.feature_tables import Track
from bams.data.labels import as_annotations
from bams.features.columns import Features
from bams.features.config import FeatureConfig
from bams.features.geometry import check_keypoints, frames_present, tracked_presence
from bams.features.recording import recording_features


class KeypointsDataset(Dataset):
    """A `Dataset` from keypoints or any time series, with features that need no hand-work.

    Args:
        keypoints: (N, T, K, d) keypoints or (N, T, F) series, float, any unit, or a list of arrays without
            the first axis; NaN = missing. Frames at the end of a track of an array in which everything is
            missing are taken for padding and dropped; tracks of a list are taken as they are.
        keypoint_names: K names, for the names of the features.
        individuals: of each recording, whose tracks follow one another: one number for all recordings, or a
            list. Animals of one recording see each other.
        config: what the network sees and predicts of keypoints; unless given the defaults, with as many
            `others` as there are.
        annotations, eval_utils: labels of the tracks or recordings and what they are, see
            `bams.labels.as_annotations`; items carry those of their track.
        options: all others of `Dataset`.

    Attributes:
        feature_names: `inputs`, F names, and `actions`, D names.
        config: the `FeatureConfig`.
        individuals: tracks of each recording; 1 if they are joined.
        annotations: the labels, checked; None without.
        present: N arrays (T_i,) bool, from the first to the last frame in which the track was observed.
    """

    def __init__(
        self,
        keypoints: np.ndarray | Sequence[np.ndarray],
        *,
        keypoint_names: Sequence[str] | None = None,
        individuals: int | Sequence[int] = 1,
        config: FeatureConfig | None = None,
        annotations: Mapping[str, Any] | None = None,
        eval_utils: Mapping[str, Any] | None = None,
        **options: Any,
    ):
        tracks = [check_keypoints(track) for track in keypoints]
        if isinstance(keypoints, np.ndarray):
            padded, tracks = tracks, [track[: frames_present(track)] for track in tracks]
            options["labels"] = _without_padding(options.get("labels"), padded, tracks)
        if not tracks:
            raise ValueError("there is no track in the keypoints")
        if len({track.shape[1:] for track in tracks}) > 1:
            raise ValueError("the tracks differ in their keypoints or coordinates")
        if options.get("statistics") is None and max(map(len, tracks)) < 2:
            raise ValueError("no action is valid in any frame: all tracks are one frame long, nothing to learn from")
        if tracks[0].ndim == 2 and config is not None:
            _check_series(config)
        recordings = group_tracks(tracks, individuals)
        most = max(map(len, recordings))
        self.config = config or FeatureConfig(others=min(FeatureConfig.others, most - 1))
        joint = self.config.tracks == "joint"
        if joint and min(map(len, recordings)) < most:
            raise ValueError("tracks joint needs as many individuals in each recording; take tracks individual")
        self.present = [row for recording in recordings for row in _presence(recording, joint)]
        self.individuals = [1 if joint else len(recording) for recording in recordings]
        lengths = [len(row) for row in self.present]
        self.annotations = None
        labels = options.pop("labels", None)
        if annotations is not None or eval_utils is not None:
            padding = {"padded_frames": keypoints.shape[1]} if isinstance(keypoints, np.ndarray) else {}
            each = 1 if joint else most
            self.annotations = as_annotations(
                annotations or {}, padding | dict(eval_utils or {}), lengths, individuals=each
            )
            labels = {**(labels or {}), **self.annotations.of_tracks(lengths)}
        features = partial(recording_features, config=self.config, names=keypoint_names)
        first = features(_stacked([track[:8] for track in recordings[0]]))
        self.feature_names = {"inputs": list(first.input_names), "actions": list(first.action_names)}
        found = (track for rec in recordings for track in _tracks(features(_stacked(rec)), rec))
        sequence_length = options.pop("sequence_length", None)
        options.pop("hoa_window", None)
        # the features of some frames tell of a change in how they are made
        content = (repr((self.config, self.individuals)), *first[:3], *tracks)
        self._take(make_table(found, content, **options), sequence_length, labels)


def group_tracks(tracks: Sequence[np.ndarray], individuals: int | Sequence[int]) -> list[Sequence[np.ndarray]]:
    """Tracks by recording.

    Args:
        tracks: N, those of a recording one after the other.
        individuals: of each recording, one number for all or S numbers.

    Raises:
        ValueError: these are not numbers of all tracks.
    """
    if np.ndim(individuals) == 0:
        individuals = [int(individuals)] * max(len(tracks) // max(int(individuals), 1), 1)
    if min(individuals, default=0) < 1 or sum(individuals) != len(tracks):
        raise ValueError(
            f"{len(tracks)} tracks are not those of {len(individuals)} recordings with {sorted(set(individuals))} "
            "individuals each"
        )
    ends = np.cumsum([0, *individuals])
    return [tracks[first:end] for first, end in pairwise(ends)]


def _check_series(config: FeatureConfig) -> None:
    for name in ("heading", "predict"):
        if getattr(config, name) != getattr(FeatureConfig, name):
            raise ValueError(f"{name} is about keypoints, and these tracks (frames, features) have none; leave it out")


def _tracks(found: Features, recording: Sequence[np.ndarray]) -> Iterator[Track]:
    """Each track as far as it goes; animals that are joined go as far as the longest."""
    lengths = [max(map(len, recording))] if len(found.inputs) < len(recording) else map(len, recording)
    for i, length in enumerate(lengths):
        yield as_track(found.inputs[i, :length], found.actions[i, :length], found.valid[i, :length])


def _presence(recording: Sequence[np.ndarray], joint: bool) -> list[np.ndarray]:
    """Who is there when, (T_i,) bool of each track that is made of the recording's."""
    present = tracked_presence(_stacked(recording))
    if joint:
        return [present.any(axis=0)]
    return [row[: len(track)] for row, track in zip(present, recording, strict=True)]


def _stacked(recording: Sequence[np.ndarray]) -> np.ndarray:
    """Tracks of any length as (A, T, ...) float32, NaN where one has ended."""
    joined = np.full((len(recording), max(map(len, recording)), *recording[0].shape[1:]), np.nan, np.float32)
    for row, track in zip(joined, recording, strict=True):
        row[: len(track)] = track
    return joined


def _without_padding(
    labels: Mapping[str, Any] | None, padded: list[np.ndarray], tracks: list[np.ndarray]
) -> dict[str, list[Any]]:
    """Labels per frame of the padded tracks, cut to the tracks; the others as they are."""
    frames = len(padded[0]) if padded else 0
    return {
        name: [v[: len(t)] if np.shape(v)[:1] == (frames,) else v for v, t in zip(values, tracks, strict=True)]
        if len(values) == len(tracks)
        else values
        for name, values in (labels or {}).items()
    }
