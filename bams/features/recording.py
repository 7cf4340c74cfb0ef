"""The features of one recording, whatever describes them: one call from keypoints to inputs and actions.

What describes features is a plain value, which a checkpoint holds as data: a `FeatureConfig` for any skeleton or
series, a `PoseTable` for a known skeleton, an `OrientedTable` where the tracker gives the orientation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bams.features.animals import animal_features, with_nearest
from bams.features.columns import Features, Nearest
from bams.features.config import FeatureConfig
from bams.features.oriented import OrientedTable, oriented_features
from bams.features.plain import series_features
from bams.features.skeletons import Body, PoseTable, Segment, pose_features

FeatureSource = FeatureConfig | PoseTable | OrientedTable
KINDS: dict[str, type] = {kind.__name__: kind for kind in (FeatureConfig, PoseTable, OrientedTable)}


def recording_features(recording: np.ndarray, source: FeatureSource, names: Sequence[str] | None = None) -> Features:
    """Features of each individual of a recording.

    Args:
        recording: (A, T, K, d) keypoints or (A, T, F) series, float32, any unit; NaN = missing.
        source: which features.
        names: K names of the keypoints, where `source` does not say them.

    Raises:
        ValueError: the recording is not of the kind that `source` describes.
    """
    if isinstance(source, FeatureConfig):
        return series_features(recording) if recording.ndim == 3 else animal_features(recording, source, names)
    if isinstance(source, PoseTable):
        features, names = pose_features(recording, source), source.keypoints
    else:
        features, names = oriented_features(recording, source), source.order
    return with_nearest(features, recording, names, source.nearest) if source.nearest else features


def as_data(source: FeatureSource) -> dict[str, Any]:
    """Plain containers that say which features these are; `from_data` is the opposite."""
    return {"kind": type(source).__name__, **asdict(source)}


def from_data(data: Mapping[str, Any]) -> FeatureSource:
    """The features that `as_data` described.

    Raises:
        ValueError: they are of a kind that this version does not know.
    """
    data = {name: _tuples(value) for name, value in data.items()}
    kind = data.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"features of the kind {kind!r} are not known to this version of bams")
    if data.get("nearest"):
        data["nearest"] = Nearest(**data["nearest"])
    for name, part in (("bodies", Body), ("segments", Segment)):
        if name in data:
            data[name] = tuple(part(**one) for one in data[name])
    return KINDS[kind](**data)


def _tuples(value: Any) -> Any:
    """Lists as tuples, in mappings too: files hold no tuples."""
    if isinstance(value, Mapping):
        return {name: _tuples(one) for name, one in value.items()}
    return tuple(_tuples(one) for one in value) if isinstance(value, list | tuple) else value
