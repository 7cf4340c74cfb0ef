"""Tracklets joined into individuals."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from bams.recordings.tracklets import join_tracklets


def joined(individuals: int, *tracklets: tuple[Sequence[int], float], length: float = 0.0) -> list[set[int]]:
    """The individuals to which each tracklet (frames, place on a line) went; animals are so long."""
    frames = np.concatenate([np.array(span) for span, _ in tracklets])
    which = np.concatenate([np.full(len(span), i) for i, (span, _) in enumerate(tracklets)])
    places = np.array([place for _, place in tracklets], np.float32)[which, None]
    points = np.stack([places + np.array([-length, length]) / 2, np.zeros((len(frames), 2))], axis=-1)
    chosen = join_tracklets(frames, which, points, individuals, "a.slp")
    for who in set(chosen) - {-1}:
        mine = frames[chosen == who]
        assert len(set(mine)) == len(mine)  # nobody is twice in a frame
    return [set(chosen[which == i].tolist()) for i in range(len(tracklets))]


def test_a_tracklet_goes_on_with_whoever_was_last_seen_nearest():
    tracklets = (range(5), 0.0), (range(5), 100.0), (range(7, 9), 90.0), (range(8, 12), 3.0), (range(20, 22), 88.0)
    assert joined(2, *tracklets) == [{0}, {1}, {1}, {0}, {1}]


def test_two_that_begin_at_once_are_taken_together():
    # one by one, the first would take the individual that both are nearest to
    tracklets = (range(5), 0.0), (range(5), 10.0), (range(6, 9), 9.0), (range(6, 9), 12.0)
    assert joined(2, *tracklets) == [{0}, {1}, {0}, {1}]


def test_an_individual_not_seen_yet_is_taken_last():
    assert joined(3, (range(5), 0.0), (range(6, 9), 50.0), (range(7, 9), 1.0)) == [{0}, {0}, {1}]


def test_the_longest_go_first_and_the_others_wait_and_lose_what_is_before(capsys):
    assert joined(1, (range(3), 0.0), (range(10), 5.0), (range(8, 14), 5.0)) == [{-1}, {0}, {-1, 0}]
    said = "a.slp: dropped 5 of 19 detections: their tracklets overlap with those of all animals\n"
    assert capsys.readouterr().err == said


def test_no_more_individuals_than_were_seen_and_nothing_to_join():
    assert joined(4, (range(3), 0.0), (range(4, 6), 1.0)) == [{0}, {0}]
    assert joined(2, (range(0), 0.0)) == [set()]


def test_random_tracklets_of_walking_animals_are_found_again():
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(0, 1, (3, 400, 2)), axis=1) + np.array([[0, 0], [300, 0], [0, 300]])[:, None]
    frames, which, points, truth = [], [], [], []
    for who, path in enumerate(paths):
        cuts = [0, *sorted(rng.choice(np.arange(1, 400), 9, replace=False).tolist()), 400]
        for first, end in pairwise(cuts):
            frames += range(first, end)
            which += [len(set(which))] * (end - first)
            points += [path[first:end]]
            truth += [who] * (end - first)
    found = np.concatenate(points)[:, None].astype(np.float32)
    chosen = join_tracklets(np.array(frames), np.array(which), found, 3, "a")
    assert {(a, b) for a, b in zip(truth, chosen.tolist(), strict=True)} == {(0, 0), (1, 1), (2, 2)}


def alternating(first: int, end: int, of: int = 2) -> list[range]:
    return [range(first + i, end, of) for i in range(of)]


@pytest.mark.parametrize("length", [0.0, 40.0], ids=["a point", "a body"])
@pytest.mark.parametrize("of", [2, 3])
def test_tracklets_that_take_turns_are_joined_frame_by_frame(of, length, capsys):
    left, right = ([(span, place) for span in alternating(0, 60, of)] for place in (0.0, 300.0))
    # the second animal is one tracklet, or its tracklets take turns as well
    for other in ([(range(60), 300.0)], right):
        found = joined(2, *left, *other, length=length)
        assert found == [{0}] * of + [{1}] * len(other)
    assert joined(1, *left, length=length) == [{0}] * of
    assert not capsys.readouterr().err


def test_animals_that_are_seen_in_turns_stay_apart():
    # they are further apart than a body length, and there is an individual for each
    even, odd = alternating(0, 60)
    assert joined(2, (even, 0.0), (odd, 300.0), (range(70, 80), 5.0), length=40.0) == [{0}, {1}, {0}]


def test_a_detection_in_the_gap_of_an_animal_is_this_animal_and_who_overlaps_with_it_is_not():
    gap = [*range(20), *range(25, 50)]
    assert joined(1, (gap, 0.0), ([22], 90.0), (range(24, 40), 2.0), length=10.0) == [{0}, {0}, {-1}]
    assert joined(2, (gap, 0.0), (range(3), 8.0), ([22], 3.0), length=10.0) == [{0}, {1}, {0}]


def test_one_frame_in_common_does_not_hold_tracklets_apart():
    assert joined(1, (range(20), 0.0), (range(19, 40), 1.0)) == [{0}, {-1, 0}]


def test_of_many_single_detections_the_nearest_is_taken():
    assert joined(1, ([0], 0.0), ([1], 50.0), ([1], 1.0), ([2], 49.0), ([2], 2.0)) == [{0}, {-1}, {0}, {-1}, {0}]
