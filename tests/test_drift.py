"""What changed between recordings is named, and nothing where nothing did; and shapes, against plain searches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bams.quality.drift import compare
from bams.quality.shapes import align, find_change, mean_shape
from bams.quality.training_summary import describe, describe_embeddings
from bams.recordings.body_length import body_length
from bams.recordings.load import load_poses
from bams.recordings.recording import Recording, check_skeleton
from bams.simulate.mice import KEYPOINTS, simulate_mice

NAN = np.nan
SHARED = Path(__file__).parents[2] / "shared" / "data"
BODY = np.array([[4, 0, 1], [2, 1.5, 1], [2, -1.5, 1], [0, 0.3, 2], [-3, 1, 0], [-3, -1, 0], [-6, 0, 1.5]])
NAMES = ["nose", "left_ear", "right_ear", "back", "left_hip", "right_hip", "tail"]


def turned(points: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points (..., K, d) turned by `angle` (...) about the third axis."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y = points[..., 0], points[..., 1]
    return np.concatenate([np.stack([cos * x - sin * y, sin * x + cos * y], -1), points[..., 2:]], axis=-1)


def animals(seed: int = 0, frames: int = 400, dims: int = 2, gaps: float = 0.2, **changes) -> Recording:
    """Two animals, 10 long, that walk and turn, with gaps and confidences."""
    rng = np.random.default_rng(seed)
    heading = 0.2 * rng.normal(size=(2, frames)).cumsum(axis=1)
    speed = 1.5 * np.sin(0.05 * np.arange(frames) + 6 * rng.random((dims, 2, 1)))
    place = np.moveaxis(speed.cumsum(axis=2), 0, -1)[:, :, None]
    size = rng.normal(1, 0.02, (2, 1, 1, 1))
    body = turned(np.broadcast_to(BODY[:, :dims], (2, frames, 7, dims)), heading)
    keypoints = place + size * body + 0.2 * rng.normal(size=body.shape)
    keypoints[rng.random(keypoints.shape[:3]) < gaps] = NAN
    confidence = rng.uniform(0.7, 1, keypoints.shape[:3]).astype(np.float32)
    one = Recording(f"r{seed}", keypoints.astype(np.float32), confidence, ["a", "b"], NAMES, fps=30.0)
    return replace(one, **changes)


def changed(one: Recording, keypoints: np.ndarray, **changes) -> Recording:
    return replace(one, keypoints=keypoints, **changes)


def picked(one: Recording, index, **changes) -> Recording:
    """The frames or keypoints of an index into the axes (individuals, frames, keypoints), under the old names."""
    return replace(one, keypoints=one.keypoints[index], confidence=one.confidence[index], **changes)


def reordered(one: Recording, order: list[int]) -> Recording:
    return picked(one, np.s_[:, :, order])


def tail_bent(one: Recording) -> Recording:
    """The tail's point labelled elsewhere: to the left of the hips."""
    keypoints = one.keypoints.copy()
    keypoints[:, :, 6] = keypoints[:, :, 4] + 1.5 * (keypoints[:, :, 4] - keypoints[:, :, 5])
    return changed(one, keypoints)


def more_gaps(one: Recording) -> Recording:
    keypoints = one.keypoints.copy()
    keypoints[:, ::2, 3] = NAN
    return changed(one, keypoints)


LESS_SURE = np.float32([0.5, *[1] * 6])
CHANGES = {
    "bodies are 1.": lambda one: changed(one, one.keypoints * np.float32(1.3)),
    "there are 15 frames per second, 30 in training": lambda one: picked(one, np.s_[:, ::2], fps=15.0),
    "another frame rate, or other behaviour?": lambda one: picked(one, np.s_[:, ::2], fps=None),
    "left_ear and right_ear are exchanged": lambda one: reordered(one, [0, 2, 1, 3, 4, 5, 6]),
    "back and tail are exchanged": lambda one: reordered(one, [0, 1, 2, 6, 4, 5, 3]),
    "the bodies are mirrored": lambda one: changed(one, one.keypoints * np.float32([1, -1])),
    "keypoints are elsewhere on the body than in training, by body lengths: tail (": tail_bent,
    "keypoints have lower confidences: nose (0.4": lambda one: replace(one, confidence=one.confidence * LESS_SURE),
    "keypoints are missing more often: back (": more_gaps,
}


