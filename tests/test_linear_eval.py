"""Linear read-outs against plain scikit-learn, and the table of them."""

import csv
import io
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, mean_squared_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bams
from bams.readout import ridge
from bams.readout.linear_eval import (
    assign_folds,
    evaluate_labels,
    train_linear_classfier,
    train_linear_classifier,
    train_linear_regressor,
)
from bams.readout.scores import COLUMNS

warnings.filterwarnings("ignore", module="sklearn")


def data(frames: int = 900, channels: int = 7, groups: int = 9, seed: int = 0):
    """Features with offsets, odd scales and a constant column; classes, a measure; groups of unequal size."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((frames, channels))
    classes = (hidden[:, :3] + 0.8 * rng.standard_normal((frames, 3)) + [0.5, 0, -0.5]).argmax(1)
    measure = 40 + 7 * hidden[:, 3] + rng.standard_normal(frames)
    features = hidden * 10.0 ** rng.integers(-4, 4, channels) + rng.normal(0, 50, channels)
    features[:, -1] = 3.7
    group = np.sort(rng.integers(0, groups, frames))
    group[:groups] = np.arange(groups)
    return features.astype(np.float32), classes, measure, group


def folds_of(group: np.ndarray, classes: np.ndarray, folds: int = 5) -> np.ndarray:
    return assign_folds(group, np.unique(classes, return_inverse=True)[1], folds)


def plain_predictions(features, y, fold, make) -> np.ndarray:
    """By scikit-learn alone, fold by fold."""
    predicted = np.zeros_like(y)
    for f in np.unique(fold):
        model = make_pipeline(StandardScaler(), make()).fit(features[fold != f].astype(float), y[fold != f])
        predicted[fold == f] = model.predict(features[fold == f].astype(float))
    return predicted


def balanced_ridge() -> RidgeClassifier:
    return RidgeClassifier(alpha=1.0, class_weight="balanced")


# --- one split, sums over frames, folds ---


def test_classifier_is_that_of_scikit_learn_and_leaves_its_arguments():
    features, classes, _, _ = data()
    classes[::7] = -1
    before = features.copy(), classes.copy()
    train, test = ((features[part], classes[part]) for part in (slice(600), slice(600, None)))
    names = ["walk", "rest", "groom"]
    found = train_linear_classifier(train, test, class_names=names)
    known, scored = train[1] >= 0, test[1] >= 0
    model = make_pipeline(StandardScaler(), balanced_ridge()).fit(train[0][known], train[1][known])
    predicted = model.predict(test[0])
    np.testing.assert_array_equal(found.predictions, predicted)
    true, predicted = test[1][scored], predicted[scored]
    assert found.scores["macro F1"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert found.scores["balanced accuracy"] == pytest.approx(balanced_accuracy_score(true, predicted))
    assert [found.scores[f"F1 {name}"] for name in names] == pytest.approx(f1_score(true, predicted, average=None))
    np.testing.assert_allclose(found.confusion, confusion_matrix(true, predicted, normalize="true"))
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(classes, before[1])


def test_regressor_is_that_of_scikit_learn():
    features, _, measure, _ = data()
    measure[::5] = np.nan
    train, test = ((features[part], measure[part]) for part in (slice(600), slice(600, None)))
    found = train_linear_regressor(train, test, alpha=3.0)
    known, scored = np.isfinite(train[1]), np.isfinite(test[1])
    model = make_pipeline(StandardScaler(), Ridge(alpha=3.0)).fit(train[0][known], train[1][known])
    predicted = model.predict(test[0])
    np.testing.assert_allclose(found.predictions, predicted)
    assert found.scores["R2"] == pytest.approx(r2_score(test[1][scored], predicted[scored]))
    assert found.scores["MSE"] == pytest.approx(mean_squared_error(test[1][scored], predicted[scored]))
    assert found.confusion is None


def test_another_estimator_takes_the_place_and_is_not_fitted_itself():
    features, classes, measure, _ = data()
    estimator = LogisticRegression(max_iter=500)
    found = train_linear_classifier((features, classes), (features, classes), estimator=estimator)
    assert not hasattr(estimator, "coef_")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(features, classes)
    np.testing.assert_array_equal(found.predictions, model.predict(features))
    weak = train_linear_regressor((features, measure), (features, measure), estimator=Ridge(alpha=1e9))
    assert weak.scores["R2"] < 0.01
    assert train_linear_classfier is train_linear_classifier is bams.train_linear_classfier


def test_a_class_of_one_part_alone_is_never_right_or_has_no_score():
    features, classes, _, _ = data()
    train, test = (features[:600], classes[:600]), (features[600:], classes[600:])
    known = train[1] < 2
    found = train_linear_classifier((train[0][known], train[1][known]), test)
    assert found.scores["F1 2"] == 0
    assert found.confusion.shape == (3, 3) and not found.confusion[:, 2].any()
    found = train_linear_classifier(train, (test[0], np.minimum(test[1], 1)))
    assert np.isnan(found.scores["F1 2"]) and np.isnan(found.confusion[2]).all()
    assert found.scores["macro F1"] == pytest.approx(np.mean([found.scores[f"F1 {c}"] for c in (0, 1)]))


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.zeros((5, 2)), np.zeros(4, int), "labels"),
        (np.zeros(5), np.zeros(5, int), "axes"),
        (np.zeros((5, 2)), np.full(5, 0.5), "not whole"),
        (np.zeros((5, 2)), np.array(list("abcde")), "whole numbers"),
        (np.zeros((5, 2)), np.full(5, -1), "two classes"),
        (np.full((5, 2), np.nan), np.arange(5), "finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(features, labels, message):
    with pytest.raises(ValueError, match=message):
        train_linear_classifier((features, labels), (features, labels))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_solving_from_sums_gives_the_coefficients_of_scikit_learn(count):
    features, _, _, _ = data(seed=count)
    y = np.random.default_rng(count).integers(0, count, len(features))
    features[:, 0] += y  # so that there is something to find
    sums = ridge.sum_products(features, np.arange(len(y)), y, count)
    found = ridge.classifier(sums, np.eye(count, dtype=bool), 1.0)
    plain = make_pipeline(StandardScaler(), balanced_ridge()).fit(features.astype(float), y)
    decision = plain.decision_function(features.astype(float))
    expected = np.stack([-decision, decision], axis=1) if count == 2 else decision
    np.testing.assert_allclose(sums.predict(found, features, np.arange(len(y))), expected, atol=1e-6)


def test_sums_are_the_same_however_many_rows_are_taken_at_once(monkeypatch):
    features, classes, measure, _ = data()
    rows = np.random.default_rng(0).permutation(900)[:700]
    whole = ridge.sum_products(features, rows, classes[rows], 3, measure[rows])
    monkeypatch.setattr(ridge, "ROWS_AT_ONCE", 13)
    parts = ridge.sum_products(features, rows, classes[rows], 3, measure[rows])
    for sums in (whole, parts):
        columns = np.column_stack([features[rows].astype(float), measure[rows]])
        for c in range(3):
            own = columns[classes[rows] == c]
            scale = columns.std(axis=0) + 1e-9
            np.testing.assert_allclose((sums.means[c] + sums.centre) / scale, own.mean(axis=0) / scale, rtol=1e-9)
            expected = np.cov(own.T, bias=True) / np.outer(scale, scale)
            np.testing.assert_allclose(sums.products[c] / len(own) / np.outer(scale, scale), expected, atol=1e-9)
            assert sums.counts[c] == len(own)


# columns that strain rounding; made of random ones (M, 4)
STRAINS = {
    "nothing": lambda x: x,
    "nearly constant": lambda x: 1 + 1e-9 * x,
    "nearly constant and large": lambda x: 3e7 + 1e-4 * x,
    "constant up to rounding": lambda x: 1 + 1e-15 * x,
    "of tiny variance": lambda x: 1e-30 * x,
    "of any size": lambda x: x * [1e-20, 1e9, 1e-4, 1e15] + [1e-18, -1e5, 7.0, 0],
    "one huge value": lambda x: np.where(np.arange(len(x))[:, None] == 5, 1e9, x),
    "two huge values of one column, in two folds": lambda x: np.where(at(x, [5, 350], 2), [1e9, -1e12, 3e10, 1e8], x),
    "a huge recording": lambda x: np.where(np.arange(len(x))[:, None] < 50, 1e9 * x, x),
    "constant outside one fold": lambda x: np.where(np.arange(len(x))[:, None] < 50, x, 3.7),
    "collinear": lambda x: np.column_stack([x, x[:, :2], x[:, 0] - 2 * x[:, 3]]),
}


def at(x: np.ndarray, rows: list[int], column: int) -> np.ndarray:
    there = np.zeros(x.shape, bool)
    there[rows, column] = True
    return there


@pytest.mark.parametrize("classes", [False, True], ids=["measure", "classes"])
@pytest.mark.parametrize("strain", STRAINS)
def test_read_outs_of_columns_that_strain_rounding_are_those_of_scikit_learn(strain, classes):
    rng = np.random.default_rng(0)
    x, fold = rng.normal(size=(500, 4)), np.arange(500) // 100
    hidden = x @ [1.0, -1, 2, 0.5] + 0.3 * rng.normal(size=500)
    y = np.digitize(hidden, [-1.5, 1]) if classes else 40 + 7 * hidden
    features = STRAINS[strain](x)
    of_fold, of_class = np.divmod(np.arange(15), 3)
    cells, target = (fold * 3 + y, None) if classes else (fold, y)
    sums = ridge.sum_products(features, np.arange(500), cells, 15 if classes else 5, target)
    for f in range(5):
        test = np.flatnonzero(fold == f)
        if classes:
            fitted = ridge.classifier(sums, (of_fold != f) & (of_class == np.arange(3)[:, None]), 1.0)
        else:
            fitted = ridge.regressor(sums, np.arange(5) != f, 1.0)
        model = make_pipeline(StandardScaler(), balanced_ridge() if classes else Ridge())
        model.fit(features[fold != f], y[fold != f])
        expected = model.decision_function(features[test]) if classes else model.predict(features[test])[:, None]
        np.testing.assert_allclose(sums.predict(fitted, features, test), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("strain", ["nothing", "nearly constant", "of any size", "collinear"])
def test_without_a_penalty_the_smallest_coefficients_are_taken(strain):
    rng = np.random.default_rng(0)
    features, groups = STRAINS[strain](rng.normal(size=(300, 4))), np.arange(300) // 30
    y = features[:, :4] / features[:, :4].std(axis=0) @ [1.0, -1, 2, 0.5] + 0.1 * rng.normal(size=300)
    table = evaluate_labels({"x": features}, {"y": y}, groups, regression=["y"], alpha=0)
    predicted = plain_predictions(features, y, folds_of(groups, np.zeros(300)), LinearRegression)
    assert table["y"].rows["x"]["R2"].value == pytest.approx(r2_score(y, predicted), abs=1e-9)
    few = features[:4]  # fewer rows than needed
    sums = ridge.sum_products(few, np.arange(4), np.zeros(4, int), 1, y[:4])
    found = sums.predict(ridge.regressor(sums, np.array([True]), 0.0), features, np.arange(300))[:, 0]
    expected = make_pipeline(StandardScaler(), LinearRegression()).fit(few, y[:4]).predict(features)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_split_and_classes_are_spread(seed):
    rng = np.random.default_rng(seed)
    group, classes = rng.integers(0, 12, 2000), rng.integers(0, 3, 2000)
    rare = np.isin(group, rng.choice(12, 2, replace=False))
    classes[rare & (rng.random(2000) < 0.1)] = 3
    fold = assign_folds(group, classes, 5)
    assert set(fold) == set(range(5))
    assert all(len(set(fold[group == g])) == 1 for g in range(12))
    # else no fold could both learn a class and be scored on it
    assert all(len(set(fold[classes == c])) > 1 for c in range(4))


def test_folds_are_at_least_2_and_at_most_one_per_group():
    assert set(assign_folds(np.repeat([4, 9, 2], 5), np.zeros(15, int), 5)) == {0, 1, 2}
    for groups, folds in [(np.zeros(9, int), 5), (np.arange(9), 1)]:
        with pytest.raises(ValueError, match="at least 2"):
            assign_folds(groups, np.zeros(9, int), folds)


# --- the table ---


def test_frame_classes_equal_plain_scikit_learn_with_missing_labels():
    features, classes, _, group = data()
    classes = np.where(np.random.default_rng(1).random(900) < 0.2, np.nan, classes + 1)  # classes 1 to 3, as floats
    classes[group == 4] = np.nan  # a recording without any
    table = evaluate_labels({"x": features}, {"c": classes}, group, class_names={"c": ["none", "a", "b", "d"]})
    known = np.isfinite(classes)
    x, y, g = features[known], classes[known].astype(int), group[known]
    fold = folds_of(g, y)
    predicted = plain_predictions(x, y, fold, balanced_ridge)
    scores = table["c"].rows["x"]
    assert list(scores) == ["macro F1", "balanced accuracy", "F1 a", "F1 b", "F1 d"]
    assert scores["macro F1"].value == pytest.approx(f1_score(y, predicted, average="macro"))
    assert scores["balanced accuracy"].value == pytest.approx(balanced_accuracy_score(y, predicted))
    per_fold = [f1_score(y[fold == f], predicted[fold == f], average="macro") for f in range(5)]
    assert scores["macro F1"].spread == pytest.approx(np.std(per_fold, ddof=1))
    assert scores["F1 b"].value == pytest.approx(f1_score(y == 2, predicted == 2))
    np.testing.assert_allclose(table["c"].confusions["x"], confusion_matrix(y, predicted, normalize="true"))
    assert (table["c"].groups, table["c"].folds, table["c"].read_out) == (8, 5, int(known.sum()))


def test_frame_measures_equal_plain_scikit_learn():
    features, _, measure, group = data()
    measure[::4] = np.nan
    table = evaluate_labels({"x": features}, {"m": measure}, group, regression=["m"], folds=4, alpha=2.0)
    known = np.isfinite(measure)
    y = measure[known]
    fold = folds_of(group[known], np.zeros(len(y), int), 4)
    predicted = plain_predictions(features[known], y, fold, lambda: Ridge(alpha=2.0))
    scores = table["m"].rows["x"]
    assert scores["R2"].value == pytest.approx(r2_score(y, predicted))
    assert scores["MSE"].value == pytest.approx(mean_squared_error(y, predicted))
    per_fold = [r2_score(y[fold == f], predicted[fold == f]) for f in range(4)]
    assert scores["R2"].spread == pytest.approx(np.std(per_fold, ddof=1))
    means = np.array([y[fold != f].mean() for f in range(4)])[fold]
    assert table["m"].rows["chance"]["R2"].value == pytest.approx(r2_score(y, means))


def test_labels_of_sequences_are_read_out_of_the_mean_over_their_frames():
    rng = np.random.default_rng(0)
    sequence = np.repeat(rng.permutation(40), rng.integers(3, 9, 40))
    kind, size = rng.integers(0, 2, 40), rng.normal(0, 5, 40)
    features = rng.standard_normal((len(sequence), 4)) + np.outer(kind[sequence] + 0.1 * size[sequence], [1, 0, 2, 0])
    kind[[3, 8]] = -1
    size[5] = np.nan
    video = np.array([f"video{s // 2}" for s in range(40)])  # two sequences in each
    frames = np.flatnonzero((rng.random(len(sequence)) < 0.7) & (sequence != 7))  # of the seventh nothing is left
    labels = {"kind": kind, "size": size}
    options = {"regression": ["size"], "sequence_level": ["kind", "size"], "sequences": sequence, "frames": frames}
    table = evaluate_labels({"x": features}, labels, video[sequence], **options)
    for name, known in (("kind", kind >= 0), ("size", np.isfinite(size))):
        kept = [s for s in range(40) if s != 7 and known[s]]
        means = np.array([features[frames[sequence[frames] == s]].mean(0) for s in kept])
        group = np.unique(video, return_inverse=True)[1][kept]
        y, scores = labels[name][kept], table[name]
        if name == "kind":
            predicted = plain_predictions(means, y, folds_of(group, y), balanced_ridge)
            assert scores.rows["x"]["macro F1"].value == pytest.approx(f1_score(y, predicted, average="macro"))
            assert (scores.level, scores.read_out, scores.labelled, scores.groups) == ("sequence", len(kept), 38, 20)
        else:
            predicted = plain_predictions(means, y, folds_of(group, np.zeros(38, int)), Ridge)
            assert scores.rows["x"]["MSE"].value == pytest.approx(mean_squared_error(y, predicted))


def test_other_estimators_give_what_they_give_alone():
    features, classes, measure, group = data()
    arguments = {"x": features}, {"c": classes, "m": measure}, group
    table = evaluate_labels(*arguments, regression=["m"], classifier=balanced_ridge(), regressor=Ridge())
    same = evaluate_labels(*arguments, regression=["m"])
    for label, metric in [("c", "macro F1"), ("m", "MSE")]:
        one, other = (t[label].rows["x"][metric] for t in (table, same))
        assert one.value == pytest.approx(other.value, rel=1e-5)
        assert one.spread == pytest.approx(other.spread, rel=1e-4)


def test_a_subsample_is_read_out_and_said():
    features, classes, _, group = data()
    frames = np.arange(0, 900, 3)
    whole = evaluate_labels({"x": features}, {"c": classes}, group, frames=frames)
    given = evaluate_labels({"x": features[frames]}, {"c": classes}, group, frames=frames)
    alone = evaluate_labels({"x": features[frames]}, {"c": classes[frames]}, group[frames])
    assert given["c"].rows == alone["c"].rows == whole["c"].rows
    assert "300 of 900 labelled frames read out" in whole.to_text()
    turned = evaluate_labels({"x": features}, {"c": classes}, group, frames=np.arange(900)[::-1])
    every = evaluate_labels({"x": features}, {"c": classes}, group)
    assert turned["c"].rows["x"]["macro F1"].value == pytest.approx(every["c"].rows["x"]["macro F1"].value)
    features[5, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        evaluate_labels({"x": features}, {"c": classes}, group)
    evaluate_labels({"x": features}, {"c": classes}, group, frames=np.arange(6, 900))


def test_chance_is_drawing_classes_as_often_as_they_are_in_training():
    _, classes, _, group = data(6000)
    classes = np.where(classes == 2, 2, np.minimum(classes, 0))
    scores = evaluate_labels({}, {"c": classes}, group)["c"].rows["chance"]
    fold, rng = folds_of(group, classes), np.random.default_rng(0)
    drawn = np.zeros_like(classes)
    for f in range(5):
        drawn[fold == f] = rng.choice(classes[fold != f], (fold == f).sum())
    assert scores["F1 0"].value == pytest.approx(f1_score(classes == 0, drawn == 0), abs=0.03)
    assert scores["balanced accuracy"].value == pytest.approx(0.5, abs=0.02)


def test_a_class_absent_from_a_held_out_fold_has_no_score_there():
    features, classes, _, group = data(groups=5)
    classes[(classes == 2) & (group > 1)] = 1  # the class is in two of five recordings
    score = evaluate_labels({"x": features}, {"c": classes}, group)["c"].rows["x"]["F1 2"]
    fold = folds_of(group, classes)
    predicted = plain_predictions(features, classes, fold, balanced_ridge)
    parts = [fold == f for f in range(5) if 2 in classes[fold == f]]
    per_fold = [f1_score(classes[part] == 2, predicted[part] == 2) for part in parts]
    assert len(per_fold) == 2
    assert score.value == pytest.approx(f1_score(classes == 2, predicted == 2))  # false alarms elsewhere count
    assert score.spread == pytest.approx(np.std(per_fold, ddof=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"c": np.zeros(899, int)}}, "c has 899 entries for 900 frames"),
        ({"labels": {"c": np.zeros(900, int)}}, "1 classes"),
        ({"labels": {"c": np.repeat([0, 1], [850, 50])}}, "class 1 occurs in too few"),
        ({"groups": np.zeros(900, int)}, "1 recordings"),
        ({"labels": {"c": np.full(900, np.nan)}, "regression": ["c"]}, "0 recordings"),
        ({"labels": {"c": np.full(900, np.inf)}, "regression": ["c"]}, "infinite"),
        ({"labels": {"c": np.zeros(8, int)}, "sequence_level": ["c"]}, "c has 8 entries for 9 sequences"),
        ({"sequence_level": ["c"], "sequences": np.zeros(900, int)}, "each in a single group"),
        ({"embeddings": {"x": np.zeros((3, 2))}}, "x has axes"),
    ],
)
def test_what_does_not_fit_is_one_sentence(changes, message):
    features, classes, _, _ = data()
    arguments = {"embeddings": {"x": features}, "labels": {"c": classes}, "groups": np.repeat(np.arange(9), 100)}
    with pytest.raises(ValueError, match=message) as refused:
        evaluate_labels(**{**arguments, **changes})
    assert "\n" not in str(refused.value)


def test_text_and_csv_say_every_score():
    given = data()
    features, classes, measure, group = (array.copy() for array in given)
    embeddings = {"x": features, "y, z": features[:, :2]}
    table = evaluate_labels(embeddings, {"c": classes, "m": measure}, group, regression=["m"])
    for array, kept in zip((features, classes, measure, group), given, strict=True):
        np.testing.assert_array_equal(array, kept)
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 3 * 5 + 3 * 2
    for row in rows:
        score = table[row["label"]].rows[row["row"]][row["metric"]]
        assert float(row["value"]) == pytest.approx(score.value, rel=1e-5)
        assert float(row["spread"]) == pytest.approx(score.spread, rel=1e-5)
        assert (row["folds"], row["groups"], row["read_out"]) == ("5", "9", "900")
    text = str(table)
    first, header, line = text.splitlines()[:3]
    assert first.startswith("c: classification, 900 of 900 labelled frames read out, 9 groups in 5 folds")
    assert header.split() == ["macro", "F1", "balanced", "accuracy", "F1", "0", "F1", "1", "F1", "2"]
    assert f"{table['c'].rows['x']['macro F1'].value:.3f} ± " in line
    assert "m: regression" in text and "R2" in text and "chance" in text
