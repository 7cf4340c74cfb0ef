"""Small good and bad files for the wrong command lines, and a checkpoint of three of the scripts."""

import contextlib
import csv
import io
import os
from pathlib import Path

import numpy as np
import torch

import custom_dataset
import mouse_triplets
import simulated_quadrupeds
from bams import simulate
from bams.mabe.simulated import simulate_fly_files, simulate_mouse_files

FRAMES, POINTS = 120, ("nose", "left_ear", "right_ear", "neck", "tail_base")
# settings of training stand in files, which may hold those of all jobs
OWN = "--data_root good.npy --config quick60.yaml"
LABELLED = "--data_root labelled.npz --config quick60.yaml"
MICE = "--data_root mice --config quick100.yaml"
FLIES = "--data_root flies --config quick140.yaml"
ROBOTS = "--data_root robots.npy --config quick60.yaml"


class Code:
    """A careless reader of pickles would make the folder `code_ran`."""

    def __reduce__(self):
        return os.mkdir, ("code_ran",)


CODE = np.array({"keypoints": Code()}, dtype=object)


def prepare() -> None:
    """Write all files into the current folder, and train three models for one epoch."""
    points = [simulate.KEYPOINTS.index(name) for name in POINTS]
    pairs = simulate.simulate_mice(3, frames=FRAMES, gaps=0.2).keypoints[:, :2, :, points]
    tracks = pairs.reshape(6, FRAMES, len(POINTS), 2)
    write_arrays(tracks, pairs)
    write_labels(tracks)
    write_tracker_files(tracks[0])
    write_texts()
    write_mabe()
    write_robots()
    write_checkpoints()


def write_arrays(tracks: np.ndarray, pairs: np.ndarray) -> None:
    """Keypoints as plain arrays from `tracks` (N, T, K, 2), and with names from `pairs` (S, A, T, K, 2)."""
    for name, array in {
        "good": tracks,
        "gute Mäuse 鼠": tracks,
        "series": tracks[..., 0],
        "flat": tracks[0, :, 0],
        "all_nan": np.full_like(tracks, np.nan),
        "infinite": np.where(np.arange(FRAMES)[:, None, None] == 60, np.inf, tracks),
        "constant": np.ones_like(tracks),
        "words": np.full(tracks.shape, "a"),
        "code": CODE,
        "short": tracks[:, :30],
        "fewer": tracks[:, :, :3],
        "one_keypoint": tracks[:, :, :1],
        "fewer_tracks": tracks[:4],
        "integers": np.nan_to_num(tracks).astype(np.int32),
    }.items():
        np.save(f"{name}.npy", array)
    named = {"keypoints": pairs, "keypoint_names": np.array(POINTS), "fps": 30.0, "recording_ids": list("xyz")}
    np.savez("named.npz", **named)
    np.savez("same_names.npz", **named | {"keypoint_names": np.array(["nose"] * 5)})
    np.savez("long_lengths.npz", **named, lengths=[1000] * 3)
    np.savez("code.npz", **named, note=CODE)
    np.savez("no_keypoints.npz", positions=tracks)
    Path("cut.npy").write_bytes(Path("good.npy").read_bytes()[:3000])


def write_labels(tracks: np.ndarray) -> None:
    """Labelled recordings: classes `act` of every frame and `sort` of every track, and the measure `speed`."""
    speed = np.linalg.norm(np.diff(tracks[:, :, 0], axis=1, prepend=tracks[:, :1, 0]), axis=-1)
    act = np.digitize(np.nan_to_num(speed), np.nanquantile(speed, [0.3, 0.7])).astype(np.int8)
    good = {"labels_act": act, "labels_speed": speed, "seq_labels_sort": [0, 1] * 3}
    good["labels_act_names"] = np.array(["rest", "walk", "run"])
    for name, changes in {
        "labelled": {},
        "l_frames": {"labels_act": act[:, :70]},
        "l_halves": {"labels_act": act + 0.5},
        "l_code": {"labels_act": CODE},
    }.items():
        np.savez(f"{name}.npz", **{"keypoints": tracks, **good, **changes})
    np.savez("l_none.npz", keypoints=tracks)


