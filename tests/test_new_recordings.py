"""New recordings get the shape of those in training, as if their file had been brought into it by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from test_embedder import QUICK
from test_own_recordings import rows_of
from test_scripts import folder, run, write_deeplabcut  # noqa: F401 - folder: a fixture

from bams import BAMSEmbedder, Recording
from bams.embedder.estimator import prepare_like
from bams.recordings.cleaning import CleaningConfig
from bams.simulate.mice import KEYPOINTS, simulate_mice

NAN = np.float32(np.nan)
COUNT = 5
NAMES = list(KEYPOINTS[:COUNT])


def recording(seed: int = 0, frames: int = 200) -> Recording:
    points = simulate_mice(1, frames=frames, individuals=1, seed=seed).keypoints[0, :, :, :COUNT]
    points = np.nan_to_num(points, nan=300).astype(np.float32)
    return Recording(f"r{seed}", points, np.full(points.shape[:3], 0.9, np.float32), ["m"], NAMES, 30.0)


def fit(cleaning: CleaningConfig | None = None, change: Callable[[Recording], Recording] = lambda one: one):
    return BAMSEmbedder(**QUICK, cleaning=cleaning).fit([change(recording(seed)) for seed in (1, 2)])


@pytest.fixture(scope="module")
def fitted() -> BAMSEmbedder:
    return fit()


PLAIN = recording()
HOLES = slice(50, 60)


def named(one: Recording, **names: str) -> Recording:
    return replace(one, keypoint_names=[names.get(name, name) for name in one.keypoint_names])


def ordered(one: Recording, at: list[int]) -> Recording:
    return one.changed(lambda values: values[:, :, at], keypoint_names=[NAMES[i] for i in at])


def with_more(one: Recording) -> Recording:
    """A keypoint more, first, and so far away that it would be the end of the body."""
    more = lambda values: np.concatenate([values[:, :, :1] + 900, values], axis=2)  # noqa: E731
    return one.changed(more, keypoint_names=["led", *NAMES])


def faster(one: Recording) -> Recording:
    """60 frames per second, on straight lines between the frames."""
    between = lambda values: (values[:, :-1] + values[:, 1:]) / 2  # noqa: E731
    frames = one.keypoints.shape[1]
    both = lambda values: np.insert(values, range(1, frames), between(values), axis=1)  # noqa: E731
    return one.changed(both, fps=60.0)


def holed(one: Recording, value: float = NAN, confidence: float = 0.9) -> Recording:
    keypoints, sure = one.keypoints.copy(), one.confidence.copy()
    keypoints[:, HOLES, 4] = value
    sure[:, HOLES, 4] = confidence
    return replace(one, keypoints=keypoints, confidence=sure)


def filled(one: Recording) -> Recording:
    keypoints, ends = one.keypoints.copy(), [HOLES.start - 1, HOLES.stop]
    for axis in (0, 1):
        keypoints[0, HOLES, 4, axis] = np.interp(np.arange(50, 60), ends, keypoints[0, ends, 4, axis])
    return replace(one, keypoints=keypoints)


@dataclass
class Case:
    """A new recording, the changes that flags give, and what it is by hand."""

    new: Recording
    changes: dict
    by_hand: Recording = PLAIN
    said: str = ""


CASES = {
    "the same": Case(PLAIN, {}),
    "another order": Case(ordered(PLAIN, [4, 2, 0, 1, 3]), {}),
    "more keypoints": Case(with_more(PLAIN), {}, said="left out keypoints that the model was not trained on: led"),
    "more, of which some are kept": Case(with_more(PLAIN), {"keypoints": ",".join(NAMES[::-1])}),
    "more, and none sets the body length": Case(with_more(PLAIN), {"max_jump": 100.0}, said="led"),
    "other names": Case(named(PLAIN, nose="Nose", neck="Neck"), {"rename": "Nose:nose,Neck:neck"}),
    "exchanged names": Case(
        named(PLAIN, left_ear="right_ear", right_ear="left_ear"), {"rename": "left_ear:right_ear,right_ear:left_ear"}
    ),
    "one has the old name already": Case(PLAIN, {"rename": "Nose:nose"}),
    "another rate": Case(faster(PLAIN), {"resample": 30.0}),
    "doubtful positions": Case(holed(PLAIN, 900, 0.1), {"min_confidence": 0.5}, holed(PLAIN, NAN, 0.1)),
    "jumps": Case(holed(PLAIN, 90_000), {"max_jump": 100.0}, holed(PLAIN)),
    "gaps": Case(holed(PLAIN), {"interpolate": 10}, filled(PLAIN)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_new_recordings_get_the_shape_of_training(case: Case, fitted: BAMSEmbedder, capsys):
    (found,) = prepare_like([case.new], fitted.checkpoint_, case.changes)
    assert (found.keypoint_names, found.fps) == (NAMES, 30.0)
    np.testing.assert_allclose(found.keypoints, case.by_hand.keypoints, rtol=1e-6)
    np.testing.assert_allclose(found.confidence, case.by_hand.confidence)
    said = capsys.readouterr().err
    assert case.said in said and (said == "") == (case.said == "")


def test_transform_takes_another_order_and_more_keypoints(fitted, capsys):
    (expected,) = fitted.transform([PLAIN])
    before = capsys.readouterr().err
    for new in (ordered(PLAIN, [1, 0, 4, 3, 2]), with_more(PLAIN)):
        np.testing.assert_array_equal(fitted.transform([new])[0].table(), expected.table())
    assert (
        capsys.readouterr().err.replace("left out keypoints that the model was not trained on: led\n", "") == before * 2
    )


def test_the_cleaning_of_training_is_kept_and_each_setting_of_it_can_be_replaced():
    """Trained in body lengths, with a name that one laboratory writes in another way."""
    cleaning = CleaningConfig(rename="Nose:nose", min_confidence=0.5, unit="body", keypoints=",".join(NAMES[:4]))
    trained = fit(cleaning, lambda one: named(one, nose="Nose") if one.name == "r1" else one).checkpoint_
    shaped = [prepare_like([one], trained)[0] for one in (PLAIN, named(PLAIN, nose="Nose"), with_more(PLAIN))]
    for one in shaped:
        np.testing.assert_array_equal(one.keypoints, shaped[0].keypoints)
    doubtful = replace(PLAIN, confidence=PLAIN.confidence * np.float32([1, 0.5, 1, 1, 1]))
    assert np.isnan(prepare_like([doubtful], trained)[0].keypoints[:, :, 1]).all()
    (found,) = prepare_like([doubtful], trained, {"min_confidence": 0.0})
    np.testing.assert_array_equal(found.keypoints, shaped[0].keypoints)  # still in body lengths


@pytest.mark.parametrize(
    ("new", "changes", "said"),
    [
        (named(PLAIN, nose="Nose"), {}, "no keypoint 'nose' which the model needs; it has Nose, .*--rename Nose:nose"),
        (
            named(PLAIN, nose="Nose", neck="nek"),
            {"rename": "Nose:nose"},
            "no keypoint 'neck' which the model needs.*--rename Nose:nose,nek:neck",
        ),
        (ordered(PLAIN, [0, 1]), {}, "no keypoint 'right_ear', 'neck', 'left_forepaw' which the model needs"),
        (PLAIN, {"rename": "nos:x"}, "rename has 'nos', a keypoint that no recording has; did you mean nose"),
        (PLAIN, {"keypoints": "nose,neck"}, "no keypoint 'left_ear', .* which the model needs"),
        (replace(PLAIN, confidence=None), {"min_confidence": 0.5}, "no confidences, so min_confidence has no use"),
        (replace(PLAIN, fps=None), {"resample": 30.0}, "frames per second of r0 are not known"),
    ],
)
def test_what_cannot_be_brought_into_shape_is_refused(new, changes, said, fitted):
    with pytest.raises(ValueError, match=said):
        prepare_like([new], fitted.checkpoint_, changes)


def test_keypoints_without_names_are_not_guessed():
    trained = BAMSEmbedder(**QUICK).fit([PLAIN.keypoints, PLAIN.keypoints])
    more = with_more(PLAIN).keypoints
    with pytest.raises(ValueError, match="6 keypoints without names, and 5 are needed: choose them with --keypoints"):
        trained.transform([more])
    assert trained.transform([PLAIN.keypoints])[0].table().shape[0] == 200


@pytest.mark.parametrize("kind", ["keypoints", "series"])
def test_another_rate_than_in_training_is_said_in_one_sentence(kind, capsys):
    change = (lambda one: one) if kind == "keypoints" else as_series
    trained = fit(change=change)
    trained.transform([change(PLAIN)])
    assert "--resample" not in capsys.readouterr().err
    trained.transform([change(faster(PLAIN))])
    said = capsys.readouterr().err
    assert said.count("there are 60 frames per second, 30 in training: --resample 30 gives that rate") == 1


def as_series(one: Recording) -> Recording:
    return replace(one, keypoints=one.keypoints[..., 0], confidence=None, keypoint_names=[])


def test_flags_clean_new_recordings_and_files_do_not_in_silence(fitted, folder, capsys):  # noqa: F811
    fitted.save("m.pt")
    points = holed(PLAIN, 90_000).keypoints[:, :, [0, 1, 2, 3, 4, 0]]  # the sixth is one too many
    write_deeplabcut(folder / "new/a.csv", points)
    (folder / "clean.yaml").write_text("interpolate: 4\nmin_confidence: 0.95\nepochs: 7\n")
    flags = "--fps 30 --max_jump 100 --interpolate 10 --config clean.yaml --device cpu"
    run(f"custom_dataset.py --job compute_representations --data_root new --ckpt_path m.pt {flags}")
    said = capsys.readouterr().err
    assert f"not trained on: {KEYPOINTS[5]}" in said and "interpolate" not in said
    assert "trained with min_confidence 0, not 0.95 as the file of --config says; give --min_confidence" in said
    rows = rows_of("m_representations/a_embeddings.csv")
    (expected,) = fitted.transform([filled(PLAIN)])
    found = np.array([[float(row[column]) for column in expected.columns] for row in rows])
    np.testing.assert_allclose(found, expected.table(), atol=1e-5)
