"""Data sets of recordings with several animals: who sees whom, and what is a track."""

import numpy as np
import pytest

from bams.data.keypoints import KeypointsDataset, group_tracks
from bams.features.animals import animal_features
from bams.features.config import FeatureConfig

NAN = np.nan


def recordings(*sizes: tuple[int, int]) -> list[np.ndarray]:
    """Of each (individuals, frames) a recording of three keypoints, with gaps."""
    rng = np.random.default_rng(0)
    found = []
    for individuals, frames in sizes:
        keypoints = rng.normal(size=(individuals, frames, 3, 2)).cumsum(axis=1).astype(np.float32)
        keypoints[rng.random(keypoints.shape[:3]) < 0.2] = NAN
        found.append(keypoints)
    return found


def tracks_of(some: list[np.ndarray]) -> list[np.ndarray]:
    return [track for recording in some for track in recording]


def test_tracks_are_grouped_by_recording():
    tracks = list("abcdef")
    assert group_tracks(tracks, 2) == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert group_tracks(tracks, [1, 3, 2]) == [["a"], ["b", "c", "d"], ["e", "f"]]


@pytest.mark.parametrize("individuals", [4, 0, -1, [3, 2], [6, 0], [7, -1], []])
def test_numbers_of_individuals_that_do_not_fit_the_tracks_are_refused(individuals):
    with pytest.raises(ValueError, match="6 tracks do not make"):
        group_tracks(list("abcdef"), individuals)


def test_animals_of_a_recording_see_each_other_and_those_of_others_do_not():
    some = recordings((2, 40), (3, 30), (1, 20))
    dataset = KeypointsDataset(tracks_of(some), individuals=[2, 3, 1], hoa_bins=4)
    assert dataset.config.others == 1 and dataset.individuals == [2, 3, 1]
    first = 0
    for recording in some:
        plain = animal_features(recording, FeatureConfig())
        for i, expected in enumerate(plain.inputs):
            known = np.isfinite(expected)
            np.testing.assert_array_equal(dataset.track_input(first + i)[known], expected[known])
        first += len(recording)
    assert dataset.feature_names["inputs"][-1] == "other0_keypoint2-keypoint2_distance"
    alone = KeypointsDataset(tracks_of(some), hoa_bins=4)
    assert alone.config.others == 0
    assert not any("other0" in name for names in alone.feature_names.values() for name in names)


def test_the_tracks_of_a_recording_may_differ_in_length():
    (recording,) = recordings((2, 40))
    dataset = KeypointsDataset([recording[0], recording[1, :25]], individuals=2, hoa_bins=4)
    assert dataset.lengths.tolist() == [40, 25]
    padded = recording.copy()
    padded[1, 25:] = NAN
    expected = animal_features(padded)
    for track, length in enumerate(dataset.lengths):
        known = np.isfinite(expected.inputs[track, :length])
        np.testing.assert_array_equal(dataset.track_input(track)[known], expected.inputs[track, :length][known])
