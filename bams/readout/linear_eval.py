"""Linear read-outs: what a plain model finds in an embedding, with whole recordings held out (scikit-learn)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bams.data.labels import as_classes, as_measures
from bams.readout import ridge
from bams.readout.scores import (
    LabelScores,
    Table,
    class_scores,
    count_confusion,
    names_of,
    normalised,
    value_scores,
    with_spread,
)


def assign_folds(groups: np.ndarray, classes: np.ndarray, most: int, name: str = "the label") -> np.ndarray:
    """Folds with whole groups in them, and each class spread over them as evenly as a greedy choice can.

    (scikit-learn's StratifiedGroupKFold may put both recordings that have a rare class into one fold.)

    Args:
        groups: (rows,) int, at least two different ones.
        classes: (rows,) int from 0.
        most: folds; as many as there are groups if those are fewer.
        name: of the label, for the error's sentence.

    Returns:
        (rows,) int, the fold in which each is held out.
    """
    found, group = np.unique(groups, return_inverse=True)
    if len(found) < 2 or most < 2:
        raise ValueError(f"{name} is known in {len(found)} recordings, for {most} folds; at least 2 of both are needed")
    count = int(classes.max()) + 1
    shares = np.bincount(group * count + classes, minlength=len(found) * count).reshape(-1, count).astype(float)
    shares /= np.maximum(shares.sum(axis=0), 1)
    folds = np.zeros((min(most, len(found)), count))
    members, chosen = np.zeros(len(folds), int), np.zeros(len(found), int)
    for i in np.argsort(-shares.max(axis=1), kind="stable"):  # first those that hold much of a class
        overlap = (folds @ shares[i]).round(9)
        chosen[i] = np.lexsort((members, overlap))[0]
        folds[chosen[i]] += shares[i]
        members[chosen[i]] += 1
    return chosen[group]


Pair = tuple[np.ndarray, np.ndarray]


class ReadOut(NamedTuple):
    """What a read-out found in the test part.

    Attributes:
        scores: by name: 'macro F1', 'balanced accuracy' and 'F1 CLASS' of each class, or 'R2' and 'MSE'.
        confusion: (K, K) float64, rows are the true classes and sum to 1, NaN where one does not occur; the
            classes are those of both parts in sorted order. None for regression.
        predictions: (rows of the test part,) the class or the value, also of rows that are not labelled.
    """

    scores: dict[str, float]
    confusion: np.ndarray | None
    predictions: np.ndarray


def train_linear_classifier(
    train: Pair, test: Pair, *, alpha: float = 1.0, estimator: Any = None, class_names: Sequence[str] = ()
) -> ReadOut:
    """Fit a class-balanced linear classifier on one part and score it on another.

    Features are standardised on the training part; the arguments are left as they are.

    Args:
        train, test: features (rows, C) float, finite, and classes (rows,) int; -1 = not labelled.
        alpha: strength of the penalty of the RidgeClassifier.
        estimator: another scikit-learn classifier, fitted in its place as it is.
        class_names: names of class 0, 1, ...; their numbers unless given.
    """
    (inputs, classes), (test_inputs, test_classes) = (_check_pair(part, as_classes) for part in (train, test))
    labelled, scored = classes >= 0, test_classes >= 0
    if len(np.unique(classes[labelled])) < 2:
        raise ValueError("the training part needs labels of at least two classes to tell apart")
    chosen = RidgeClassifier(alpha=alpha, class_weight="balanced") if estimator is None else clone(estimator)
    fitted = make_pipeline(StandardScaler(), chosen).fit(inputs[labelled], classes[labelled])
    predictions = fitted.predict(test_inputs)
    found = np.unique(np.concatenate([classes[labelled], test_classes[scored]]))
    true, predicted = (np.searchsorted(found, some[scored]) for some in (test_classes, predictions))
    confusion = count_confusion(true, predicted, len(found))
    return ReadOut(class_scores(confusion, names_of(found, class_names)), normalised(confusion), predictions)


train_linear_classfier = train_linear_classifier  # as the paper's released code spells it


def train_linear_regressor(train: Pair, test: Pair, *, alpha: float = 1.0, estimator: Any = None) -> ReadOut:
    """Fit a linear regression on one part and score it on another.

    Features are standardised on the training part; the arguments are left as they are.

    Args:
        train, test: features (rows, C) float, finite, and values (rows,) float; NaN = not labelled.
        alpha: strength of the penalty of the Ridge.
        estimator: another scikit-learn regressor, fitted in its place as it is.
    """
    (inputs, values), (test_inputs, test_values) = (_check_pair(part, as_measures) for part in (train, test))
    labelled = np.isfinite(values)
    if not labelled.any():
        raise ValueError("the training part has no labelled row")
    chosen = Ridge(alpha=alpha) if estimator is None else clone(estimator)
    fitted = make_pipeline(StandardScaler(), chosen).fit(inputs[labelled], values[labelled])
    predictions = fitted.predict(test_inputs)
    return ReadOut(value_scores(test_values, predictions), None, predictions)


class _Units(NamedTuple):
    """What is labelled, frames or sequences.

    Attributes:
        level: 'frame' or 'sequence'.
        features: by row of the table, an array and the row in it of each unit.
        number: (M,) int, the units that are read out, by their place in the labels.
        total: units in the labels.
        groups: (M,) int.
    """

    level: str
    features: dict[str, Pair]
    number: np.ndarray
    total: int
    groups: np.ndarray


def evaluate_labels(
    embeddings: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    groups: np.ndarray,
    *,
    regression: Collection[str] = (),
    sequence_level: Collection[str] = (),
    class_names: Mapping[str, Sequence[str]] | None = None,
    sequences: np.ndarray | None = None,
    frames: np.ndarray | None = None,
    folds: int = 5,
    alpha: float = 1.0,
    classifier: Any = None,
    regressor: Any = None,
) -> Table:
    """Read every label out of every embedding, cross-validated with whole groups held out.

    Args:
        embeddings: by row of the table, (frames, C) float, finite where read out; or the rows of `frames` only.
            A row 'chance' is added: classes drawn as often as they are in training, or the mean of training.
        labels: by name, (frames,) int classes, -1 = not labelled, or float, NaN = not labelled; of labels of
            sequences one entry for each, in the sorted order of `sequences`.
        groups: (frames,) int or str; a group, a recording say, is never on both sides.
        regression: names of the labels that are measures; the others are classes.
        sequence_level: names of the labels of sequences, read out of the mean over the sequence's frames.
        class_names: by label, the names of class 0, 1, ...; their numbers unless given.
        sequences: (frames,) int or str, the sequence of each frame; the groups unless given.
        frames: (M,) int, the frames to read out, as a subsample; all unless given.
        folds: each group is held out in one of them; as many as there are groups if those are fewer.
        alpha: strength of the ridge penalty.
        classifier, regressor: scikit-learn estimators to take the place of RidgeClassifier and Ridge.

    Raises:
        ValueError: lengths that do not fit, a label with fewer than two groups or classes, or with a class that
            cannot be learnt in a fold, as only the recordings held out have it.
    """
    group_numbers = np.unique(groups, return_inverse=True)[1]
    total = len(group_numbers)
    frames = np.arange(total) if frames is None else np.asarray(frames)
    features = {name: _with_rows(name, np.asarray(table), total, frames) for name, table in embeddings.items()}
    units = {"frame": _Units("frame", features, frames, total, group_numbers[frames])}
    if sequence_level:
        units["sequence"] = _sequences(units["frame"], group_numbers, groups if sequences is None else sequences)
    found = []
    for name, values in labels.items():
        unit = units["sequence" if name in sequence_level else "frame"]
        if len(values) != unit.total:
            raise ValueError(f"label {name} has {len(values)} entries for {unit.total} {unit.level}s")
        if name in regression:
            found.append(_evaluate_values(name, as_measures(values, name), unit, folds, alpha, regressor))
        else:
            classes, names = as_classes(values, name), (class_names or {}).get(name, ())
            found.append(_evaluate_classes(name, classes, names, unit, folds, alpha, classifier))
    return Table(found)


def _evaluate_classes(
    name: str, values: np.ndarray, names: Sequence[str], unit: _Units, folds: int, alpha: float, estimator: Any
) -> LabelScores:
    kept = np.flatnonzero(values[unit.number] >= 0)
    found, y = np.unique(values[unit.number[kept]], return_inverse=True)
    class_names, count = names_of(found, names), len(found)
    if count < 2:
        raise ValueError(f"label {name} has {count} classes where it is read out; two are needed to tell apart")
    fold = assign_folds(unit.groups[kept], y, folds, name)
    folds = int(fold.max()) + 1
    true = np.stack([np.bincount(y[fold == f], minlength=count) for f in range(folds)])
    in_training = true.sum(axis=0) - true
    if not in_training.all():
        one = class_names[int(np.argmin(in_training.min(axis=0)))]
        raise ValueError(
            f"label {name}: class {one} occurs in too few recordings to be learnt in some and scored in others: "
            f"leave it out (-1, or --ignore_classes {name}:{one}), or label it in more recordings"
        )

    confusions = {}
    for row, (features, rows) in unit.features.items():
        predicted = _held_out_predictions(features, rows[kept], y, fold, count, alpha, estimator)
        confusions[row] = [count_confusion(y[fold == f], predicted[fold == f], count) for f in range(folds)]
    drawn = in_training / in_training.sum(axis=1, keepdims=True)
    confusions["chance"] = list(true[:, :, None] * drawn[:, None, :])
    return LabelScores(
        **_about(name, "classification", unit, kept, folds, int((values >= 0).sum())),
        rows={row: with_spread(lambda c: class_scores(c, class_names), sum(c), c) for row, c in confusions.items()},
        confusions={row: normalised(sum(parts)) for row, parts in confusions.items()},
        class_names=class_names,
    )


def _evaluate_values(
    name: str, values: np.ndarray, unit: _Units, folds: int, alpha: float, estimator: Any
) -> LabelScores:
    kept = np.flatnonzero(np.isfinite(values[unit.number]))
    y = values[unit.number[kept]]
    fold = assign_folds(unit.groups[kept], np.zeros(len(y), int), folds, name)
    folds = int(fold.max()) + 1
    predictions = {
        row: _held_out_predictions(features, rows[kept], y, fold, None, alpha, estimator)
        for row, (features, rows) in unit.features.items()
    }
    predictions["chance"] = np.array([y[fold != f].mean() for f in range(folds)])[fold]
    both = {row: np.stack([y, predicted]) for row, predicted in predictions.items()}
    return LabelScores(
        **_about(name, "regression", unit, kept, folds, int(np.isfinite(values).sum())),
        rows={
            row: with_spread(lambda part: value_scores(*part), pair, [pair[:, fold == f] for f in range(folds)])
            for row, pair in both.items()
        },
        confusions={},
        class_names=[],
    )


def _held_out_predictions(
    features: np.ndarray,
    rows: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    classes: int | None,
    alpha: float,
    estimator: Any,
) -> np.ndarray:
    """For each row, the class (from 0 to `classes` - 1), or the value, that the other folds say; (M,)."""
    folds, each = int(fold.max()) + 1, classes or 1
    predicted = np.empty_like(y)
    if estimator is None:
        # the sums of a fold, and of a class in it, are taken once and serve whichever other fold is held out
        cells, targets = (fold, y[:, None]) if classes is None else (fold * classes + y, None)
        sums = ridge.sum_products(features, rows, cells, folds * each, targets)
        of_fold, of_class = np.divmod(np.arange(folds * each), each)
    for f in range(folds):
        held_out, training = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        if estimator is not None:
            read_out = train_linear_regressor if classes is None else train_linear_classifier
            parts = [(features[rows[some]], y[some]) for some in (training, held_out)]
            predicted[held_out] = read_out(*parts, estimator=estimator).predictions
        elif classes is None:
            fitted = ridge.regressor(sums, of_fold != f, 1, alpha)
            predicted[held_out] = fitted(features, rows[held_out])[:, 0]
        else:
            fitted = ridge.classifier(sums, (of_fold != f) & (of_class == np.arange(classes)[:, None]), alpha)
            predicted[held_out] = fitted(features, rows[held_out]).argmax(axis=1)
    return predicted


def _sequences(frames: _Units, groups: np.ndarray, sequences: np.ndarray) -> _Units:
    """The means over the frames of each sequence that are read out."""
    found, first, sequence = np.unique(sequences, return_index=True, return_inverse=True)
    if len(sequence) != len(groups) or (groups[first][sequence] != groups).any():
        raise ValueError("sequences must be one per frame, and each in a single group")
    order = np.argsort(sequence[frames.number], kind="stable")
    ends = np.searchsorted(sequence[frames.number][order], np.arange(len(found) + 1))
    present = np.flatnonzero(np.diff(ends))
    members = [order[ends[i] : ends[i + 1]] for i in present]
    means = {
        name: np.stack([features[rows[some]].mean(axis=0, dtype=np.float64) for some in members])
        for name, (features, rows) in frames.features.items()
    }
    rows = np.arange(len(present))
    features = {name: (table, rows) for name, table in means.items()}
    return _Units("sequence", features, present, len(found), groups[first[present]])


def _about(name: str, kind: str, unit: _Units, kept: np.ndarray, folds: int, labelled: int) -> dict[str, Any]:
    return {
        "label": name,
        "kind": kind,
        "level": unit.level,
        "folds": folds,
        "groups": len(np.unique(unit.groups[kept])),
        "read_out": len(kept),
        "labelled": labelled,
    }


def _with_rows(name: str, table: np.ndarray, total: int, frames: np.ndarray) -> Pair:
    if table.ndim != 2 or len(table) not in (total, len(frames)):
        raise ValueError(f"{name} has axes {table.shape}; expected ({total} frames, channels) as the groups have")
    return table, frames if len(table) == total else np.arange(len(frames))


def _check_pair(part: Pair, check: Any) -> Pair:
    inputs, labels = np.asarray(part[0]), check(part[1])
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1]:
        raise ValueError(f"features have axes {inputs.shape}, labels {labels.shape}; expected (rows, C) and (rows,)")
    if inputs.shape[1] == 0 or inputs.dtype.kind not in "fiub" or not np.isfinite(inputs).all():
        raise ValueError(
            f"features are {inputs.dtype} of axes {inputs.shape}; expected finite numbers, of one channel or more"
        )
    return inputs, labels
