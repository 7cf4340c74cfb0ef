"""Ridge regression and classification from sums over frames: all folds of a label cost one pass over the features.

The rows are split into cells (a fold, or one class within a fold). The sums of products of each cell are enough to
standardise the features, to balance the classes and to solve, whichever cells are trained on. The results are those
of scikit-learn's StandardScaler followed by RidgeClassifier(class_weight="balanced") or Ridge, up to rounding.
Axes: M rows that are read out, C features, K classes. `z` is a row of features followed by a 1.
"""

from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

ROWS_AT_ONCE = 2**14  # limits the memory of float64 copies
CONSTANT = 1e-12  # share of a column's variance over all rows below which the column is constant in training


class Sums(NamedTuple):
    """Sums over the rows of each cell, with the features standardised by `scaler` over all rows."""

    products: np.ndarray  # (cells, C+1, C+1) float64, sums of z zᵀ
    moments: np.ndarray  # (cells, C+1) float64, sums of z times the target; 0 without a target
    scaler: StandardScaler

    def predict(self, coefficients: np.ndarray, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Outputs (M, outputs) float64 for rows (M,) of features (frames, C)."""
        outputs = np.empty((len(rows), coefficients.shape[1]))
        for part in _parts(len(rows)):
            outputs[part] = augment(features[rows[part]], self.scaler.mean_, self.scaler.scale_) @ coefficients
        return outputs


def sum_products(
    features: np.ndarray, rows: np.ndarray, cells: np.ndarray, count: int, target: np.ndarray | None = None
) -> Sums:
    """Sum products of features (frames, C) float, and of features with a target (M,) float, over the rows of each cell.

    `rows` (M,) int are the frames to use, where features must be finite, and `cells` (M,) int their cells, from 0.
    """
    scaler = StandardScaler()
    for part in _parts(len(rows)):
        some = features[rows[part]].astype(np.float64)
        if not np.isfinite(some).all():
            raise ValueError("features hold NaN or infinite values at frames that are to be read out")
        scaler.partial_fit(some)
    size = features.shape[1] + 1
    products, moments = np.zeros((count, size, size)), np.zeros((count, size))
    for cell in range(count):
        members = np.flatnonzero(cells == cell)
        for part in _parts(len(members)):
            z = augment(features[rows[members[part]]], scaler.mean_, scaler.scale_)
            products[cell] += z.T @ z
            if target is not None:
                moments[cell] += target[members[part]] @ z
    return Sums(products, moments, scaler)


def classifier(sums: Sums, classes: np.ndarray, alpha: float) -> np.ndarray:
    """Coefficients (C+1, K) of a class-balanced ridge classifier; `classes` (K, cells) bool are its training cells."""
    products = np.stack([sums.products[cells].sum(axis=0) for cells in classes])
    return balanced_ridge(products, alpha * _variance(products.sum(axis=0)))


def regressor(sums: Sums, cells: np.ndarray, alpha: float) -> np.ndarray:
    """Coefficients (C+1, 1) of a ridge regression, trained on the cells (cells,) bool."""
    products, moments = sums.products[cells].sum(axis=0), sums.moments[cells].sum(axis=0)
    return ridge(products, moments[:, None], alpha * _variance(products))


def ridge(products: np.ndarray, moments: np.ndarray, penalty: float | np.ndarray = 1.0) -> np.ndarray:
    """Coefficients of a ridge regression as of `sklearn.linear_model.Ridge`: prediction = z @ coefficients.

    `products` (C+1, C+1) are sums of weight * z zᵀ, and `moments` (C+1,) or (C+1, outputs) sums of weight * target * z.
    The intercept is not penalised. `penalty` may be (C,), one for each feature: `alpha` times the variance of a feature
    acts as `alpha` does on the standardised feature.
    """
    total = products[-1, -1]
    mean = products[-1, :-1] / total
    centred = products[:-1, :-1] - np.outer(mean, products[-1, :-1])
    centred[np.diag_indices_from(centred)] += penalty
    coefficients = np.linalg.solve(centred, moments[:-1] - np.multiply.outer(mean, moments[-1]))
    return np.concatenate([coefficients, [moments[-1] / total - mean @ coefficients]])


def balanced_ridge(products: np.ndarray, penalty: float | np.ndarray = 1.0) -> np.ndarray:
    """Coefficients (C+1, K) as of `RidgeClassifier(class_weight="balanced")`: a ridge per class on targets 1 and -1.

    `products` (K, C+1, C+1) are sums of z zᵀ over the rows of each class, which may be none; for `penalty` see `ridge`.
    """
    counts = products[:, -1, -1]
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weighted = np.tensordot(weights, products, 1)
    return ridge(weighted, (2 * weights[:, None] * products[:, -1] - weighted[-1]).T, penalty)


def augment(features: np.ndarray, centre: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """Features (rows, C) less a centre near their mean, divided by a scale, and a last 1; (rows, C+1) float64."""
    augmented = np.ones((len(features), features.shape[1] + 1))
    np.subtract(features, centre, out=augmented[:, :-1])
    augmented[:, :-1] /= scale
    return augmented


def _variance(products: np.ndarray) -> np.ndarray:
    """Variance of each feature, from its sums of products; 1 for a constant feature."""
    variance = np.diagonal(products)[:-1] / products[-1, -1] - (products[-1, :-1] / products[-1, -1]) ** 2
    return np.where(variance > CONSTANT, variance, 1)


def _parts(count: int) -> list[slice]:
    return [slice(first, first + ROWS_AT_ONCE) for first in range(0, count, ROWS_AT_ONCE)]
