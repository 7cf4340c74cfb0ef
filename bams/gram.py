"""Ridge regression and classification from sums over the frames, so that a table is read once for all tasks.

Rows are *augmented*: a last column of ones makes a Gram matrix hold sums and counts too. All in float64.
"""

import numpy as np


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
