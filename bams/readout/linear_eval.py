"""Linear read-outs: how well a linear model predicts labels from the embeddings of held-out recordings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bams.data.labels import as_classes, as_measures
from bams.readout import ridge
from bams.readout.scores import LabelScores, Table, class_scores, confusion_shares, names_of, over_folds, value_scores

Pair = tuple[np.ndarray, np.ndarray]


class ReadOut(NamedTuple):
    """A read-out of the test part."""

    scores: dict[str, float]  # by metric
    confusion: np.ndarray | None  # `confusion_shares` of the sorted classes of both parts; None for regression
    predictions: np.ndarray  # (rows,) classes or values


def train_linear_classifier(
    train: Pair, test: Pair, *, alpha: float = 1.0, estimator: Any = None, class_names: Sequence[str] = ()
) -> ReadOut:
    """Fit a class-balanced linear classifier on standardised features, and score it on other data.

    `train` and `test` are features (rows, C) float, finite, and classes (rows,) int, -1 = not labelled. `alpha` is the
    ridge penalty; a scikit-learn `estimator` replaces RidgeClassifier. `class_names` are those of class 0, 1, ...
    """
    (inputs, classes), (test_inputs, test_classes) = (_checked(part, as_classes) for part in (train, test))
    labelled, scored = classes >= 0, test_classes >= 0
    if len(np.unique(classes[labelled])) < 2:
        raise ValueError("the training part needs labels of at least two classes")
    chosen = RidgeClassifier(alpha=alpha, class_weight="balanced") if estimator is None else clone(estimator)
    predictions = make_pipeline(StandardScaler(), chosen).fit(inputs[labelled], classes[labelled]).predict(test_inputs)
    found = np.unique(np.concatenate([classes[labelled], test_classes[scored]]))
    true, predicted = (np.float64(some[scored, None] == found) for some in (test_classes, predictions))
    scores = class_scores(true, predicted, names_of(found, class_names))
    return ReadOut(scores, confusion_shares(true, predicted), predictions)


train_linear_classfier = train_linear_classifier  # the spelling of the paper's released code


def train_linear_regressor(train: Pair, test: Pair, *, alpha: float = 1.0, estimator: Any = None) -> ReadOut:
    """Fit a linear regression; like `train_linear_classifier`, with values (rows,) float, NaN = not labelled."""
    (inputs, values), (test_inputs, test_values) = (_checked(part, as_measures) for part in (train, test))
    labelled = np.isfinite(values)
    if not labelled.any():
        raise ValueError("the training part has no labelled row")
    chosen = Ridge(alpha=alpha) if estimator is None else clone(estimator)
    predictions = make_pipeline(StandardScaler(), chosen).fit(inputs[labelled], values[labelled]).predict(test_inputs)
    return ReadOut(value_scores(test_values, predictions), None, predictions)


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
        embeddings: by name (frames, C) float, finite where read out; or only the rows of `frames`. The row
            'chance' is added: random classes with the frequencies of training, or the mean of training.
        labels: by name (frames,) int classes, -1 = not labelled, or float, NaN = not labelled; labels of sequences
            have one entry per sequence, in the sorted order of `sequences`.
        groups: (frames,) int or str; a group, such as a recording, is never in training and test at once.
        regression: names of the labels that are measures; the others are classes.
        sequence_level: names of the labels of sequences, read out of the embedding's mean over the sequence.
        class_names: by label, the names of class 0, 1, ...
        sequences: (frames,) int or str, the sequence of each frame; the groups if not given.
        frames: (M,) int, the frames to read out, for a subsample.
        folds: number of folds; at most the number of groups is used.
        alpha: strength of the ridge penalty.
        classifier, regressor: scikit-learn estimators to use instead of RidgeClassifier and Ridge.

    Raises ValueError if lengths do not fit, or a label has too few groups or classes, or a class that one group has.
    """
    group = np.unique(groups, return_inverse=True)[1]
    taken = slice(None) if frames is None else np.asarray(frames)
    number = np.arange(len(group))[taken]
    tables = {name: np.asarray(table) for name, table in embeddings.items()}
    for name, table in tables.items():
        if table.ndim != 2 or len(table) not in (len(group), len(number)):
            raise ValueError(f"{name} has axes {table.shape}; expected ({len(group)} frames, channels), as in groups")
        tables[name] = table[taken] if len(table) == len(group) else table
    units = {"frame": _Units("frame", tables, number, group[number], len(group))}
    if sequence_level:
        units["sequence"] = _sequence_means(units["frame"], group, groups if sequences is None else sequences)
    found = []
    for name, values in labels.items():
        unit = units["sequence" if name in sequence_level else "frame"]
        if len(values) != unit.total:
            raise ValueError(f"label {name} has {len(values)} entries for {unit.total} {unit.level}s")
        names = None if name in regression else (class_names or {}).get(name, ())
        check, estimator = (as_measures, regressor) if name in regression else (as_classes, classifier)
        found.append(_evaluate(name, check(values, name), unit, names, folds, alpha, estimator))
    return Table(found)


