"""Fragments of tracks joined into individuals."""

from itertools import pairwise

import numpy as np

from bams.recordings.fragments import Sightings, join_fragments


def sightings(*fragments: tuple[range, float]) -> Sightings:
    """Fragments (frames, place on a line), of one keypoint that stays."""
    frames = np.concatenate([np.array(span) for span, _ in fragments])
    which = np.concatenate([np.full(len(span), i) for i, (span, _) in enumerate(fragments)])
    places = np.array([place for _, place in fragments], np.float32)[which]
    points = np.stack([places, places * 0], axis=-1)[:, None]
    return Sightings(frames, which, points, np.ones(points.shape[:2], np.float32))


def joined(individuals: int, *fragments: tuple[range, float]) -> list[set[int]]:
    """Of each fragment, the individuals it went to."""
    found = sightings(*fragments)
    chosen = join_fragments(found, individuals, "a.slp")
    for who in set(chosen) - {-1}:
        mine = found.frames[chosen == who]
        assert len(set(mine)) == len(mine)  # nobody is twice in a frame
    return [set(chosen[found.fragments == i].tolist()) for i in range(len(fragments))]


def test_a_fragment_goes_on_with_whoever_was_last_seen_nearest():
    fragments = (range(5), 0.0), (range(5), 100.0), (range(7, 9), 90.0), (range(8, 12), 3.0), (range(20, 22), 88.0)
    assert joined(2, *fragments) == [{0}, {1}, {1}, {0}, {1}]


def test_two_that_begin_at_once_are_taken_together():
    # one by one, the first would take the individual that both are nearest to
    fragments = (range(5), 0.0), (range(5), 10.0), (range(6, 9), 9.0), (range(6, 9), 12.0)
    assert joined(2, *fragments) == [{0}, {1}, {0}, {1}]


def test_an_individual_not_seen_yet_is_taken_last():
    assert joined(3, (range(5), 0.0), (range(6, 9), 50.0), (range(7, 9), 1.0)) == [{0}, {0}, {1}]


def test_the_longest_go_first_and_the_others_wait_and_lose_what_is_before(capsys):
    assert joined(1, (range(3), 0.0), (range(10), 5.0), (range(8, 14), 5.0)) == [{-1}, {0}, {-1, 0}]
    assert capsys.readouterr().err == "a.slp: left out 5 of 19 sightings, beside 1 others\n"


def test_as_many_individuals_as_were_seen():
    assert joined(4, (range(3), 0.0), (range(4, 6), 1.0)) == [{0}, {0}]


def test_nothing_to_join():
    assert join_fragments(sightings((range(0), 0.0)), 2, "a").tolist() == []


def test_random_fragments_of_walking_animals_are_found_again():
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
    found = Sightings(
        np.array(frames), np.array(which), np.concatenate(points)[:, None].astype(np.float32), np.ones((1200, 1))
    )
    chosen = join_fragments(found, 3, "a")
    assert {(a, b) for a, b in zip(truth, chosen.tolist(), strict=True)} == {(0, 0), (1, 1), (2, 2)}
