"""Small files as trackers write them, written by csv, json and h5py alone."""

import csv
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SCORER = "DLC_resnet50_test"


def numbers(*shape: int) -> np.ndarray:
    """Any positions."""
    return np.random.default_rng(0).uniform(1, 900, shape)


def columns(keypoints: Sequence[str], individuals: Sequence[str] = (), coords: str = "x y likelihood") -> list[tuple]:
    """Names of the columns of DeepLabCut, in its order."""
    animals = [(name,) for name in individuals] or [()]
    return [(SCORER, *animal, k, c) for animal in animals for k in keypoints for c in coords.split()]


def write_csv(path: Path, names: Sequence[tuple], frames: Sequence[Any], values: np.ndarray) -> Path:
    """A CSV of DeepLabCut, values (R, C); NaN is an empty cell."""
    titles = (
        ("scorer", "bodyparts", "coords") if len(names[0]) == 3 else ("scorer", "individuals", "bodyparts", "coords")
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([title, *cells] for title, cells in zip(titles, zip(*names, strict=True), strict=True))
        for frame, row in zip(frames, values, strict=True):
            writer.writerow([frame, *("" if np.isnan(value) else repr(float(value)) for value in row)])
    return path


KINDS = {"i": b"integer", "f": b"float", "S": b"string", "m": b"timedelta64[ns]"}  # of pandas' index


def write_fixed(path: Path, names: Sequence[tuple], frames: Sequence[Any], values: np.ndarray) -> Path:
    """A .h5 of DeepLabCut in pandas' format `fixed`."""
    frames = np.asarray(frames)
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs.update(pandas_type=b"frame", axis1_variety=b"regular", nblocks=1)
        group.attrs["block0_items_nlevels"] = len(names[0])
        for level, parts in enumerate(zip(*names, strict=True)):
            known = list(dict.fromkeys(parts))
            numeric = all(isinstance(name, int) for name in known)
            group[f"block0_items_level{level}"] = np.array(known if numeric else [name.encode() for name in known])
            group[f"block0_items_label{level}"] = np.array([known.index(part) for part in parts], np.int8)
        group["axis1"] = frames.astype(np.int64) if frames.dtype.kind == "m" else frames
        group["axis1"].attrs["kind"] = KINDS[frames.dtype.kind]
        group["block0_values"] = np.asarray(values, float)
        group["block0_values"].attrs["transposed"] = 1
    return path


def write_table(
    path: Path, names: Sequence[tuple], frames: Sequence[Any], values: np.ndarray, pickled: bytes | None = None
) -> Path:
    """A .h5 of DeepLabCut in pandas' format `table`, whose names of columns are a pickle."""
    frames = np.asarray(frames)
    kind, frames = KINDS[frames.dtype.kind], frames.astype(np.int64) if frames.dtype.kind == "m" else frames
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs.update(pandas_type=b"frame_table", table_type=b"appendable_frame")
        rows = np.zeros(len(values), [("index", frames.dtype), ("values_block_0", "<f8", (values.shape[1],))])
        rows["index"], rows["values_block_0"] = frames, values
        group["table"] = rows
        group["table"].attrs["index_kind"] = kind
        pickled = pickle.dumps(list(names), 0) if pickled is None else pickled
        group["table"].attrs["values_block_0_kind"] = np.bytes_(pickled)
    return path


def write_analysis(path: Path, tracks: np.ndarray, nodes: Sequence[str], names: Sequence[str], scores=None) -> Path:
    """An .analysis.h5 of SLEAP; tracks as they are to stand in it."""
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks
        file["node_names"] = np.array([node.encode() for node in nodes])
        file["track_names"] = np.array([name.encode() for name in names]) if names else np.zeros(0)
        if scores is not None:
            file["point_scores"] = scores
    return path


def _rows(rows: Sequence[tuple], fields: str) -> np.ndarray:
    """A table with fields that are written as name:type."""
    return np.array(rows, [tuple(field.split(":")) for field in fields.split()])


def write_slp(
    path: Path, detections: Sequence[dict], nodes: Sequence[str], tracks: Sequence[str] = (), videos=("video.mp4",)
) -> Path:
    """A .slp of SLEAP.

    A detection has `frame`, `points` (K, 2), and if wanted `track` (its index), `video`, `score`, `by_hand`, and
    `corrects` (the index of a detection). A video is its file, or a dict as SLEAP writes it.
    """
    skeleton = {"directed": True, "graph": {"name": "skeleton", "num_edges_inserted": 0}, "links": []}
    skeleton |= {"multigraph": True, "nodes": [{"id": i} for i in range(len(nodes))]}
    metadata = {"version": "2.0.0", "skeletons": [skeleton], "nodes": [{"name": node, "weight": 1.0} for node in nodes]}
    metadata |= {"videos": [], "tracks": [], "suggestions": [], "negative_anchors": {}, "provenance": {}}
    places = [[one.get("video", 0), one["frame"]] for one in detections]
    order = sorted(range(len(detections)), key=lambda i: places[i])
    instances, frames, points = [], [], {True: [], False: []}
    for i in order:
        one, by_hand = detections[i], detections[i].get("by_hand", False)
        if not frames or frames[-1][1:3] != places[i]:
            frames.append([len(frames), *places[i], len(instances), 0])
        mine, first = points[by_hand], len(points[by_hand])
        mine += [(x, y, not np.isnan(x), True, *([] if by_hand else [0.5])) for x, y in one["points"]]
        corrects = order.index(one["corrects"]) if "corrects" in one else -1
        about = len(instances), 0 if by_hand else 1, len(frames) - 1, 0, one.get("track", -1), corrects
        instances.append((*about, one.get("score", 0.9), first, len(mine), 0.0))
        frames[-1][4] = len(instances)
    point = "x:f8 y:f8 visible:? complete:?"
    instance = "instance_id:i8 instance_type:u1 frame_id:u8 skeleton:u4 track:i4 from_predicted:i8 score:f4"
    with h5py.File(path, "w") as file:
        file.create_group("metadata").attrs.update(format_id=1.2, json=np.bytes_(json.dumps(metadata)))
        plain = [{"backend": {"filename": video, "shape": [9, 9, 9, 1]}} for video in videos]
        backends = [video if isinstance(video, dict) else each for video, each in zip(videos, plain, strict=True)]
        file["videos_json"] = np.array([json.dumps(backend).encode() for backend in backends])
        names = [json.dumps([0, name]).encode() for name in tracks]
        file["tracks_json"] = np.array(names) if names else np.zeros(0)
        file["suggestions_json"] = np.zeros(0)
        starts = "instance_id_start:u8 instance_id_end:u8"
        file["frames"] = _rows([tuple(row) for row in frames], f"frame_id:u8 video:u4 frame_idx:u8 {starts}")
        file["instances"] = _rows(instances, f"{instance} point_id_start:u8 point_id_end:u8 tracking_score:f4")
        file["points"] = _rows(points[True], point)
        file["pred_points"] = _rows(points[False], f"{point} score:f8")
    return path
