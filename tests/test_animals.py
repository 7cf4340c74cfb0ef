"""Features of any skeleton and any number of animals, against a plain loop and by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bams.features.animals import animal_features, body_heading
from bams.features.config import FeatureConfig
from bams.features.distances import Nearest, with_nearest
from bams.features.gaps import fill_gaps, observed
from bams.features.raw import keypoint_features
from bams.features.recording import as_data, from_data
from bams.features.skeletons import Body, PoseTable, Segment

NAN = np.nan
ALL = FeatureConfig(predict=("movement", "lengths", "observed", "distances", "approach"))


def animals(seed: int = 0, individuals: int = 3, frames: int = 40, count: int = 4, dims: int = 2) -> np.ndarray:
    """(A, T, K, d) float32: bodies that walk and turn, with gaps."""
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(individuals, 1, count, dims)) * 5
    walk = rng.normal(size=(individuals, frames, 1, dims)).cumsum(axis=1)
    place = walk + 30 * rng.normal(size=(individuals, 1, 1, dims))
    keypoints = (body + place + rng.normal(size=(individuals, frames, count, dims))).astype(np.float32)
    keypoints[rng.random((individuals, frames, count)) < 0.3] = NAN
    return keypoints


def column(found, name: str, kind: str = "inputs") -> np.ndarray:
    """(tracks, frames) of one feature."""
    names = found.input_names if kind == "inputs" else found.action_names
    return getattr(found, kind)[..., names.index(name)]


def plain_features(keypoints: np.ndarray, others: int) -> tuple[dict, dict, dict]:
    """The same, frame by frame, as dicts of (animal, frame, name); headings from the eigenvectors of the body."""
    individuals, frames, count, dims = keypoints.shape
    inputs, actions, valid = {}, {}, {}
    held = np.full(keypoints.shape, NAN)
    seen = np.isfinite(keypoints).all(-1)
    for t in range(frames):
        held[:, t] = np.where(seen[:, t, :, None], keypoints[:, t], held[:, t - 1] if t else NAN)
    headings, oriented, centres = {}, {}, {}
    for a in range(individuals):
        tracked = np.flatnonzero(seen[a].any(-1))
        for t in range(frames):
            known = [k for k in range(count) if np.isfinite(held[a, t, k]).all()]
            if known:
                centres[a, t] = held[a, t, known].mean(0)
            now = [k for k in range(count) if seen[a, t, k]]
            oriented[a, t] = plain_heading(keypoints[a, t], now) is not None
            headings[a, t] = plain_heading(keypoints[a, t], now) or plain_heading(held[a, t], known)
            for k in range(count):
                inputs[a, t, f"keypoint{k}_observed"] = actions[a, t, f"keypoint{k}_observed"] = float(seen[a, t, k])
                valid[a, t, f"keypoint{k}_observed"] = tracked[0] <= t <= tracked[-1]
                both = t > 0 and seen[a, t, k] and seen[a, t - 1, k]
                step = keypoints[a, t, k] - keypoints[a, t - 1, k] if both else np.zeros(dims)
                inputs[a, t, f"keypoint{k}_speed"] = np.linalg.norm(step)
                for i, x in enumerate("xyz"[:dims]):
                    actions[a, t, f"keypoint{k}_{x}_moved"] = step[i]
                    valid[a, t, f"keypoint{k}_{x}_moved"] = both
                own = np.full(dims, NAN)
                if known:
                    own = held[a, t, k] - centres[a, t]
                    own[:2] = plain_turn(own[:2], -(headings[a, t] or 0))
                for i, x in enumerate("xyz"[:dims]):
                    inputs[a, t, f"keypoint{k}_{x}_relative"] = own[i]
                for other in range(k + 1, count):
                    name = f"keypoint{k}-keypoint{other}_length"
                    inputs[a, t, name] = np.linalg.norm(held[a, t, k] - held[a, t, other])
                    valid[a, t, name] = seen[a, t, k] and seen[a, t, other]
                    actions[a, t, name] = inputs[a, t, name] if valid[a, t, name] else 0
            moved, turn = np.zeros(dims), 0.0
            common = [k for k in range(count) if t > 0 and seen[a, t, k] and seen[a, t - 1, k]]
            if common and (oriented[a, t] or headings[a, t] is None):
                moved = np.mean([keypoints[a, t, k] - keypoints[a, t - 1, k] for k in common], axis=0)
                moved[:2] = plain_turn(moved[:2], -(headings[a, t] or 0))
            if len(common) > 1:
                now, last = plain_heading(keypoints[a, t], common), plain_heading(keypoints[a, t - 1], common)
                turn = np.angle(np.exp(1j * (now - last)))
            inputs[a, t, "turn"] = turn
            for i, x in enumerate("xyz"[:dims]):
                inputs[a, t, f"centre_{x}_moved"] = moved[i]
    for a, t in np.ndindex(individuals, frames):
        ranked = []
        for b in (b for b in range(individuals) if b != a and seen[b, t].any()):
            apart = np.linalg.norm(held[a, t][:, None] - held[b, t][None], axis=-1)
            mine = seen[a, t] if seen[a, t].any() else np.ones(count, bool)
            finite = [x for x in apart[mine][:, seen[b, t]].ravel() if np.isfinite(x)]
            ranked.append((min(finite, default=np.inf), b, apart))
        ranked.sort(key=lambda row: row[:2])
        for n, p, q in np.ndindex(others, count, count):
            name = f"other{n}_keypoint{p}-keypoint{q}"
            _, b, apart = ranked[n] if n < len(ranked) else (0, None, np.full((count, count), NAN))
            both = b is not None and seen[a, t, p] and seen[b, t, q]
            before = both and t > 0 and seen[a, t - 1, p] and seen[b, t - 1, q]
            inputs[a, t, f"{name}_distance"] = apart[p, q]
            valid[a, t, f"{name}_distance"] = both
            actions[a, t, f"{name}_distance"] = apart[p, q] if both else 0
            valid[a, t, f"{name}_approach"] = before
            last = np.linalg.norm(held[a, t - 1, p] - held[b, t - 1, q]) if before else 0
            actions[a, t, f"{name}_approach"] = apart[p, q] - last if before else 0
    return inputs, actions, valid


def plain_heading(points: np.ndarray, known: list[int]) -> float | None:
    """The principal axis of the known points (K, d), towards those that are listed first; None of fewer than two."""
    if len(known) < 2:
        return None
    spread = (points[known] - points[known].mean(0))[:, :2]
    axis = np.linalg.eigh(spread.T @ spread)[1][:, -1]
    weights = (len(known) - 1) / 2 - np.arange(len(known))
    return np.arctan2(*(axis * (1 if axis @ (weights @ spread) >= 0 else -1))[::-1])


def plain_turn(vector: np.ndarray, angle: float) -> np.ndarray:
    """A vector of the plane, turned."""
    rotated = complex(*vector) * np.exp(1j * angle)
    return np.array([rotated.real, rotated.imag])


@pytest.mark.parametrize(("individuals", "dims", "others"), [(3, 2, 2), (3, 2, 1), (2, 3, 1), (1, 2, 0), (2, 2, 3)])
def test_animal_features_equal_a_loop(individuals, dims, others):
    keypoints = animals(individuals, individuals, dims=dims)
    found = animal_features(keypoints, replace(ALL, others=others))
    plain = dict(zip(("inputs", "actions", "valid"), plain_features(keypoints.astype(float), others), strict=True))
    for kind, expected in plain.items():
        names = found.input_names if kind == "inputs" else found.action_names
        assert {name for _, _, name in expected} == set(names)
        for i, name in enumerate(names):
            values = [[expected[a, t, name] for t in range(keypoints.shape[1])] for a in range(individuals)]
            np.testing.assert_allclose(getattr(found, kind)[..., i], values, atol=2e-4, err_msg=name)


def test_by_hand():
    """A body along +x that walks one step along +y, and another ten to the right."""
    one = np.float32([[[2, 0], [-2, 0]], [[2, 1], [-2, 1]]])
    found = animal_features(np.stack([one, one + np.float32([10, 0])]), ALL, ("nose", "tail"))
    assert column(found, "nose_x_relative")[0].tolist() == [2, 2]
    assert np.allclose(column(found, "nose_y_relative"), 0, atol=1e-6)
    assert column(found, "nose-tail_length").tolist() == [[4, 4], [4, 4]]
    assert np.allclose(column(found, "centre_x_moved"), 0, atol=1e-6)
    assert np.allclose(column(found, "centre_y_moved"), [[0, 1], [0, 1]])
    assert np.allclose(column(found, "other0_nose-tail_distance"), [[6, 6], [14, 14]])
    assert column(found, "nose_y_moved", "actions").tolist() == [[0, 1], [0, 1]]


def test_the_heading_leads_from_one_named_keypoint_to_another():
    body = np.float32([[[[0, 3], [1, 0], [0, -3]]]])  # longest along y
    assert np.allclose(body_heading(body), np.pi / 2, atol=0.2)
    assert np.allclose(body_heading(body, (2, 1)), np.arctan2(3, 1))
    by_name = animal_features(body, FeatureConfig(heading="c:b", others=0), ("a", "b", "c"))
    assert np.isclose(column(by_name, "b_y_relative")[0, 0], column(by_name, "c_y_relative")[0, 0])


@pytest.mark.parametrize("heading", ["a", "a:a", "a:z", "a:b:c", ":"])
def test_a_heading_that_is_none_is_refused(heading):
    with pytest.raises(ValueError, match=r"expected two keypoints as back:front, of a, b"):
        animal_features(animals(count=2), FeatureConfig(heading=heading), ("a", "b"))


def test_a_heading_needs_a_length_and_two_coordinates():
    same = np.float32([[[[1, 1], [1, 1]], [[1, 1], [2, 1]]]])
    assert np.array_equal(body_heading(same, (0, 1)), [[NAN, 0]], equal_nan=True)
    with pytest.raises(ValueError, match="keypoints of one coordinate have none"):
        animal_features(animals(count=2, dims=3)[..., :1], FeatureConfig(heading="a:b"), ("a", "b"))


@pytest.mark.parametrize("dims", [2, 3])
def test_the_inputs_do_not_know_where_the_camera_is(dims):
    keypoints = animals(1, dims=dims)
    moved = keypoints + np.float32([100, -50, 7][:dims])
    cos, sin = np.cos(1.1), np.sin(1.1)
    moved[..., :2] = moved[..., :2] @ np.float32([[cos, sin], [-sin, cos]])
    here, there = animal_features(keypoints), animal_features(moved)
    assert np.allclose(here.inputs, there.inputs, atol=1e-3, equal_nan=True)


def test_an_animal_that_is_never_tracked_is_unknown_to_the_others():
    keypoints = animals(5, 2)
    keypoints[1] = NAN
    found = animal_features(keypoints, ALL)
    distance = [i for i, name in enumerate(found.input_names) if "other0" in name]
    assert np.isnan(found.inputs[..., distance]).all()
    assert not found.valid[1].any()
    alone = animal_features(keypoints[:1], replace(ALL, others=0))
    own = [found.input_names.index(name) for name in alone.input_names]
    assert np.array_equal(found.inputs[:1, :, own], alone.inputs, equal_nan=True)


def test_bodies_of_many_keypoints_give_distances_to_the_same_and_the_nearest_point():
    """The nearest is one of the observed points, and its distance changes among points observed in both frames."""
    keypoints = animals(6, 2, 40, 9)
    keypoints[1, 10:14] = NAN
    found = animal_features(keypoints, ALL)
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen).astype(float)
    for t, k in np.ndindex(40, 9):
        apart = np.linalg.norm(held[0, t, :, None] - held[1, t], axis=-1)
        last = np.linalg.norm(held[0, t - 1, :, None] - held[1, t - 1], axis=-1)
        both = seen[0, t][:, None] & seen[1, t]
        joined = both & seen[0, t - 1][:, None] & seen[1, t - 1] & (t > 0)
        choices = {f"keypoint{k}-keypoint{k}": (k, [k]), f"keypoint{k}-nearest": (k, slice(None))}
        for name, (p, q) in (choices | {f"nearest-keypoint{k}": (slice(None), k)}).items():
            distance, approach = f"other0_{name}_distance", f"other0_{name}_approach"
            usable, joint = both[p, q], joined[p, q]
            assert column(found, distance, "valid")[0, t] == usable.any()
            assert column(found, approach, "valid")[0, t] == joint.any()
            if usable.any():
                plain = apart[p, q][usable].min()
                assert np.isclose(column(found, distance, "actions")[0, t], plain, rtol=1e-5)
                assert np.isclose(column(found, distance)[0, t], plain, rtol=1e-5)
            if joint.any():
                change = apart[p, q][joint].min() - last[p, q][joint].min()
                assert np.isclose(column(found, approach, "actions")[0, t], change, atol=1e-4)
    distances = [i for i, name in enumerate(found.input_names) if name.startswith("other0")]
    assert len(distances) == 27 and np.isnan(found.inputs[0, 10:14][:, distances]).all()
    assert sum(name.endswith("centre_length") for name in found.input_names) == 9


def test_a_length_to_the_centre_needs_all_keypoints_of_the_centre():
    keypoints = animals(6, 1, 40, 9)
    keypoints[:, 20, 1:], keypoints[:, :, 8] = 1, NAN  # the last keypoint is never tracked, so it moves no centre
    found = animal_features(keypoints, replace(ALL, others=0))
    seen = observed(keypoints)[0]
    known = np.logical_or.accumulate(seen, axis=0)
    for k in range(9):
        name = f"keypoint{k}-centre_length"
        valid = seen[:, k] & (seen | ~known).all(axis=1)
        assert np.array_equal(column(found, name, "valid")[0], valid)
        plain = np.linalg.norm(keypoints[0, :, k] - np.nanmean(keypoints[0], axis=1), axis=-1)
        np.testing.assert_allclose(column(found, name, "actions")[0][valid], plain[valid], rtol=1e-5)


def walking(frames: int = 40) -> np.ndarray:
    """(1, T, 4, 2): a rigid body along x that walks 2 forward per frame and a little to its side."""
    shape = np.float32([[0, 0], [-10, 0], [-20, 0], [-30, 0]])
    step = np.stack([2.0 * np.arange(frames), 0.5 * np.arange(frames)], axis=-1)
    return (shape + step[:, None])[None].astype(np.float32)


@pytest.mark.parametrize("lost", [[0], [3], [0, 3], [1, 2]])
@pytest.mark.parametrize("heading", ["", "keypoint3:keypoint0"])
def test_a_keypoint_that_comes_back_moves_no_centre_and_turns_no_animal(lost, heading):
    keypoints = walking()
    keypoints[:, 10:30, lost] = NAN
    found = animal_features(keypoints, FeatureConfig(others=0, heading=heading))
    oriented = np.ones(40, bool) if not heading or lost == [1, 2] else ~np.isin(np.arange(40), np.arange(10, 30))
    for name, step in (("centre_x_moved", 2), ("centre_y_moved", 0.5)):
        moved = column(found, name)[0, 1:]
        np.testing.assert_allclose(moved, np.where(oriented[1:], step, 0), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(column(found, "turn"), 0, atol=1e-6)


def test_an_animal_that_has_left_is_nobodys_nearest():
    keypoints = animals(3, 3)
    keypoints[2, 15:] = NAN
    keypoints[2, :15] = keypoints[0, :15] + 1  # until it leaves, it is the nearest of the first one
    config = replace(ALL, others=2)
    found, pair = animal_features(keypoints, config), animal_features(keypoints[:2], config)
    for kind in ("inputs", "actions", "valid"):
        names = getattr(pair, "input_names" if kind == "inputs" else "action_names")
        for name in (name for name in names if name.startswith("other0")):
            values, expected = column(found, name, kind)[0, 15:], column(pair, name, kind)[0, 15:]
            np.testing.assert_array_equal(values, expected, err_msg=f"{name} {kind}")
    assert np.isnan(column(found, "other1_keypoint0-keypoint0_distance")[0, 15:]).all()


def test_raw_features_are_those_of_each_animal_alone():
    keypoints = animals(7)
    found = animal_features(keypoints, FeatureConfig(features="raw", predict=("movement",)))
    for one, other in zip(found, keypoint_features(keypoints), strict=True):
        assert np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one == other


def test_any_features_can_be_joined_with_distances_to_the_nearest():
    keypoints, names = animals(9), ("a", "b", "c", "d")
    base = keypoint_features(keypoints, names)
    keypoints[0, 5, 1] = keypoints[1, 5, 3] = 1  # a distance of 0 has no logarithm
    predict = ("d-b_distance", "b-b_approach", "b-d_closeness")
    found = with_nearest(base, keypoints, names, Nearest(("d", "b"), predict))
    for kind in ("inputs", "actions", "valid"):
        one, other = getattr(base, kind), getattr(found, kind)
        np.testing.assert_array_equal(one, other[..., : one.shape[-1]])
    called = {f"{p}-{q}": f"keypoint{i}-keypoint{j}" for i, p in enumerate("db") for j, q in enumerate("db")}
    seen = tuple(f"other0_{pair}_distance" for pair in called)
    assert found.input_names == base.input_names + seen
    assert found.action_names == base.action_names + tuple(f"other0_{name}" for name in predict)
    inputs, actions, valid = plain_features(keypoints[:, :, [3, 1]].astype(float), 1)
    for (a, t, key), far in [item for item in actions.items() if item[0][2].endswith("distance")]:
        close = a, t, key.replace("distance", "closeness")
        valid[close] = valid[a, t, key] and far > 0
        actions[close] = np.log(far) if valid[close] else 0
    assert not valid[0, 5, f"other0_{called['b-d']}_closeness"]
    added = tuple(f"other0_{name}" for name in predict)
    for kind, plain, names in (("inputs", inputs, seen), ("actions", actions, added), ("valid", valid, added)):
        for name in names:
            _, pair, what = name.split("_")
            key = f"other0_{called[pair]}_{what}"
            loop = [[plain[a, t, key] for t in range(keypoints.shape[1])] for a in range(len(keypoints))]
            np.testing.assert_allclose(column(found, name, kind), loop, atol=2e-4, err_msg=f"{name} {kind}")


@pytest.mark.parametrize(
    ("points", "predict", "said"),
    [(("a", "x"), (), "there is no keypoint x"), (("a",), ("a-b_distance",), "there is no a-b_distance to predict")],
)
def test_distances_of_unknown_points_are_refused(points, predict, said):
    keypoints = animals(9)
    with pytest.raises(ValueError, match=said):
        with_nearest(keypoint_features(keypoints), keypoints, ("a", "b", "c", "d"), Nearest(points, predict))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": "nice"}, "features has 'nice'; it must be one of own, raw"),
        ({"predict": ("movement", "mood")}, "predict has 'mood'"),
        ({"predict": ("distances",)}, "predict must have movement, lengths or observed"),
        ({"predict": ()}, "predict must have"),
        ({"others": -1}, "others is -1"),
        ({"features": "raw", "heading": "a:b"}, "raw features have no heading"),
    ],
)
def test_settings_of_features_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        FeatureConfig(**changes)


@pytest.mark.parametrize(
    "source",
    [ALL, PoseTable(("a", "b"), (Body("x", "a", "b"),), (Segment("s", "a", "b", "x"),), ("s",), Nearest(("a",), ()))],
)
def test_what_describes_features_comes_back_from_plain_containers(source):
    assert from_data(json.loads(json.dumps(as_data(source)))) == source
    with pytest.raises(ValueError, match="does not know features of the kind 'Other'"):
        from_data({**as_data(source), "kind": "Other"})
