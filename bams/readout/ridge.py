"""Ridge read-outs from sums over frames, so that all folds of a label cost one pass over the features.

The sums of products of each cell (a fold, or a class in a fold) are enough to standardise, to weigh the classes
and to solve, for every choice of training folds. The results are those of scikit-learn's StandardScaler followed
by RidgeClassifier(class_weight="balanced") or Ridge, up to rounding.
"""

from dataclasses import dataclass

import numpy as np

ROWS_AT_ONCE = 2**14  # of float64 copies
CONSTANT = 1e-12  # a column with so small a share of its variance over all rows is constant where it is fitted


@dataclass(frozen=True)
class Linear:
    """features @ weights + intercept, with features (rows, C), weights (C, outputs), intercept (outputs,)."""

    weights: np.ndarray
    intercept: np.ndarray

    def __call__(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Outputs (len(rows), outputs) float64 at the rows of features (frames, C)."""
        found = np.empty((len(rows), len(self.intercept)))
        for part in _parts(len(rows)):
            found[part] = features[rows[part]].astype(np.float64) @ self.weights
        return found + self.intercept


@dataclass(frozen=True)
class Sums:
    """Sums over the rows of each cell.

    Attributes:
        products: (cells, M, M) float64, sums of z zᵀ, with z the columns of the features and of the targets,
            centred and scaled, and a last 1.
        centre, scale: (M-1,) float64, over all rows.
    """

    products: np.ndarray
    centre: np.ndarray
    scale: np.ndarray


def sum_products(
    features: np.ndarray, rows: np.ndarray, cells: np.ndarray, count: int, targets: np.ndarray | None = None
) -> Sums:
    """Sums of products of the rows of each cell.

    Args:
        features: (frames, C) float, finite at the rows.
        rows: (M,) int, the frames that count.
        cells: (M,) int from 0 to `count` - 1, the cell of each.
        targets: (M, outputs) float to be summed beside the features, or None.

    Raises:
        ValueError: a feature is not finite.
    """
    centre, scale = _centre_and_scale(features, rows)
    if targets is not None:
        spread = targets.std(axis=0)
        centre = np.concatenate([centre, targets.mean(axis=0)])
        scale = np.concatenate([scale, np.where(spread > 0, spread, 1)])
    size = len(centre)
    products = np.zeros((count, size + 1, size + 1))
    order = np.argsort(cells, kind="stable")
    for cell, members in enumerate(np.split(order, np.searchsorted(cells[order], np.arange(1, count)))):
        for part in _parts(len(members)):
            some = members[part]
            block = np.ones((len(some), size + 1))
            block[:, : features.shape[1]] = features[rows[some]]
            if targets is not None:
                block[:, features.shape[1] : -1] = targets[some]
            block[:, :-1] -= centre
            block[:, :-1] /= scale
            products[cell] += block.T @ block
    return Sums(products, centre, scale)


def classifier(sums: Sums, classes: np.ndarray, alpha: float) -> Linear:
    """One output per class, the highest of which is the class; balanced: each class weighs the same.

    Args:
        sums: of features alone.
        classes: (K, cells) bool, the cells of each class that are trained on; each class has rows in some.
        alpha: strength of the penalty, on standardised features.
    """
    per_class = np.stack([sums.products[cells].sum(axis=0) for cells in classes])
    number = per_class[:, -1, -1]
    weight = number.sum() / (len(number) * number)
    spread = _deviation(per_class.sum(axis=0))
    # of targets that are 1 for the class and -1 for the others
    weighted = np.tensordot(weight, per_class, 1)
    moments = 2 * weight[:, None] * per_class[:, -1, :] - weighted[-1]
    return _solve(weighted, moments.T, alpha * spread**2, sums.centre, sums.scale)


def regressor(sums: Sums, cells: np.ndarray, outputs: int, alpha: float) -> Linear:
    """Ridge regression.

    Args:
        sums: of features and `outputs` targets.
        cells: (cells,) bool, those that are trained on.
        alpha: strength of the penalty, on standardised features.
    """
    together = sums.products[cells].sum(axis=0)
    inputs = len(together) - 1 - outputs
    features = [*range(inputs), -1]
    products = together[np.ix_(features, features)]
    moments = together[np.ix_(features, range(inputs, inputs + outputs))]
    penalty = alpha * _deviation(products) ** 2
    scaled = _solve(products, moments, penalty, sums.centre[:inputs], sums.scale[:inputs])
    centre, scale = sums.centre[inputs:], sums.scale[inputs:]
    return Linear(scaled.weights * scale, scaled.intercept * scale + centre)


def _solve(
    products: np.ndarray, moments: np.ndarray, penalty: np.ndarray, centre: np.ndarray, scale: np.ndarray
) -> Linear:
    """From sums of products of scaled inputs and 1, and of these with the targets; in the inputs' own unit."""
    found = ridge(products, moments, penalty)
    weights = found[:-1] / scale[:, None]
    return Linear(weights, found[-1] - centre @ weights)


def _deviation(products: np.ndarray) -> np.ndarray:
    """Deviation of each feature from sums of products of features and 1; 1 for a constant feature."""
    mean = products[-1, :-1] / products[-1, -1]
    variance = np.diagonal(products)[:-1] / products[-1, -1] - mean**2
    return np.where(variance > CONSTANT, np.sqrt(np.maximum(variance, CONSTANT)), 1)


def _centre_and_scale(features: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = _parts(len(rows))
    centre = sum(features[rows[part]].sum(axis=0, dtype=np.float64) for part in parts) / len(rows)
    squares = sum(np.square(features[rows[part]] - centre).sum(axis=0) for part in parts) / len(rows)
    if not np.isfinite(squares).all():
        raise ValueError("features hold NaN or infinite values at frames that are to be read out")
    rounding = (1e-7 * centre) ** 2  # what float32 adds to a constant column
    return centre, np.where(squares > rounding, np.sqrt(squares), 1)


def _parts(count: int) -> list[slice]:
    return [slice(first, first + ROWS_AT_ONCE) for first in range(0, count, ROWS_AT_ONCE)]


def augment(rows: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Rows less `origin`, with a last column of ones.

    An origin near the columns' means keeps the sums exact where the means are large.

    Args:
        rows: (frames, C) float.
        origin: (C,) float.

    Returns:
        (frames, C+1) float64.
    """
    augmented = np.empty((len(rows), rows.shape[1] + 1))
    np.subtract(rows, origin, out=augmented[:, :-1])
    augmented[:, -1] = 1
    return augmented


def grams(rows: np.ndarray, parts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Gram matrix of each part of the rows; that of the largest part costs a subtraction only.

    Args:
        rows: (frames, C+1), augmented.
        parts: (P, frames) bool; each frame is in exactly one part.
        whole: (C+1, C+1), Gram matrix of all rows.

    Returns:
        (P, C+1, C+1) float64.
    """
    result = np.zeros((len(parts), *whole.shape))
    sizes = parts.sum(axis=1)
    largest = sizes.argmax()
    result[largest] = whole
    for i in np.flatnonzero(sizes):
        if i != largest:
            some = rows[parts[i]]
            np.matmul(some.T, some, out=result[i])
            result[largest] -= result[i]
    return result


def ridge(gram: np.ndarray, moment: np.ndarray, alpha: float | np.ndarray = 1.0) -> np.ndarray:
    """What `sklearn.linear_model.Ridge(alpha)` fits; the intercept is not shrunk.

    Args:
        gram: (C+1, C+1), sum of weight * row * row over augmented rows.
        moment: (C+1,) or (C+1, outputs), sum of weight * target * row.
        alpha: penalty on all coefficients or, (C,), on each: with its variance it is one on standardised columns.

    Returns:
        coefficients in the axes of `moment`, the intercept last: prediction = augmented rows @ coefficients.

    Raises:
        ValueError: there is no row.
    """
    total = gram[-1, -1]
    if not total > 0:
        raise ValueError("there is nothing to fit")
    mean = gram[-1, :-1] / total
    centred = gram[:-1, :-1] - np.outer(mean, gram[-1, :-1])
    centred[np.diag_indices_from(centred)] += alpha
    coefficients = np.linalg.solve(centred, moment[:-1] - np.multiply.outer(mean, moment[-1]))
    return np.concatenate([coefficients, [moment[-1] / total - mean @ coefficients]])


def balanced_ridge_classifier(positive: np.ndarray, negative: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """What `RidgeClassifier(alpha, class_weight="balanced")` fits: ridge on targets 1 and -1, weighted by class.

    Args:
        positive, negative: (C+1, C+1), Gram matrix of the augmented rows of each class; one may be zero.

    Returns:
        (C+1,) coefficients as of `ridge`; the predicted class is positive where the prediction is above 0.

    Raises:
        ValueError: there is no row.
    """
    counts = np.array([positive[-1, -1], negative[-1, -1]])
    if not counts.any():
        raise ValueError("there is nothing to fit")
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    gram = weights[0] * positive + weights[1] * negative
    return ridge(gram, weights[0] * positive[-1] - weights[1] * negative[-1], alpha)