def assign_folds(groups: np.ndarray, classes: np.ndarray, most: int, name: str = "the label") -> np.ndarray:
    """The fold (rows,) int in which each row is held out; `groups` and `classes` are (rows,) int, classes from 0.

    A group is never split, each class is spread over the folds greedily, and there are at most `most` folds.
    (scikit-learn's StratifiedGroupKFold may put both recordings that have a rare class into one fold.)
    """
    found, group = np.unique(groups, return_inverse=True)
    if len(found) < 2 or most < 2:
        raise ValueError(f"{name} is known in {len(found)} recordings, for {most} folds; at least 2 of both are needed")
    count = int(classes.max()) + 1
    shares = np.bincount(group * count + classes, minlength=len(found) * count).reshape(-1, count).astype(float)
    shares /= np.maximum(shares.sum(axis=0), 1)
    folds = np.zeros((min(most, len(found)), count))
    members, chosen = np.zeros(len(folds), int), np.zeros(len(found), int)
    for i in np.argsort(-shares.max(axis=1), kind="stable"):  # groups with much of a class come first
        overlap = (folds @ shares[i]).round(9)
        chosen[i] = np.lexsort((members, overlap))[0]
        folds[chosen[i]] += shares[i]
        members[chosen[i]] += 1
    return chosen[group]


class _Units(NamedTuple):
    """The M frames or sequences that are read out."""

    level: str  # 'frame' or 'sequence'
    tables: dict[str, np.ndarray]  # by embedding (M, C) float
    number: np.ndarray  # (M,) int, their places among the entries of a label
    groups: np.ndarray  # (M,) int
    total: int  # entries of a label


def _evaluate(
    name: str, values: np.ndarray, units: _Units, names: Sequence[str] | None, folds: int, alpha: float, estimator: Any
) -> LabelScores:
    """Read one label out of all embeddings; `names` are those of the classes, None for a measure."""
    labelled = np.isfinite(values) if names is None else values >= 0
    rows = np.flatnonzero(labelled[units.number])
    y, groups = values[units.number[rows]], units.groups[rows]
    if names is None:
        class_names, fold = [], assign_folds(groups, np.zeros(len(y), int), folds, name)
        target, score = y[:, None], value_scores
    else:
        found, y = np.unique(y, return_inverse=True)
        if len(found) < 2:
            raise ValueError(f"label {name} has {len(found)} classes where it is read out; at least two are needed")
        class_names, fold = names_of(found, names), assign_folds(groups, y, folds, name)
        target, score = np.eye(len(found))[y], partial(class_scores, names=class_names)
    training_mean = np.stack([target[fold != f].mean(axis=0) for f in range(fold.max() + 1)])
    if names is not None and not training_mean.all():
        rare = class_names[int(np.argmin(training_mean.min(axis=0)))]
        advice = f"leave it out (-1, or --ignore_classes {name}:{rare}), or label it in more recordings"
        raise ValueError(f"label {name}: class {rare} occurs in too few recordings to be learnt and scored: {advice}")
    predict = partial(_predict_held_out, rows, y, fold, len(class_names), alpha, estimator)
    predictions = {row: predict(table) for row, table in units.tables.items()}
    predictions["chance"] = training_mean[fold]
    scores = {row: over_folds(score, target, predicted, fold) for row, predicted in predictions.items()}
    confusions = {row: confusion_shares(target, some) for row, some in predictions.items() if class_names}
    kind = "regression" if names is None else "classification"
    counts = len(training_mean), len(np.unique(groups)), len(rows), int(labelled.sum())
    return LabelScores(name, kind, units.level, scores, confusions, class_names, *counts)


def _predict_held_out(
    rows: np.ndarray, y: np.ndarray, fold: np.ndarray, classes: int, alpha: float, estimator: Any, features: np.ndarray
) -> np.ndarray:
    """Predict each row from the other folds: (M, classes), 1 = the class; (M, 1) values if `classes` is 0."""
    if estimator is not None:
        model = make_pipeline(StandardScaler(), estimator)
        predicted = cross_val_predict(model, features[rows], y, cv=PredefinedSplit(fold))
        return np.eye(classes)[predicted] if classes else predicted[:, None]
    each = max(classes, 1)
    cells, target = (fold * each + y, None) if classes else (fold, y)
    of_fold, of_class = np.divmod(np.arange((fold.max() + 1) * each), each)
    sums = ridge.sum_products(features, rows, cells, len(of_fold), target)
    outputs = np.empty((len(y), each))
    for f in range(fold.max() + 1):
        if classes:
            fitted = ridge.classifier(sums, (of_fold != f) & (of_class == np.arange(classes)[:, None]), alpha)
        else:
            fitted = ridge.regressor(sums, of_fold != f, alpha)
        outputs[fold == f] = sums.predict(fitted, features, rows[fold == f])
    return np.eye(classes)[outputs.argmax(axis=1)] if classes else outputs


def _sequence_means(frames: _Units, groups: np.ndarray, sequences: np.ndarray) -> _Units:
    """Sequences, with the means over those of their frames that are read out."""
    found, first, sequence = np.unique(sequences, return_index=True, return_inverse=True)
    if len(sequence) != len(groups) or (groups[first][sequence] != groups).any():
        raise ValueError("sequences must be one per frame, and each in a single group")
    order = np.argsort(sequence[frames.number], kind="stable")
    present, starts = np.unique(sequence[frames.number][order], return_index=True)
    means = {}
    for name, table in frames.tables.items():
        parts = np.split(order, starts[1:])
        means[name] = np.stack([table[part].mean(axis=0, dtype=np.float64) for part in parts])
    return _Units("sequence", means, present, groups[first[present]], len(found))


def _checked(part: Pair, check: Callable[[np.ndarray], np.ndarray]) -> Pair:
    inputs, labels = np.asarray(part[0]), check(part[1])
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1]:
        raise ValueError(f"features have axes {inputs.shape}, labels {labels.shape}; expected (rows, C) and (rows,)")
    if inputs.shape[1] == 0 or inputs.dtype.kind not in "fiub" or not np.isfinite(inputs).all():
        raise ValueError(f"features are {inputs.dtype} of axes {inputs.shape}; expected finite numbers, C at least 1")
    return inputs, labels
