"""Ridge regression and classification from sums over frames: all folds of a label cost one pass over the features.

The rows are split into cells (a fold, or one class within a fold). Their number, mean, and products about the mean in
each cell are enough to standardise the features, to balance the classes and to solve, whichever cells are trained on:
what is in other cells, however large, leaves no trace. The results are those of scikit-learn's StandardScaler followed
by RidgeClassifier(class_weight="balanced") or Ridge, up to rounding; without a penalty, the smallest coefficients of
those that fit best. Axes: M rows that are read out, C features, X columns (the features, then the target if there is
one), K classes.
"""

from typing import NamedTuple

import numpy as np

ROWS_AT_ONCE = 2**14  # limits the memory of float64 copies
ROWS_OF_CENTRE = 1000
EPS = np.finfo(np.float64).eps
COLLINEAR = 1e-12  # share of the largest eigenvalue below which an eigenvalue is rounding


class Sums(NamedTuple):
    """Sums over the rows of each cell, of columns less a common centre."""

    counts: np.ndarray  # (cells,) float64
    means: np.ndarray  # (cells, X) float64
    products: np.ndarray  # (cells, X, X) float64, sums of x xᵀ, where x is a row less the mean of its cell
    centre: np.ndarray  # (X,) float64, near most values, so that columns that hardly vary keep their digits

    def predict(self, coefficients: np.ndarray, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Outputs (M, outputs) float64 for rows (M,) of features (frames, C)."""
        outputs = np.empty((len(rows), coefficients.shape[1]))
        for part in _parts(len(rows)):
            outputs[part] = augment(features[rows[part]], self.centre[: features.shape[1]]) @ coefficients
        return outputs

    def joined(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean (X,) and products about it (X, X) over all cells; `weights` (cells,) are of a row in each."""
        used = weights > 0
        counts, means = (weights * self.counts)[used], self.means[used]
        mean = counts @ means / counts.sum()
        between = (counts[:, None] * (means - mean)).T @ (means - mean)
        return mean, np.tensordot(weights[used], self.products[used], 1) + between


def sum_products(
    features: np.ndarray, rows: np.ndarray, cells: np.ndarray, count: int, target: np.ndarray | None = None
) -> Sums:
    """Sums of features (frames, C) float, and of a target (M,) float if there is one, over the rows of each cell.

    `rows` (M,) int are the frames to use, where features must be finite, and `cells` (M,) int their cells, from 0.
    """

    def columns(places: np.ndarray) -> np.ndarray:
        some = features[rows[places]].astype(np.float64)
        if not np.isfinite(some).all():
            raise ValueError("features hold NaN or infinite values at frames that are to be read out")
        return some if target is None else np.column_stack([some, target[places]])

    centre = np.median(columns(np.arange(0, len(rows), max(len(rows) // ROWS_OF_CENTRE, 1))), axis=0)
    size = len(centre)
    counts, means, products = np.zeros(count), np.zeros((count, size)), np.zeros((count, size, size))
    for cell in range(count):
        members = np.flatnonzero(cells == cell)
        for part in _parts(len(members)):
            x = columns(members[part]) - centre
            mean = x.mean(axis=0)
            x -= mean
            total, apart = counts[cell] + len(x), mean - means[cell]
            products[cell] += x.T @ x + counts[cell] * len(x) / total * np.outer(apart, apart)
            means[cell] += len(x) / total * apart
            counts[cell] = total
    return Sums(counts, means, products, centre)


def classifier(sums: Sums, classes: np.ndarray, alpha: float) -> np.ndarray:
    """Coefficients (C+1, K) of a class-balanced ridge classifier; `classes` (K, cells) bool are its training cells.

    As in RidgeClassifier, the targets are 1 in a class and -1 in all others.
    """
    of_class = (classes * sums.counts).sum(axis=1)
    weights = (of_class.sum() / (np.count_nonzero(of_class) * np.maximum(of_class, 1))) @ classes
    mean, products = sums.joined(weights)
    counts, targets = weights * sums.counts, 2.0 * classes - 1
    target_mean = targets @ counts / counts.sum()
    moments = ((targets - target_mean[:, None]) * counts) @ (sums.means - mean)
    return _solved(products, moments.T, mean, target_mean, _scale(sums, classes.any(axis=0)), alpha)


def regressor(sums: Sums, cells: np.ndarray, alpha: float) -> np.ndarray:
    """Coefficients (C+1, 1) of a ridge regression, trained on the cells (cells,) bool."""
    mean, products = sums.joined(cells.astype(float))
    target_mean = mean[-1:] + sums.centre[-1]
    return _solved(products[:-1, :-1], products[:-1, -1:], mean[:-1], target_mean, _scale(sums, cells)[:-1], alpha)


def _scale(sums: Sums, cells: np.ndarray) -> np.ndarray:
    """Standard deviation of each column over the rows of the cells (cells,) bool; 1 for a constant column."""
    mean, products = sums.joined(cells.astype(float))
    count = sums.counts[cells].sum()
    variance = np.diagonal(products) / count
    # the bound of StandardScaler: the variance may be rounding of the mean alone
    constant = variance <= count * EPS * variance + (count * (mean + sums.centre) * EPS) ** 2
    return np.where(constant, 1, np.sqrt(variance))


def _solved(
    products: np.ndarray,
    moments: np.ndarray,
    mean: np.ndarray,
    target_mean: np.ndarray,
    scale: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """Coefficients (C+1, outputs), the last the intercept, from products (C, C) and moments (C, outputs) about means.

    `alpha` acts on the features divided by their `scale`. Directions in which nothing varies have no coefficient.
    """
    values, directions = np.linalg.eigh(products / scale / scale[:, None])
    values = np.maximum(values, 0) + alpha
    kept = directions[:, values > COLLINEAR * values[-1]]
    values = values[values > COLLINEAR * values[-1]]
    coefficients = kept @ ((kept.T @ (moments / scale[:, None])) / values[:, None]) / scale[:, None]
    return np.concatenate([coefficients, [target_mean - mean @ coefficients]])


def ridge(products: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Coefficients as of `sklearn.linear_model.Ridge()`, of features as they are: prediction = z @ coefficients.

    `z` is a row of features followed by a 1, `products` (C+1, C+1) are sums of weight * z zᵀ, and `moments` (C+1,) or
    (C+1, outputs) sums of weight * target * z.
    """
    total = products[-1, -1]
    mean = products[-1, :-1] / total
    centred = products[:-1, :-1] - np.outer(mean, products[-1, :-1])
    centred[np.diag_indices_from(centred)] += 1
    coefficients = np.linalg.solve(centred, moments[:-1] - np.multiply.outer(mean, moments[-1]))
    return np.concatenate([coefficients, [moments[-1] / total - mean @ coefficients]])


def balanced_ridge(products: np.ndarray) -> np.ndarray:
    """Coefficients (C+1, K) as of `RidgeClassifier(class_weight="balanced")`: a ridge per class on targets 1 and -1.

    `products` (K, C+1, C+1) are sums of z zᵀ over the rows of each class, which may be none.
    """
    counts = products[:, -1, -1]
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weighted = np.tensordot(weights, products, 1)
    return ridge(weighted, (2 * weights[:, None] * products[:, -1] - weighted[-1]).T)


def augment(features: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Features (rows, C) less a centre near most of them, and a last 1; (rows, C+1) float64."""
    augmented = np.ones((len(features), features.shape[1] + 1))
    np.subtract(features, centre, out=augmented[:, :-1])
    return augmented


def _parts(count: int) -> list[slice]:
    return [slice(first, first + ROWS_AT_ONCE) for first in range(0, count, ROWS_AT_ONCE)]
