"""One call from a recording to its inputs and actions, whatever describes the features.

A plain value describes features, and a checkpoint holds it as data: a `FeatureConfig` for any skeleton or series, a
`PoseTable` for a known skeleton, an `OrientedTable` where the tracker gives the orientation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bams.features.animals import animal_features
from bams.features.columns import Features
from bams.features.config import FeatureConfig
from bams.features.distances import Nearest, with_nearest
from bams.features.raw import series_features
from bams.features.skeletons import Body, OrientedTable, PoseTable, Segment, oriented_features, pose_features

FeatureSource = FeatureConfig | PoseTable | OrientedTable
KINDS: dict[str, type] = {kind.__name__: kind for kind in (FeatureConfig, PoseTable, OrientedTable)}
PARTS: dict[str, type] = {"bodies": Body, "segments": Segment, "nearest": Nearest}


def recording_features(recording: np.ndarray, source: FeatureSource, names: Sequence[str] | None = None) -> Features:
    """Features of each individual of a recording, (A, T, K, d) keypoints or (A, T, F) series, float32, NaN = missing.

    The K `names` are for a `FeatureConfig`; a table has its own. ValueError if the recording does not fit `source`.
    """
    if isinstance(source, FeatureConfig):
        return series_features(recording) if recording.ndim == 3 else animal_features(recording, source, names)
    if isinstance(source, PoseTable):
        features, names = pose_features(recording, source), source.keypoints
    else:
        features, names = oriented_features(recording, source), source.order
    return with_nearest(features, recording, names, source.nearest) if source.nearest else features


def as_data(source: FeatureSource) -> dict[str, Any]:
    """Which features these are, as plain containers; `from_data` is the opposite."""
    return {"kind": type(source).__name__, **asdict(source)}


def from_data(data: Mapping[str, Any]) -> FeatureSource:
    """The features that `as_data` described; ValueError if this version does not know their kind."""
    values = {name: _rebuilt(value, PARTS.get(name)) for name, value in data.items()}
    kind = values.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"this version of bams does not know features of the kind {kind!r}")
    return KINDS[kind](**values)


def _rebuilt(value: Any, part: type | None = None) -> Any:
    """Mappings as `part` if it is given, and lists as tuples: files hold no tuples."""
    if isinstance(value, Mapping):
        return (part or dict)(**{name: _rebuilt(one) for name, one in value.items()})
    return tuple(_rebuilt(one, part) for one in value) if isinstance(value, list | tuple) else value
