"""A data set from recordings: keypoints of any skeleton, of one animal or several, or any time series.

Axes: S recordings, A individuals, N tracks, T frames, K keypoints, d coordinates, F input features.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from typing import Any, Self

import numpy as np

from bams.data.dataset import Dataset, as_track, make_table
from bams.data.feature_tables import Track
from bams.data.labels import as_annotations
from bams.features.config import FeatureConfig
from bams.features.gaps import check_keypoints, frames_present, tracked_presence
from bams.features.recording import FeatureSource, recording_features


class KeypointsDataset(Dataset):
    """A `Dataset` from keypoints or any time series, with features that need no hand-work.

    Args:
        keypoints: (N, T, K, d) keypoints or (N, T, F) series, float, any unit, or a list of arrays without the first
            axis; NaN = missing. Frames at the end of a track of an array in which everything is missing are padding
            and dropped; tracks of a list stay whole.
        keypoint_names: K names, for the names of the features.
        individuals: tracks of each recording, which follow one another: one number for all recordings, or a list.
            Animals of one recording see each other.
        config: features of keypoints; unless given the defaults, with as many `others` as there are.
        annotations, eval_utils: labels of the tracks or recordings, see `bams.data.labels`; also in the items.
        options: all others of `Dataset`.

    Raises ValueError as `Dataset` does, and if labels or names do not fit the tracks.

    Attributes:
        feature_names: `inputs`, F names, and `actions`, D names.
        present: N arrays (T_i,) bool, from the first to the last frame in which the track was observed.
    """

    def __init__(
        self,
        keypoints: np.ndarray | Sequence[np.ndarray],
        *,
        keypoint_names: Sequence[str] | None = None,
        individuals: int | Sequence[int] = 1,
        config: FeatureSource | None = None,
        annotations: Mapping[str, Any] | None = None,
        eval_utils: Mapping[str, Any] | None = None,
        **options: Any,
    ):
        tracks = [check_keypoints(track) for track in keypoints]
        if isinstance(keypoints, np.ndarray):
            tracks = [track[: frames_present(track)] for track in tracks]
            labels = (options.get("labels") or {}).items()
            options["labels"] = {name: _without_padding(values, keypoints.shape[1], tracks) for name, values in labels}
            if annotations is not None or eval_utils is not None:
                eval_utils = {"padded_frames": keypoints.shape[1], **(eval_utils or {})}
        if not tracks:
            raise ValueError("there is no track in the keypoints")
        if len({track.shape[1:] for track in tracks}) > 1:
            raise ValueError("the tracks differ in their keypoints or coordinates")
        recordings = [_stacked(one) for one in group_tracks(tracks, individuals)]
        options |= {"config": config, "keypoint_names": keypoint_names}
        options |= {"annotations": annotations, "eval_utils": eval_utils}
        self._of_recordings(recordings, list(map(len, tracks)), **options)

    @classmethod
    def of_recordings(cls, recordings: Sequence[np.ndarray], **options: Any) -> Self:
        """A data set of whole recordings, (A, T, K, d) or (A, T, F) float32 each; options as above."""
        made = cls.__new__(cls)
        made._of_recordings(recordings, [one.shape[1] for one in recordings for _ in one], **options)
        return made

    def _of_recordings(
        self,
        recordings: Sequence[np.ndarray],
        lengths: Sequence[int],
        *,
        config: FeatureSource | None = None,
        keypoint_names: Sequence[str] | None = None,
        annotations: Mapping[str, Any] | None = None,
        eval_utils: Mapping[str, Any] | None = None,
        sequence_length: int | None = None,
        labels: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if recordings[0].ndim == 3 and isinstance(config, FeatureConfig):
            for name in ("heading", "predict"):
                if getattr(config, name) != getattr(FeatureConfig(), name):
                    raise ValueError(
                        f"{name} is about keypoints, and these tracks (frames, features) have none; leave it out"
                    )
        self.individuals = list(map(len, recordings))
        self.config = config or FeatureConfig(others=min(FeatureConfig.others, max(self.individuals) - 1))
        present = (row for one in recordings for row in tracked_presence(one))
        self.present = [row[:length] for row, length in zip(present, lengths, strict=True)]
        self.annotations = None
        if annotations is not None or eval_utils is not None:
            self.annotations = as_annotations(
                annotations or {}, eval_utils or {}, lengths, individuals=self.individuals
            )
            labels = {**(labels or {}), **self.annotations.of_tracks(lengths)}
        probe = recording_features(recordings[0][:, :8], self.config, keypoint_names)
        self.feature_names = {"inputs": list(probe.input_names), "actions": list(probe.action_names)}
        # features of some frames are part of the cache's key, so that a change in how they are made is noticed
        names = list(keypoint_names or ())
        content = (repr((self.config, self.individuals, lengths, names)), *probe[:3], *recordings)
        tracks = recording_tracks(recordings, self.config, keypoint_names, lengths)
        self._take(make_table(tracks, content, **options), sequence_length, labels)


def recording_tracks(
    recordings: Iterable[np.ndarray],
    source: FeatureSource,
    names: Sequence[str] | None = None,
    lengths: Sequence[int] | None = None,
) -> Iterator[Track]:
    """Features of each individual of each recording, see `recording_features`; `lengths` of tracks that end earlier."""
    ends = repeat(None) if lengths is None else iter(lengths)
    for recording in recordings:
        for parts in zip(*recording_features(recording, source, names)[:3], strict=True):
            end = next(ends)
            yield as_track(*(part[:end] for part in parts))


def group_tracks(tracks: Sequence[np.ndarray], individuals: int | Sequence[int]) -> list[Sequence[np.ndarray]]:
    """Tracks by recording; `individuals` is one number for all recordings or S numbers, which must sum up to N."""
    if np.ndim(individuals) == 0:
        individuals = [int(individuals)] * max(len(tracks) // max(int(individuals), 1), 1)
    if min(individuals, default=0) < 1 or sum(individuals) != len(tracks):
        raise ValueError(
            f"{len(tracks)} tracks do not make {len(individuals)} recordings with {sorted(set(individuals))} "
            "individuals each"
        )
    ends = np.cumsum([0, *individuals])
    return [tracks[first:end] for first, end in pairwise(ends)]


def _stacked(tracks: Sequence[np.ndarray]) -> np.ndarray:
    """Tracks of any length as a recording (A, T, ...) float32, NaN after the end of a track."""
    joined = np.full((len(tracks), max(map(len, tracks)), *tracks[0].shape[1:]), np.nan, np.float32)
    for row, track in zip(joined, tracks, strict=True):
        row[: len(track)] = track
    return joined


def _without_padding(values: Sequence[Any], frames: int, tracks: list[np.ndarray]) -> Sequence[Any]:
    """Labels per frame of padded tracks, cut to the tracks; other labels as they are."""
    if len(values) != len(tracks):
        return values
    return [v[: len(t)] if np.shape(v)[:1] == (frames,) else v for v, t in zip(values, tracks, strict=True)]