REFERENCES = {dims: describe([animals(i, dims=dims) for i in range(8)]) for dims in (2, 3)}
REFERENCE = REFERENCES[2]


@pytest.mark.parametrize(("count", "dims"), [(1, 2), (3, 2), (1, 3)])
def test_other_recordings_of_the_same_kind_are_no_drift(count, dims):
    report = compare(REFERENCES[dims], [animals(100 + i, dims=dims) for i in range(count)])
    assert report.findings == []
    assert str(report).startswith("no drift found: ")
    plain = [animals(i, fps=None, confidence=None) for i in range(8, 8 + count)]  # without rates and confidences
    assert compare(REFERENCE, plain).findings == compare(describe(plain), [animals(11)]).findings == []


CASES = [(sentence, count, 2) for sentence in CHANGES for count in (1, 4)]
CASES += [(sentence, 1, 3) for sentence in CHANGES if "mirrored" not in sentence]


@pytest.mark.parametrize(("sentence", "count", "dims"), CASES)
def test_what_changed_is_named_and_nothing_else(sentence, count, dims):
    report = compare(REFERENCES[dims], [CHANGES[sentence](animals(200 + i, dims=dims)) for i in range(count)])
    (found,) = report.findings
    assert sentence in found and str(report).endswith(found)


def test_several_changes_are_all_named():
    one = reordered(animals(300), [0, 2, 1, 6, 4, 5, 3])
    found = " ".join(compare(REFERENCE, [changed(one, one.keypoints * 2, fps=60.0)]).findings)
    for sentence in ("left_ear and right_ear are", "back and tail are", "bodies are", "60 frames per second"):
        assert sentence in found


def test_few_recordings_are_judged_by_their_parts():
    first, second = (picked(animals(0, frames=3000), np.s_[:, half]) for half in (slice(1500), slice(1500, None)))
    reference = describe([first])
    assert (reference.recordings, reference.parts, REFERENCE.parts) == (1, 8, 8)
    assert compare(reference, [second]).findings == []
    for sentence in (
        "bodies are 1.",
        "left_ear and right_ear are exchanged",
        "another frame rate, or other behaviour?",
    ):
        assert sentence in " ".join(compare(reference, [CHANGES[sentence](second)]).findings)


def test_the_reference_by_hand():
    """One animal that steps by 1 body length in every tenth frame; its tail is lost in a quarter of the frames."""
    frames, length = 80, np.hypot(20, 2)
    keypoints = np.zeros((1, frames, 3, 2), np.float32) + np.float32([[12, 0], [0, 2], [-8, -2]])
    keypoints += (np.arange(frames) // 10 * length)[:, None, None].astype(np.float32)
    keypoints[0, ::4, 2] = NAN
    confidence = np.full((1, frames, 3), 0.5, np.float32) * np.float32([1, 2, NAN])
    found = describe([Recording("one", keypoints, confidence, ["a"], ["nose", "back", "tail"], fps=25.0)])
    assert (found.keypoint_names, found.recordings, found.parts, found.fps) == (("nose", "back", "tail"), 1, 8, 25)
    assert found.body_length == pytest.approx(length)
    assert found.body_length_deviation == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.missing, [0, 0, 0.2], atol=0.11)  # 3 or 2 of the 10 frames of a part
    np.testing.assert_allclose(found.confidence, [0.5, 1, NAN])
    np.testing.assert_allclose(found.spread, 0, atol=1e-6)
    expected = np.array([[12, 0], [0, 2], [-8, -2]]) / length
    np.testing.assert_allclose(align(found.shape[None], expected)[0], expected, atol=1e-6)


