"""Features of known skeletons and raw ones, against plain loops, complex numbers and cases worked out by hand."""

import numpy as np
import pytest

from bams.features.gaps import difference, fill_gaps, observed
from bams.features.geometry import angle_difference, egocentric, polar, rotate, wrap_angle
from bams.features.raw import keypoint_features, series_features
from bams.features.skeletons import Body, PoseTable, Segment, pose_features

PI = np.float32(np.pi)
NAN = np.nan


def distance_on_circle(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.abs(np.exp(1j * np.asarray(left, float)) - np.exp(1j * np.asarray(right, float)))


def random_keypoints(seed: int, shape: tuple[int, ...] = (3, 40, 4, 2), missing: float = 0.2) -> np.ndarray:
    """Whole numbers, so that sums, shifts and doublings of them are exact in float32."""
    rng = np.random.default_rng(seed)
    keypoints = rng.integers(-200, 200, shape).astype(np.float32)
    keypoints[rng.random(shape[:-1]) < missing] = NAN
    return keypoints


def column(found, name: str, kind: str = "inputs") -> np.ndarray:
    """One feature (N, T) by its name; kind inputs, actions or valid."""
    names = found.input_names if kind == "inputs" else found.action_names
    return getattr(found, kind)[..., names.index(name)]


# --- angles and gaps ---


def test_wrapped_angles_lie_in_the_interval_and_point_the_same_way():
    ends = np.float32([turns * sign * np.pi for turns in (1, 3, 7, 15, 21, 1001) for sign in (1, -1)])
    nearest = (ends[:, None].view(np.int32) + np.arange(-50, 51, dtype=np.int32)).view(np.float32)
    some = np.float32(np.random.default_rng(0).uniform(-7 * np.pi, 7 * np.pi, 100_000))
    angle = np.concatenate([nearest.ravel(), some])
    wrapped = wrap_angle(angle)
    assert wrapped.dtype == np.float32 and (wrapped > -PI).all() and (wrapped <= PI).all()
    assert distance_on_circle(wrapped, angle)[nearest.size :].max() < 1e-5
    above = np.nextafter(-PI, np.float32(0))
    special = [above, 0, 1e-30, -1e-30, PI, NAN]
    inside = np.concatenate([np.linspace(-3.1415925, 3.1415925, 100_001), special]).astype(np.float32)
    np.testing.assert_array_equal(wrap_angle(inside), inside)
    assert wrap_angle(-PI) == wrap_angle(np.float64(-np.pi)) == PI


def test_polar_is_modulus_and_argument():
    vectors = np.random.default_rng(0).normal(size=(4, 5, 6, 2)).astype(np.float32)
    number = vectors[..., 0] + 1j * vectors[..., 1].astype(float)
    length, angle = polar(vectors)
    assert length.dtype == angle.dtype == np.float32
    np.testing.assert_allclose(length, np.abs(number), rtol=1e-6)
    np.testing.assert_allclose(angle, np.angle(number), rtol=1e-6, atol=1e-6)
    length, angle = polar(np.float32([[3, 4], [0, 0], [-2, 0], [-2, -0.0], [0, -5], [NAN, 1]]))
    np.testing.assert_array_equal(length, np.float32([5, 0, 2, 2, 5, NAN]))
    np.testing.assert_allclose(angle, np.float32([np.arctan2(4, 3), 0, PI, PI, -np.pi / 2, NAN]), rtol=1e-6)


def test_rotate_is_multiplication_by_a_unit_number():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, 5, 2)).astype(np.float32)
    angle = rng.uniform(-9, 9, (4, 5)).astype(np.float32)
    expected = (vectors[..., 0] + 1j * vectors[..., 1]) * np.exp(1j * angle.astype(float))
    found = rotate(vectors, angle)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, atol=2e-6)
    for vector, turned in (([1, 0], [0, 1]), ([1, 0, 5], [0, 1, 5])):
        np.testing.assert_allclose(rotate(np.float32(vector), PI / 2), turned, atol=1e-7)


