"""Small valid files of every kind that the library reads, and what reads them."""

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch

from bams import checkpoint, simulate
from bams.app import cli, quadrupeds
from bams.checkpoint import Checkpoint
from bams.data import feature_tables, labels
from bams.mabe import files as mabe_files
from bams.mabe import protocol as mabe_protocol
from bams.mabe.simulated import write_protocol
from bams.models.bams import BAMS
from bams.recordings import load, segments
from bams.statistics import Statistics
from bams.storage import files

# those that write small files of trackers for the tests; a package `tests` of others may be installed
pose_writers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "tests" / "pose_writers.py")))
FRAMES, MICE, KEYPOINTS = 40, 2, 3
BODY = [f"point{i}" for i in range(KEYPOINTS)]


class Original(NamedTuple):
    """A valid file.

    Attributes:
        path: where it lies.
        read: what the library reads it by.
        sealed: whether it has checksums, so that another content than its own is never right.
    """

    path: Path
    read: Callable[[Path], Any]
    sealed: bool = False


def write_originals(folder: Path) -> dict[str, Original]:
    """By kind; each in a folder of its own."""
    for name in ("mabe", "arrays", "trackers", "trained", "texts", "cache"):
        (folder / name).mkdir()
    return {
        **_mabe_files(folder / "mabe"),
        **_arrays(folder / "arrays"),
        **_tracker_files(folder / "trackers"),
        "checkpoint": Original(_checkpoint(folder / "trained" / "tiny.pt"), _read_checkpoint, sealed=True),
        **_texts(folder / "texts"),
        "cache": Original(_cache(folder / "cache"), _read_cache, sealed=True),
    }


def _mabe_files(folder: Path) -> dict[str, Original]:
    mice = simulate.simulate_mice(2, frames=FRAMES, seed=0)
    ids = ["clip0", "clip1"]
    clips = dict(zip(ids, mice.keypoints, strict=True))
    rows = mabe_files.frame_map(ids, [FRAMES] * 2)
    tasks = {"chases": mabe_files.Task(mice.chase.ravel(), True), "speed": mabe_files.Task(np.ones(2 * FRAMES), False)}
    embeddings = np.random.default_rng(0).random((2 * FRAMES, 8), np.float32)
    public = dict(zip(ids, np.ones((2, 2, FRAMES), np.float32), strict=True))
    robots = {"dof_pos": np.ones((12, FRAMES, 12)), "dof_vel": np.ones((12, FRAMES, 12), np.float32)}
    robots |= {"robot_type": ["a", "b"] * 6, "terrain_type": np.ones((12, FRAMES), int)}
    robots |= {"command_vel": np.ones((12, 3)), "terrain_slope": np.ones((12, FRAMES))}
    robots |= {"terrain_difficulty": np.zeros((12, FRAMES))}
    written = {
        "sequences": (mabe_files.write_sequences(folder / "sequences.npy", clips, public, ["a", "b"]), _read_sequences),
        "frame map": (files.write_pickled_dict(folder / "map.npy", rows), mabe_files.read_frame_map),
        "labels": (mabe_files.write_labels(folder / "labels.npy", rows, tasks), mabe_protocol.read_labels),
        "submission": (
            mabe_files.write_submission(folder / "submission.npy", rows, embeddings, rows, 128),
            lambda path: mabe_protocol.read_submission(path, rows, 128),
        ),
        "robots": (folder / "robots.npy", quadrupeds.load_robots),
    }
    np.save(folder / "robots.npy", robots)  # by pickle protocol 4 and numpy's own calls
    labels_of = mabe_protocol.Labels(rows | {f"clip{i}": (0, 0) for i in range(2, 6)}, tasks)
    write_protocol(
        folder / "splits.json", folder / "tasks.json", ["x", "y"], list(labels_of.rows), list(tasks), ["speed"]
    )

    def read_protocol(path: Path) -> Any:
        splits, task_file = (path if path.name == name else folder / name for name in ("splits.json", "tasks.json"))
        return mabe_protocol.read_protocol(splits, task_file, labels_of)

    written |= {name: (folder / f"{name}.json", read_protocol) for name in ("splits", "tasks")}
    return {name: Original(*pair) for name, pair in written.items()}


def _read_sequences(path: Path) -> Any:
    return mabe_files.load_sequences(path, keypoints=12, individuals=3)


def _arrays(folder: Path) -> dict[str, Original]:
    rng = np.random.default_rng(0)
    keypoints = rng.random((2, MICE, FRAMES, KEYPOINTS, 2), np.float32)
    named = {"keypoint_names": np.array(BODY), "recording_ids": np.array(["a", "b"]), "fps": np.float64(30)}
    named["lengths"] = np.array([FRAMES, 30])
    truth = {"labels_state": rng.integers(-1, 3, (2, FRAMES)), "labels_state_names": np.array(["a", "b", "c"])}
    truth["seq_labels_sex"] = np.array([0.0, 1.0])
    np.save(folder / "plain.npy", keypoints)
    np.savez(folder / "named.npz", keypoints=keypoints, **named)
    np.savez_compressed(folder / "packed.npz", keypoints=keypoints, **named)
    np.savez(folder / "labelled.npz", keypoints=keypoints, **named, **truth)
    return {
        "npy": Original(folder / "plain.npy", load.load_poses),
        "npz": Original(folder / "named.npz", load.load_poses, sealed=True),
        "packed npz": Original(folder / "packed.npz", load.load_poses, sealed=True),
        "labelled npz": Original(folder / "labelled.npz", _read_labelled, sealed=True),
    }