def test_animals_and_keypoints_never_tracked_one_frame_and_one_keypoint():
    one = animals()
    lost = changed(one, one.keypoints.copy())
    lost.keypoints[1], lost.keypoints[:, :, 6] = NAN, NAN
    (found,) = compare(REFERENCE, [lost]).findings
    assert "missing more often: tail (100% against" in found
    assert compare(describe([lost]), [one]).findings == []
    (found,) = compare(REFERENCE, [changed(one, one.keypoints * np.float32(NAN))]).findings
    assert "nose (100% against" in found
    one = picked(one, np.s_[:, :, :1], keypoint_names=["nose"])
    assert compare(describe([one]), [one]).findings == []
    compare(REFERENCE, [animals(5, frames=1, gaps=0)])


def test_embeddings():
    rng = np.random.default_rng(0)
    old = {"short_term": rng.normal(3, 2, (4, 100, 8)), "long_term": rng.normal(0, 1, (4, 100, 3))}
    old["short_term"][0, :50] = NAN
    old["long_term"][..., 2] = 7  # a channel that never varies
    described = describe_embeddings(old)
    frames = old["short_term"].reshape(-1, 8)[50:]
    np.testing.assert_allclose(described["short_term"], [frames.mean(axis=0), frames.std(axis=0)])
    reference = replace(REFERENCE, embeddings=described)
    one = [animals(400)]
    assert compare(reference, one, old).findings == []
    assert compare(reference, one).findings == []
    (found,) = compare(reference, one, {"short_term": old["short_term"] + 2.0}).findings
    assert found.startswith("embeddings of short_term are 1.0")
    assert compare(reference, one, {"short_term": np.full((1, 5, 8), NAN)}).findings == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["nose", *NAMES[1:6], "tip"], "r0 has other keypoints .*: it lacks tail; it also has tip"),
        (NAMES[::-1], "its keypoints are in another order, tail, right_hip"),
    ],
)
def test_other_keypoints_are_refused(names, said):
    for check in (lambda one: compare(REFERENCE, [one]), lambda one: check_skeleton(NAMES, [one])):
        with pytest.raises(ValueError, match=said):
            check(replace(animals(), keypoint_names=names))


# --- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [2, 3])
def test_frames_are_aligned_as_a_search_over_angles_aligns_them(dims):
    rng = np.random.default_rng(dims)
    shape = rng.normal(size=(5, dims))
    frames = rng.normal(size=(20, 5, dims)) + 50
    frames[rng.random((20, 5)) < 0.3] = NAN

    def placed(frame: np.ndarray, angle: float) -> np.ndarray:
        seen, moved = np.isfinite(frame).all(axis=-1), turned(frame, np.array(angle))
        return moved - moved[seen].mean(axis=0) + shape[seen].mean(axis=0)

    for frame, found in zip(frames, align(frames, shape), strict=True):
        cost = lambda angle, frame=frame: np.nansum((placed(frame, angle) - shape) ** 2)  # noqa: E731
        costs = [minimize_scalar(cost, bounds=(start, start + 0.6)) for start in np.linspace(-np.pi, np.pi, 13)]
        np.testing.assert_allclose(found, placed(frame, min(costs, key=lambda one: one.fun).x), atol=1e-3)


def test_the_mean_shape_is_that_of_the_body_in_spite_of_gaps_and_jumps():
    keypoints = animals(frames=1000).keypoints[0].astype(float)
    keypoints[::10, 2] += 200
    shape = mean_shape(keypoints)
    np.testing.assert_allclose(align(shape[None], BODY[:, :2])[0], BODY[:, :2], atol=0.3)
    keypoints[:, 4] = NAN
    assert np.flatnonzero(np.isnan(mean_shape(keypoints)).any(axis=1)).tolist() == [4]
    assert np.isnan(mean_shape(keypoints[:0])).all()