def test_egocentric_is_division_by_the_heading():
    rng = np.random.default_rng(0)
    points, origin = (rng.normal(size=(2, 3, 4, 2)).astype(np.float32), rng.normal(size=(2, 3, 2)).astype(np.float32))
    heading = rng.uniform(-np.pi, np.pi, (2, 3)).astype(np.float32)
    found = egocentric(points, origin, heading)
    assert found.dtype == np.float32
    for n, t, k in np.ndindex(2, 3, 4):
        z = complex(*(points[n, t, k] - origin[n, t])) / np.exp(1j * heading[n, t])
        np.testing.assert_allclose(found[n, t, k], [z.real, z.imag], atol=1e-6)


def test_fill_gaps_by_hand():
    values = np.float32([[NAN, 1, NAN, NAN, 4, NAN]])
    np.testing.assert_array_equal(fill_gaps(values, np.isfinite(values)), np.float32([[NAN, 1, 1, 1, 4, 4]]))
    hidden = fill_gaps(np.float32([[7, 1, 999, 2]]), np.array([[False, True, False, True]]))
    np.testing.assert_array_equal(hidden, np.float32([[NAN, 1, 1, 2]]))


def test_observed_needs_every_coordinate():
    keypoints = np.float32([[[[1, 2], [NAN, 2], [1, NAN], [NAN, NAN], [0, 0]]]])
    np.testing.assert_array_equal(observed(keypoints), [[[True, False, False, False, True]]])


# --- differences and series ---


def slow_difference(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    change, both = np.zeros(values.shape, np.float32), np.zeros(valid.shape, bool)
    for n, t, *rest in np.ndindex(valid.shape):
        now, before = (n, t, *rest), (n, t - 1, *rest)
        if t > 0 and valid[now] and valid[before]:
            both[now] = True
            change[now] = values[now] - values[before]
    return change, both


@pytest.mark.parametrize("axes", [2, 3, 4])
def test_difference_equals_the_loop(axes):
    rng = np.random.default_rng(axes)
    for missing in (0, 0.3, 0.9, 1):
        values = rng.normal(size=(3, 20, 4, 2)).astype(np.float32)
        valid = rng.random(values.shape[:axes]) >= missing
        values[~valid] = NAN
        change, both = difference(values, valid)
        assert (change.dtype, both.dtype) == (np.float32, bool)
        slow_change, slow_both = slow_difference(values, valid)
        np.testing.assert_array_equal(change, slow_change)
        np.testing.assert_array_equal(both, slow_both)
    values = np.float32([[5, 7, 4, NAN, 900, 901]])
    change, both = difference(values, np.isfinite(values))
    assert change.tolist() == [[0, 2, -3, 0, 0, 1]]
    assert both.tolist() == [[False, True, True, False, False, True]]


def test_angle_difference_equals_the_loop():
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, (3, 50, 2)).astype(np.float32)
    valid = rng.random(angle.shape) < 0.7
    angle[~valid] = NAN
    change, both = angle_difference(angle, valid)
    assert change.dtype == np.float32
    np.testing.assert_array_equal(both, slow_difference(angle, valid)[1])
    for n, t, k in np.ndindex(angle.shape):
        expected = np.angle(np.exp(1j * (float(angle[n, t, k]) - angle[n, t - 1, k]))) if both[n, t, k] else 0
        np.testing.assert_allclose(change[n, t, k], expected, atol=1e-6)


def test_the_short_way_round_is_taken_and_half_a_turn_is_plus_pi():
    change, _ = angle_difference(np.float32([[3, -3, 3], [0, PI, 0]]), np.ones((2, 3), bool))
    np.testing.assert_allclose(change[0], [0, 2 * np.pi - 6, 6 - 2 * np.pi], atol=1e-6)
    np.testing.assert_array_equal(change[1], [0, PI, PI])