def write_tracker_files(track: np.ndarray) -> None:
    """CSV files of DeepLabCut, good and bad, and tables of segments."""
    columns = [(name, kind) for name in POINTS for kind in ("x", "y", "likelihood")]
    heads = [["scorer", *["net"] * len(columns)]]
    heads += [["bodyparts", *(name for name, _ in columns)], ["coords", *(kind for _, kind in columns)]]
    cells = np.concatenate([np.nan_to_num(track), np.full((*track.shape[:2], 1), 0.9)], -1).reshape(len(track), -1)
    body = [[number, *(f"{value:.2f}" for value in row)] for number, row in enumerate(cells)]
    backwards = [[row[0], *other[1:]] for row, other in zip(body, reversed(body), strict=True)]
    for name, rows in {
        "tracks/a": [*heads, *body],
        "tracks/b": [*heads, *backwards],
        "mixed/a": [*heads, *body],
        "mixed/b": [heads[0], ["bodyparts", *(name.upper() for name, _ in columns)], heads[2], *backwards],
        "bad/plain": [["frame", "x", "y"], *([i, i, i] for i in range(50))],
        "bad/words": [*heads, *body[:50], [50, *["?"] * len(columns)], *body[51:]],
        "bad/ragged": [*heads, *body[:50], body[50][:4], *body[51:]],
        "bad/no_y": [[cell for i, cell in enumerate(row) if i % 3 != 2] for row in [*heads, *body]],
    }.items():
        path = Path(f"{name}.csv")
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    segments = {"good": "a,0,59\nb,10,100", "overlap": "a,0,59\na,59,100", "outside": "a,0,500", "seconds": "a,0.5,1.5"}
    for name, rows in segments.items():
        Path(f"segments_{name}.csv").write_text(f"recording,start,end\n{rows}\n")


def write_texts() -> None:
    """Files that are no recordings, folders without recordings, and configs."""
    for name in ("empty.npy", "empty.pt", "empty.yaml", "file"):
        Path(name).touch()
    for name in ("empty", "folder.pt"):
        Path(name).mkdir()
    Path("notes.txt").write_text("hello")
    Path("film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))
    for frames in (60, 100, 140):
        Path(f"quick{frames}.yaml").write_text(f"sequence_length: {frames}\nepochs: 1\n")
    for name, text in {
        "good": "epochs: 1\nlog_dir: 'ein Ordner/runs'\n",
        "broken": "epochs: [1",
        "unknown": "epohcs: 3\n",
        "list": "- epochs\n- 3\n",
        "twice": "epochs: 3\nlr: 0.1\nepochs: 4\n",
        "null": "epochs:\n",
        "many": "epochs: many\n",
        "code": "data_root: !!python/object/apply:os.mkdir [code_ran]\n",
    }.items():
        Path(f"{name}.yaml").write_text(text)


def write_mabe() -> None:
    """Folders as MABe 2022 has them, good and bad, and submissions beside their labels."""
    simulate_mouse_files("mice", 4, frames=FRAMES)
    simulate_fly_files("flies", 4, FRAMES + 40)
    clip = np.random.default_rng(0).uniform(1, 9, (FRAMES, 3, 12, 2)).astype(np.float32)
    sequences = {"sequences": {"a": {"keypoints": clip}, "b": {"keypoints": clip}}}
    for kind, content in {
        "no_keypoints": {"sequences": {"a": {"positions": clip}}},
        "short": {"sequences": {"a": {"keypoints": clip[:40]}}},
        "fewer": {"sequences": {"a": {"keypoints": clip[:, :, :5]}}},
        "code": CODE,
        "other_map": sequences,
    }.items():
        folder = Path(f"mice_{kind}")
        folder.mkdir()
        np.save(folder / "mouse_triplet_train.npy", content)
        np.save(folder / "mouse_triplet_test.npy", sequences)
    np.save("mice_other_map/mouse_frame_number_map.npy", {"a": (0, FRAMES), "c": (FRAMES, 2 * FRAMES)})
    labels = np.load("mice/mouse_triplets_test_labels.npy", allow_pickle=True).item()
    rows, frames = labels["frame_number_map"], labels["label_array"].shape[1]
    good = {"frame_number_map": rows, "embeddings": np.ones((frames, 5), np.float32)}
    for kind, content in {
        "good": good,
        "renamed": {**good, "frame_number_map": {f"x{key}": span for key, span in rows.items()}},
        "holed": {**good, "embeddings": np.full((frames, 5), np.float32(np.nan))},
        "short_labels": {**labels, "label_array": labels["label_array"][:, 1:]},
        "code": CODE,
    }.items():
        np.save(f"submission_{kind}.npy", content)


def write_robots() -> None:
    """The file of the robots, good and bad."""
    robots = simulate.simulate_quadrupeds(10, frames=100)
    positions = robots["dof_pos"]
    np.save("robots.npy", robots)
    np.save("r_half.npy", {"dof_pos": positions})
    np.save("r_nan.npy", robots | {"dof_pos": np.full_like(positions, np.nan)})
    np.save("r_unlabelled.npy", robots | {"terrain_slope": np.full((10, 100), np.nan)})
    np.save("r_code.npy", CODE)


def write_checkpoints() -> None:
    """A trained checkpoint of three scripts, and files that are none."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for main, name, line in (
            (custom_dataset.main, "own", OWN),
            (mouse_triplets.main, "mouse", MICE),
            (simulated_quadrupeds.main, "robot", ROBOTS),
        ):
            main([*line.split(), "--ckpt_path", f"{name}.pt", "--log_dir", "kept_runs"])
    whole = Path("own.pt").read_bytes()
    Path("cut.pt").write_bytes(whole[:-1000])
    Path("changed.pt").write_bytes(whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:])
    torch.save({"encoders.a": torch.ones(1)}, "bare.pt")
    torch.save({"weights": Code()}, "code.pt")