def test_a_change_of_shape_is_told_by_the_fewest_changes():
    shape, tolerance = BODY[:, :2], np.full(7, 0.3)
    other = turned(shape, np.array(2.0)) * 3 + 40
    same = find_change(shape, other, tolerance)
    assert (same.mirrored, same.exchanged, same.moved.any()) == (False, [], False)
    assert same.scale == pytest.approx(3)
    swapped = find_change(shape, other[[6, 1, 2, 3, 4, 5, 0]], tolerance)
    assert [pairs[0] for pairs in swapped.exchanged] == [(0, 6)]
    assert swapped.order.tolist() == [6, 1, 2, 3, 4, 5, 0]
    other[4] += 30
    moved = find_change(shape, other, tolerance)
    assert (np.flatnonzero(moved.moved).tolist(), moved.exchanged) == ([4], [])
    assert moved.distance[4] == pytest.approx(np.hypot(10, 10))
    assert moved.scale == pytest.approx(3)


def test_exchanges_that_explain_a_shape_alike_are_all_named():
    """On a straight even line, exchanging the ends looks like exchanging the inner two."""
    line = np.array([[3.0, 0], [1, 0], [-1, 0], [-3, 0]])
    found = find_change(line, line[[3, 1, 2, 0]], np.full(4, 0.1))
    assert sorted(found.exchanged[0]) == [(0, 3), (1, 2)]


# --- recordings with known and real drift ------------------------------------------------------


def check_exchange_is_found(clips: list[Recording], order: list[int], sentence: str):
    """Every second recording is no drift from the others, and an exchange in it is found. Returns the reference."""
    reference, new = describe(clips[::2]), clips[1::2]
    assert compare(reference, new).findings == []
    (found,) = compare(reference, [changed(one, one.keypoints[:, :, order]) for one in new]).findings
    assert sentence in found
    return reference


def test_simulated_mice():
    mice = simulate_mice(16, frames=150)
    clips = [Recording(f"clip{i}", clip, None, list("012"), list(KEYPOINTS)) for i, clip in enumerate(mice.keypoints)]
    check_exchange_is_found(clips, [0, 2, 1, *range(3, 12)], "left_ear and right_ear are exchanged")


@pytest.mark.skipif(not (SHARED / "native").exists(), reason="the files of trackers in ../shared are not here")
def test_real_file_against_itself():
    (one,) = load_poses(SHARED / "native" / "dlc_multianimal_rats_rec24.csv")
    reference = describe([one])
    assert compare(reference, [one]).findings == []
    larger = changed(one, one.keypoints * np.float32(1.3))
    assert "bodies are 1.30 times as long" in str(compare(reference, [larger]))


@pytest.mark.skipif(not (SHARED / "rat_social.npz").exists(), reason="needs ../shared/data/rat_social.npz")
def test_real_rats():
    rats = np.load(SHARED / "rat_social.npz")
    names = list(map(str, rats["keypoint_names"]))
    keypoints = rats["keypoints"][:24, :, :1500]
    clips = [Recording(f"rats{i}", one, None, ["0", "1"], names) for i, one in enumerate(keypoints)]
    reference = check_exchange_is_found(clips, [0, 1, 3, 2, 4], "tail and tail-m are exchanged")
    assert reference.body_length == pytest.approx(np.median([body_length(one) for one in keypoints[::2]]), rel=1e-3)


def test_a_body_that_bends_to_the_other_side_is_not_mirrored():
    """Five points on a line that bends: to one side in training, to the other in new recordings, as rats do."""

    def bent(side: float, seed: int) -> Recording:
        rng = np.random.default_rng(seed)
        bend = side * 0.1 + 0.2 * rng.normal(size=(600, 1))
        along = np.linspace(-0.5, 0.5, 5)
        points = np.stack([np.broadcast_to(along, (600, 5)), bend * (1 - 4 * along**2)], axis=-1)
        points += 0.01 * rng.normal(size=points.shape)
        return Recording("r", (50 * points[None]).astype(np.float32), None, ["a"], list("abcde"), 30.0)

    found = compare(describe([bent(1, i) for i in range(4)]), [bent(-1, 9)])
    assert not any("mirrored" in finding for finding in found.findings)