def test_series_features_by_hand():
    found = series_features(np.float32([[[1, NAN], [3, 10], [NAN, 12], [7, 12]]]))
    actions = ("feature0_change", "feature1_change")
    assert found.input_names == ("feature0", "feature1", *actions, "feature0_observed", "feature1_observed")
    assert found.action_names == actions
    inputs = [[1, NAN, 0, 0, 1, 0], [3, 10, 2, 0, 1, 1], [3, 12, 0, 2, 0, 1], [7, 12, 0, 0, 1, 1]]
    np.testing.assert_array_equal(found.inputs[0], inputs)
    assert found.actions[0].tolist() == [[0, 0], [2, 0], [0, 2], [0, 0]]
    assert found.valid[0].astype(int).tolist() == [[0, 0], [1, 0], [0, 1], [0, 1]]


# --- keypoints ---------------------------------------------------------------------------------


def test_keypoint_features_by_hand():
    # two keypoints: `nose` is lost at frame 2, `tail` is first seen at frame 1
    keypoints = np.float32([[[[0, 0], [NAN, NAN]], [[2, 0], [4, 2]], [[NAN, NAN], [4, 4]], [[10, 10], [4, 4]]]])
    found = keypoint_features(keypoints, ("nose", "tail"))
    expected = {
        "centre_x": [0, 3, 3, 7],
        "centre_y": [0, 1, 2, 7],
        "nose_x_relative": [0, -1, -1, 3],
        "nose_y_relative": [0, -1, -2, 3],
        "tail_x_relative": [NAN, 1, 1, -3],
        "tail_y_relative": [NAN, 1, 2, -3],
        "nose_x_moved": [0, 2, 0, 0],
        "nose_y_moved": [0, 0, 0, 0],
        "tail_x_moved": [0, 0, 0, 0],
        "tail_y_moved": [0, 0, 2, 0],
        "nose_observed": [1, 1, 0, 1],
        "tail_observed": [0, 1, 1, 1],
    }
    assert found.input_names == tuple(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(column(found, name)[0], values, err_msg=name)
    assert found.action_names == ("nose_x_moved", "nose_y_moved", "tail_x_moved", "tail_y_moved")
    np.testing.assert_array_equal(found.actions[0], found.inputs[0, :, 6:10])
    assert found.valid[0].astype(int).tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_keypoint_features_equal_a_loop(dims):
    keypoints = random_keypoints(dims, (2, 30, 4, dims))
    found = keypoint_features(keypoints)
    for n in range(2):
        held = np.full((4, dims), NAN)
        for t in range(30):
            for k in range(4):
                now, name = keypoints[n, t, k], f"keypoint{k}"
                both = t > 0 and np.isfinite([now, keypoints[n, t - 1, k]]).all()
                held[k] = now if np.isfinite(now).all() else held[k]
                assert column(found, f"{name}_observed")[n, t] == np.isfinite(now).all()
                for d in range(dims):
                    moved = now[d] - keypoints[n, t - 1, k, d] if both else 0
                    action = f"{name}_{'xyz'[d]}_moved"
                    assert column(found, action)[n, t] == column(found, action, "actions")[n, t] == moved
                    assert column(found, action, "valid")[n, t] == both
            known = held[np.isfinite(held).all(axis=1)]
            centre = known.mean(axis=0) if len(known) else np.full(dims, NAN)
            for d in range(dims):
                np.testing.assert_allclose(column(found, f"centre_{'xyz'[d]}")[n, t], centre[d], rtol=1e-5)
                for k in range(4):
                    relative = column(found, f"keypoint{k}_{'xyz'[d]}_relative")[n, t]
                    np.testing.assert_allclose(relative, held[k, d] - centre[d], atol=1e-3)


# --- poses -------------------------------------------------------------------------------------

TABLE = PoseTable(
    keypoints=("nose", "neck", "paw", "tail"),
    bodies=(Body("head", origin="neck", front="nose"), Body("rear", origin="tail", front="neck")),
    segments=(
        Segment("spine", start="tail", end="neck", body="rear"),
        Segment("paw", start="neck", end="paw", body="head"),
    ),
    moving_segments=("paw",),
)


def walk() -> np.ndarray:
    """(1, 5, 4, 2): two steps along x, a step along y with the head turned, a pause."""
    nose = [[11, 0], [14, 0], [18, 0], [17, 6], [17, 6]]
    neck = [[10, 0], [13, 0], [17, 0], [17, 5], [17, 5]]
    paw = [[10, 2], [13, 2], [20, 0], [17, 8], [17, 8]]
    tail = [[0, 0], [3, 0], [7, 0], [7, 5], [7, 5]]
    return np.stack(np.float32([nose, neck, paw, tail]), axis=1)[None]


def test_pose_features_by_hand():
    found = pose_features(walk(), TABLE)
    quarter, still, ones = np.pi / 2, np.zeros(5), np.ones(5)
    head, paw = np.array([0, 0, 0, quarter, quarter]), np.array([quarter, quarter, 0, 0, 0])
    expected = {
        "head.x": [10, 13, 17, 17, 17],
        "head.y": [0, 0, 0, 5, 5],
        "head.cos": np.cos(head),
        "head.sin": np.sin(head),
        "head.forward": [0, 3, 4, 5, 0],
        "head.sideways": still,
        "head.turn": [0, 0, 0, quarter, 0],
        "rear.x": [0, 3, 7, 7, 7],
        "rear.y": [0, 0, 0, 5, 5],
        "rear.cos": ones,
        "rear.sin": still,
        "rear.forward": [0, 3, 4, 0, 0],
        "rear.sideways": [0, 0, 0, 5, 0],
        "rear.turn": still,
        "spine.length": 10 * ones,
        "spine.cos": ones,
        **{f"spine.{name}": still for name in ("sin", "longer", "swing")},
        "paw.length": [2, 2, 3, 3, 3],
        "paw.cos": np.cos(paw),
        "paw.sin": np.sin(paw),
        "paw.longer": [0, 0, 1, 0, 0],
        "paw.swing": [0, 0, -quarter, 0, 0],
        **{f"{name}_observed": ones for name in TABLE.keypoints},
    }
    assert found.input_names == tuple(expected)
    assert found.inputs.dtype == found.actions.dtype == np.float32
    for name, values in expected.items():
        np.testing.assert_allclose(column(found, name)[0], values, atol=2e-6, err_msg=name)

    actions = {  # values, and the frames in which they are valid
        "head.speed": ([0, 3, 4, 5, 0], "-++++"),
        "head.heading": ([0, 0, 0, quarter, 0], "-+++-"),
        "head.heading_turn": ([0, 0, 0, quarter, 0], "--++-"),
        "head.turn": ([0, 0, 0, quarter, 0], "-++++"),
        "rear.speed": ([0, 3, 4, 5, 0], "-++++"),
        "rear.heading": ([0, 0, 0, quarter, 0], "-+++-"),
        "rear.heading_turn": ([0, 0, 0, quarter, 0], "--++-"),
        "rear.turn": (still, "-++++"),
        "paw.longer": ([0, 0, 1, 0, 0], "-++++"),
        "paw.swing": ([0, 0, -quarter, 0, 0], "-++++"),
    }
    assert found.action_names == tuple(actions)
    for name, (values, valid) in actions.items():
        np.testing.assert_allclose(column(found, name, "actions")[0], values, atol=2e-6, err_msg=name)
        assert "".join("-+"[v] for v in column(found, name, "valid")[0].astype(int)) == valid, name


def test_pose_features_equal_complex_arithmetic():
    keypoints = random_keypoints(0, (2, 60, 4, 2))
    found = pose_features(keypoints, TABLE)
    z = keypoints[..., 0] + 1j * keypoints[..., 1].astype(float)
    at = {name: i for i, name in enumerate(TABLE.keypoints)}

    def known(*vectors: complex) -> bool:
        """Whether all are observed and none is without length, so that angles between them are known."""
        return np.isfinite(sum(vectors)) and 0 not in vectors

    compared = 0
    for n, t in np.ndindex(2, 60):
        now, last, before = z[n, t], z[n, max(t - 1, 0)], z[n, max(t - 2, 0)]
        for body in TABLE.bodies:
            origin, front = at[body.origin], at[body.front]
            step, last_step = now[origin] - last[origin], last[origin] - before[origin]
            axis, last_axis = now[front] - now[origin], last[front] - last[origin]
            expected = {
                "speed": (abs(step), t >= 1 and np.isfinite(step)),
                "heading": (np.angle(step), t >= 1 and known(step)),
                "heading_turn": (np.angle(step * last_step.conjugate()), t >= 2 and known(step, last_step)),
                "turn": (np.angle(axis * last_axis.conjugate()), t >= 1 and known(axis, last_axis)),
            }
            for name, (value, valid) in expected.items():
                assert column(found, f"{body.name}.{name}", "valid")[n, t] == valid, (body, name, n, t)
                if valid:
                    got = column(found, f"{body.name}.{name}", "actions")[n, t]
                    same = distance_on_circle(got, value) if name != "speed" else abs(got - value)
                    assert same < 1e-4, (body, name, n, t)
                    compared += 1
            own = step / (axis / abs(axis)) if expected["speed"][1] and known(axis) else 0j
            got = [column(found, f"{body.name}.{name}")[n, t] for name in ("forward", "sideways")]
            np.testing.assert_allclose(got, [own.real, own.imag], atol=1e-3)
        for segment in TABLE.segments:
            body = next(body for body in TABLE.bodies if body.name == segment.body)
            vectors = [v[at[segment.end]] - v[at[segment.start]] for v in (now, last)]
            axes = [v[at[body.front]] - v[at[body.origin]] for v in (now, last)]
            if t < 1 or not known(*vectors, *axes):
                continue
            angles = [np.angle(v * a.conjugate()) for v, a in zip(vectors, axes, strict=True)]
            value = {name: column(found, f"{segment.name}.{name}")[n, t] for name in ("length", "longer", "swing")}
            np.testing.assert_allclose(value["length"], abs(vectors[0]), rtol=1e-5)
            np.testing.assert_allclose(value["longer"], abs(vectors[0]) - abs(vectors[1]), atol=1e-3)
            assert distance_on_circle(value["swing"], angles[0] - angles[1]) < 1e-4
            for name, of in (("cos", np.cos), ("sin", np.sin)):
                np.testing.assert_allclose(column(found, f"{segment.name}.{name}")[n, t], of(angles[0]), atol=1e-4)
            compared += 1
    assert compared > 500


def test_a_segment_needs_the_orientation_of_its_body_for_its_angle_only():
    keypoints = random_keypoints(0, missing=0)
    keypoints[:, 10:20, TABLE.keypoints.index("nose")] = NAN  # the head's orientation is lost
    found = pose_features(keypoints, TABLE)
    for name in ("paw.swing", "head.turn"):
        assert not column(found, name, "valid")[:, 10:21].any()
    for name in ("paw.longer", "head.speed", "rear.turn", "rear.speed"):
        assert column(found, name, "valid")[:, 1:].all()


def test_a_gap_never_looks_like_a_jump():
    for gap in (1, 2, 10):
        keypoints = np.repeat(walk(), 4, axis=1)  # moves of at most a few units
        keypoints[:, 6 : 6 + gap] = NAN
        keypoints[:, 6 + gap :] += 1000  # found again elsewhere
        for found in (pose_features(keypoints, TABLE), keypoint_features(keypoints)):
            assert not found.valid[:, 6 : 7 + gap].any()
            assert np.abs(found.actions).max() < 20
            for name in found.input_names:
                if any(word in name for word in ("forward", "sideways", "turn", "longer", "swing", "moved")):
                    assert np.abs(column(found, name)).max() < 20, name


@pytest.mark.parametrize(
    ("point", "silent", "valid"),
    [("nose", ("head.turn", "paw.swing"), "head.speed"), ("paw", ("paw.swing",), "paw.longer")],
)
def test_a_vector_without_length_has_no_angle(point, silent, valid):
    keypoints = np.repeat(walk(), 3, axis=1)
    keypoints[:, 7, TABLE.keypoints.index(point)] = keypoints[:, 7, TABLE.keypoints.index("neck")]
    found = pose_features(keypoints, TABLE)
    for name in silent:
        np.testing.assert_array_equal(np.flatnonzero(~column(found, name, "valid")[0]), [0, 7, 8], err_msg=name)
    np.testing.assert_array_equal(np.flatnonzero(~column(found, valid, "valid")[0]), [0])


@pytest.mark.parametrize("factor", [2, 0.125])
def test_lengths_scale_with_the_unit_and_angles_do_not(factor):
    keypoints = random_keypoints(5)
    one, other = (pose_features(k, TABLE) for k in (keypoints, np.float32(factor) * keypoints))
    lengths = ("x", "y", "forward", "sideways", "length", "longer", "speed")
    for kind, names in (("inputs", one.input_names), ("actions", one.action_names)):
        scales = np.float32([factor if name.split(".")[-1] in lengths else 1 for name in names])
        np.testing.assert_array_equal(getattr(other, kind), getattr(one, kind) * scales)
    np.testing.assert_array_equal(other.valid, one.valid)


def test_names_and_tables_of_other_keypoints_are_refused():
    with pytest.raises(ValueError, match="3"):
        keypoint_features(random_keypoints(0), ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"has 5 keypoints.* names 4"):
        pose_features(random_keypoints(0, (1, 5, 5, 2)), TABLE)


# --- all of them -------------------------------------------------------------------------------

ALL = {
    "series": lambda keypoints: series_features(keypoints.reshape(*keypoints.shape[:2], -1)),
    "keypoints": keypoint_features,
    "pose": lambda keypoints: pose_features(keypoints, TABLE),
}


@pytest.fixture(params=list(ALL))
def find(request):
    return ALL[request.param]


@pytest.mark.parametrize("missing", [0, 0.3, 1])
def test_axes_types_names_and_what_is_not_valid_are_as_documented(find, missing):
    keypoints = random_keypoints(1, missing=missing)
    keypoints.flags.writeable = False
    found = find(keypoints)
    assert found.inputs.shape == (3, 40, len(set(found.input_names)))
    assert found.actions.shape == found.valid.shape == (3, 40, len(set(found.action_names)))
    assert (found.inputs.dtype, found.actions.dtype, found.valid.dtype) == (np.float32, np.float32, bool)
    assert np.isfinite(found.actions).all() and not found.actions[~found.valid].any()
    assert not np.isinf(found.inputs).any() and not found.valid[:, 0].any()


def test_neither_the_future_nor_another_track_changes_a_feature(find):
    keypoints = random_keypoints(2)
    found = find(keypoints)
    for now in (0, 1, 17, 38):
        other = keypoints.copy()
        other[:, now + 1 :] = random_keypoints(3)[:, now + 1 :]
        for before, after in zip(found[:3], find(other)[:3], strict=True):
            np.testing.assert_array_equal(after[:, : now + 1], before[:, : now + 1])
    for n in range(len(keypoints)):
        for together, alone in zip(found[:3], find(keypoints[n : n + 1])[:3], strict=True):
            np.testing.assert_array_equal(alone[0], together[n])
