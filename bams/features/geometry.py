"""Geometry of keypoints. Angles are radians in (-pi, pi]; no constant depends on the unit of the coordinates."""

import numpy as np

from bams.features.gaps import difference

HALF_TURN = 1e-3  # radians; this close to half a turn, rounding alone would decide on the sign


def wrap_angle(angle: np.ndarray) -> np.ndarray:
    """Any angles in radians -> the same angles in (-pi, pi], float32."""
    angle = np.asarray(angle, dtype=np.float32)
    wrapped = angle - 2 * np.pi * np.ceil((angle - np.pi) / (2 * np.pi))
    # rounding to float32 can end just outside the interval on either side
    wrapped = np.where(wrapped <= -np.float32(np.pi), np.float32(np.pi), wrapped)
    return np.minimum(wrapped, np.float32(np.pi)).astype(np.float32)


def angle_difference(angle: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`difference` of angles (N, T, ...), wrapped to (-pi, pi]; half a turn is +pi in spite of rounding."""
    change, both = difference(angle, valid)
    change = wrap_angle(change)
    return np.where(change < HALF_TURN - np.pi, np.float32(np.pi), change).astype(np.float32), both


def polar(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (..., 2) -> length (...) in the same unit and angle (...) in radians, float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.hypot(x, y), wrap_angle(np.arctan2(y, x))


def norm(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., d) -> length (...) in the same unit, float32; float64 squares do not overflow in any unit."""
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors, dtype=np.float64)).astype(np.float32)


def rotate(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (..., d) turned by `angle` (...) radians from x towards y, float32; as they are where d is 1."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape[-1] < 2:
        return vectors
    x, y = vectors[..., 0], vectors[..., 1]
    cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return np.concatenate([turned, vectors[..., 2:]], axis=-1)


def egocentric(points: np.ndarray, origin: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Points (N, T, K, d) in a frame with `origin` (N, T, d) at 0 and x along `orientation` (N, T), float32."""
    return rotate(points - origin[:, :, None], -orientation[:, :, None])


def centre_of(held: np.ndarray, precision: type = np.float64) -> np.ndarray:
    """Mean of the known keypoints of (N, T, K, d), NaN = not known -> (N, T, d) float32; summed in `precision`."""
    known = np.isfinite(held)
    total = np.where(known, held, 0).sum(axis=2, dtype=precision)
    return np.where(known.any(axis=2), total / np.maximum(known.sum(axis=2), 1), np.nan).astype(np.float32)