def _read_labelled(path: Path) -> Any:
    return labels.as_annotations(*labels.annotations_of(files.read_arrays(path)), [FRAMES] * 2 * MICE, individuals=MICE)


def _tracker_files(folder: Path) -> dict[str, Original]:
    rng = np.random.default_rng(0)
    one, several = pose_writers.columns(BODY), pose_writers.columns(BODY, ["left", "right"])
    frames = np.arange(5, 5 + FRAMES)
    tables_of = {len(names): rng.random((FRAMES, len(names))) * 100 for names in (one, several)}
    tables_of[len(one)][3:5, :2] = np.nan
    tracks = rng.random((MICE, 2, KEYPOINTS, FRAMES)) * 100
    sightings = [
        {"frame": frame, "track": track, "points": rng.random((KEYPOINTS, 2))}
        for frame in range(8)
        for track in range(MICE)
    ]
    paths = {
        "csv": pose_writers.write_csv(folder / "one.csv", one, frames, tables_of[len(one)]),
        "csv of several": pose_writers.write_csv(folder / "some.csv", several, frames, tables_of[len(several)]),
        "h5": pose_writers.write_fixed(folder / "fixed.h5", several, frames, tables_of[len(several)]),
        "h5 table": pose_writers.write_table(folder / "table.h5", one, frames, tables_of[len(one)]),
        "analysis": pose_writers.write_analysis(folder / "a.analysis.h5", tracks, BODY, ["a", "b"], tracks[:, 0] / 100),
        "packed analysis": _pack(folder / "a.analysis.h5", folder / "b.analysis.h5"),
        "slp": pose_writers.write_slp(folder / "a.slp", sightings, BODY, ["a", "b"]),
        **_netcdf_files(folder, tracks.transpose(3, 1, 2, 0)),
    }
    return {name: Original(path, load.load_poses) for name, path in paths.items()}


def _pack(source: Path, path: Path) -> Path:
    """The same in compressed chunks with checksums, as SLEAP writes it."""
    with h5py.File(source) as given, h5py.File(path, "w") as packed:
        for name, item in given.items():
            options = {"compression": "gzip", "chunks": True} if item.ndim > 1 else {}
            packed.create_dataset(name, data=item[()], **options)
    return path


def _netcdf_files(folder: Path, position: np.ndarray) -> dict[str, Path]:
    import xarray

    dataset = xarray.Dataset(
        {"position": (("time", "space", "keypoints", "individuals"), position)},
        {"time": np.arange(len(position)) / 25, "space": ["x", "y"], "keypoints": BODY, "individuals": ["a", "b"]},
        {"fps": 25.0, "time_unit": "seconds"},
    )
    dataset.to_netcdf(folder / "four.nc", engine="h5netcdf")
    dataset.to_netcdf(folder / "three.nc", engine="scipy")
    return {"netCDF 4": folder / "four.nc", "netCDF 3": folder / "three.nc"}


def _checkpoint(path: Path) -> Path:
    sizes = {"num_channels": (4, 3), "num_layers_per_block": 1}
    model = BAMS(4, short_term=sizes, predictor={"hidden_layers": (-1, 6, 10)})
    optimizer = torch.optim.AdamW(model.parameters())
    statistics = Statistics(np.zeros(4, np.float32), np.ones(4, np.float32), np.ones((2, 4)), np.ones((2, 5), int))
    progress = {"epoch": 2, "step": 11, "optimizer": optimizer.state_dict()}
    about = {"settings": {"epochs": 3}, "features": {"inputs": list("abcd")}, "progress": progress}
    return checkpoint.save(path, Checkpoint(model, "mice", statistics, np.ones(2, np.float32), **about))


def _read_checkpoint(path: Path) -> Any:
    return vars(checkpoint.load(path))


def _texts(folder: Path) -> dict[str, Original]:
    config = {"epochs": 3, "lr": "0.001", "lr_milestones": [1, 2], "precision": "auto", "data_root": "tracks"}
    rows = ["recording,start,end,note", *(f"day {i},{100 * i},{100 * i + 99},x" for i in range(9))]
    (folder / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in config.items()))
    (folder / "segments.csv").write_text("\n".join(rows))
    return {
        "yaml": Original(folder / "config.yaml", _read_config),
        "segments": Original(folder / "segments.csv", segments.read_segments),
    }


def _read_config(path: Path) -> Any:
    """As a script does, which says what is wrong on one line; the file is the one that the command line names."""
    try:
        return cli.parse(["--config", str(path)], "fuzz", "custom")
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def _read_cache(path: Path) -> Any:
    """As the library does, which makes a cache anew upon these errors, see `bams.tables.keep`."""
    try:
        return feature_tables.read_table(path.parent)
    except (ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise ValueError(f"{path} is damaged") from error


def _cache(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        feature_tables.Track(rng.random((n, 3), np.float32), rng.random((n, 2), np.float32), np.ones((n, 2), bool))
        for n in (50, 60)
    ]
    feature_tables.build_table(rows, bins=4, folder=folder)
    return folder / "statistics.npz"
