"""Small good and bad files for the wrong command lines, and a checkpoint of each script."""

import contextlib
import csv
import io
from pathlib import Path

import numpy as np
import torch

import custom_dataset
import fruit_flies
import mouse_triplets
import simulated_quadrupeds
from bams import simulate
from torture import command_files_given

FRAMES, POINTS = 120, ("nose", "left_ear", "right_ear", "neck", "tail_base")
OWN = "--data_root good.npy --sequence_length 60 --epochs 1"
LABELLED = "--data_root labelled.npz --sequence_length 60 --epochs 1"
MICE = "--data_root mice --sequence_length 100 --epochs 1"
FLIES = "--data_root flies --sequence_length 140 --epochs 1"
ROBOTS = "--data_root robots.npy --sequence_length 60 --epochs 1"


def prepare() -> None:
    """Write all files into the current folder, and train each script's model for an epoch."""
    points = [simulate.KEYPOINTS.index(name) for name in POINTS]
    pairs = simulate.simulate_mice(3, frames=FRAMES, gaps=0.2).keypoints[:, :2, :, points]
    tracks = pairs.reshape(6, FRAMES, len(POINTS), 2)
    write_arrays(tracks, pairs)
    write_labels(tracks)
    write_tracker_files(tracks[0])
    write_texts()
    write_configs()
    command_files_given.write()
    write_checkpoints()


def write_arrays(tracks: np.ndarray, pairs: np.ndarray) -> None:
    """Keypoints as plain arrays: `tracks` (N, T, K, 2), and named, `pairs` (S, A, T, K, 2)."""
    middle = np.arange(FRAMES)[:, None, None] == FRAMES // 2
    for name, array in {
        "good": tracks,
        "gute Mäuse 鼠": tracks,
        "series": tracks[..., 0],
        "flat": tracks[0, :, 0],
        "vector": tracks[0, :, 0, 0],
        "six_axes": tracks[None, None],
        "no_tracks": tracks[:0],
        "no_frames": tracks[:, :0],
        "no_keypoints": tracks[:, :, :0],
        "four_coordinates": np.concatenate([tracks, tracks], -1),
        "all_nan": np.full_like(tracks, np.nan),
        "infinite": np.where(middle, np.inf, tracks),
        "constant": np.ones_like(tracks),
        "complex": tracks.astype(complex),
        "words": np.full(tracks.shape, "a"),
        "dates": np.zeros(tracks.shape, "datetime64[s]"),
        "objects": np.array({"keypoints": 1}, dtype=object),
        "one_frame": tracks[:, :1],
        "short": tracks[:, :30],
        "fewer": tracks[:, :, :3],
        "one_keypoint": tracks[:, :, :1],
        "other_number": tracks[:4],
        "whole": np.nan_to_num(tracks).astype(np.int32),
    }.items():
        np.save(f"{name}.npy", array)
    named = {"keypoints": pairs, "keypoint_names": np.array(POINTS), "fps": 30.0, "recording_ids": list("xyz")}
    for name, changes in {
        "named": {},
        "few_names": {"keypoint_names": np.array(POINTS[:2])},
        "same_names": {"keypoint_names": np.array(["nose"] * 5)},
        "few_ids": {"recording_ids": ["x"]},
        "same_ids": {"recording_ids": ["x", "x", "y"]},
        "many_lengths": {"lengths": [10] * 9},
        "long_lengths": {"lengths": [1000] * 3},
        "half_lengths": {"lengths": [99.5, 100, 100]},
        "word_lengths": {"lengths": ["all", "all", "all"]},
        "flat_lengths": {"lengths": 100},
        "no_rate": {"fps": 0.0},
        "minus_rate": {"fps": -30.0},
        "nan_rate": {"fps": np.nan},
        "word_rate": {"fps": "thirty"},
        "rates": {"fps": [30.0, 25.0, 30.0]},
        "others": {"keypoint_names": np.array(["a", "b", "c", "d", "e"])},
    }.items():
        np.savez(f"{name}.npz", **named | changes)
    np.savez("no_keypoints.npz", positions=tracks)
    np.savez("nothing.npz")
    np.savez_compressed("object_names.npz", keypoints=tracks, names=np.array([None, {}], dtype=object))
    Path("cut.npy").write_bytes(Path("good.npy").read_bytes()[:3000])
    Path("cut.npz").write_bytes(Path("named.npz").read_bytes()[:3000])


def write_labels(tracks: np.ndarray) -> None:
    """Labelled recordings: `act` per frame and `sort` per track are classes, `speed` is a measure."""
    speed = np.linalg.norm(np.diff(tracks[:, :, 0], axis=1, prepend=tracks[:, :1, 0]), axis=-1)
    act = np.digitize(np.nan_to_num(speed), np.nanquantile(speed, [0.3, 0.7])).astype(np.int8)
    names = np.array(["rest", "walk", "run"])
    good = {"labels_act": act, "labels_act_names": names, "labels_speed": speed, "seq_labels_sort": [0, 1] * 3}
    unlabelled = np.where(np.arange(6)[:, None] > 0, np.nan, speed)
    for name, changes in {
        "labelled": {},
        "l_frames": {"labels_act": act[:, :70]},
        "l_tracks": {"labels_act": act[:5]},
        "l_number": {"labels_act": 3},
        "l_one_axis": {"labels_act": act[:, 0]},
        "l_three_axes": {"labels_act": act[..., None]},
        "l_text": {"labels_act": np.full(act.shape, "run")},
        "l_complex": {"labels_speed": speed.astype(complex)},
        "l_halves": {"labels_act": act + 0.5},
        "l_infinite": {"labels_speed": np.where(speed > 3, np.inf, 1.0)},
        "l_missing": {"labels_act": np.full_like(act, -1)},
        "l_nan": {"labels_speed": np.full_like(speed, np.nan)},
        "l_one_class": {"labels_act": np.zeros_like(act)},
        "l_constant": {"labels_speed": np.ones_like(speed)},
        "l_once": {"labels_speed": unlabelled},
        "l_rare": {"seq_labels_sort": [1, 0, 0, 0, 0, 0]},
        "l_twice": {"seq_labels_act": [0, 1] * 3},
        "l_only_names": {"labels_mood_names": np.array(["good"])},
        "l_few_names": {"labels_act_names": np.array(["rest"])},
        "l_same_names": {"labels_act_names": np.array(["rest", "rest", "run"])},
        "l_ids": {"recording_ids": ["x"] * 6},
        "l_one_track": {"keypoints": tracks[:1]},
        "l_own": {"keypoints": tracks[:, :, :3]},
        "l_words": {"keypoints": np.full(tracks.shape, "a")},
    }.items():
        np.savez(f"{name}.npz", **{"keypoints": tracks, **good, **changes})
    np.savez("l_none.npz", keypoints=tracks)
    np.savez("l_alone.npz", keypoints=tracks[:1], labels_act=act[:1])
    np.savez("l_no_name.npz", keypoints=tracks, labels_=act)
    np.savez("l_no_keypoints.npz", labels_act=act)


def write_tracker_files(track: np.ndarray) -> None:
    """CSV files as DeepLabCut writes them, good ones and bad, and segments of them."""
    columns = [(name, kind) for name in POINTS for kind in ("x", "y", "likelihood")]
    heads = [["scorer", *["net"] * len(columns)]]
    heads += [["bodyparts", *(name for name, _ in columns)], ["coords", *(kind for _, kind in columns)]]
    cells = np.concatenate([np.nan_to_num(track), np.full((*track.shape[:2], 1), 0.9)], -1).reshape(len(track), -1)
    body = [[number, *(f"{value:.2f}" for value in row)] for number, row in enumerate(cells)]
    others = [heads[0], ["bodyparts", *(name.upper() for name, _ in columns)], heads[2]]
    for name, rows in {
        "tracks/a": [*heads, *body],
        "tracks/b": [*heads, *body],
        "mixed/a": [*heads, *body],
        "mixed/b": [*others, *body],
        "bad/plain": [["frame", "x", "y"], *([i, i, i] for i in range(50))],
        "bad/only_heads": heads,
        "bad/two_heads": [*heads[:2], *body],
        "bad/words": [*heads, *body[:50], [50, *["?"] * len(columns)], *body[51:]],
        "bad/ragged": [*heads, *body[:50], body[50][:4], *body[51:]],
        "bad/one_frame": [*heads, body[0]],
        "bad/frames_twice": [*heads, *body, *body],
        "bad/no_y": [[cell for i, cell in enumerate(row) if i % 3 != 2] for row in [*heads, *body]],
    }.items():
        path = Path(f"{name}.csv")
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    text = Path("tracks/a.csv").read_text()
    Path("bad/semicolons.csv").write_text(text.replace(",", ";"))
    Path("twice").mkdir()
    for name in ("a", "a_filtered"):
        Path(f"twice/{name}.csv").write_text(text)
    for name, lines in {
        "good": "recording,start,end\na,0,59\nb,10,100\n",
        "header": "recording,start,end\n",
        "columns": "video,from,to\na,0,59\n",
        "overlap": "recording,start,end\na,0,59\na,59,100\n",
        "outside": "recording,start,end\na,0,500\n",
        "backwards": "recording,start,end\na,59,0\n",
        "strangers": "recording,start,end\nc,0,59\n",
        "seconds": "recording,start,end\na,0.5,1.5\n",
        "holes": "recording,start,end\na,0,\n",
        "tiny": "recording,start,end\na,0,5\n",
    }.items():
        Path(f"segments_{name}.csv").write_text(lines)


def write_texts() -> None:
    """Files that are no recordings, empty folders, and a folder of videos."""
    for name in ("empty.npy", "empty.csv", "empty.pt", "empty.json", "file"):
        Path(name).touch()
    Path("text.npy").write_text("x,y\n1,2\n")
    Path("text.pt").write_text("hello")
    Path("notes.txt").write_text("hello")
    Path("film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))
    Path("table.xlsx").write_bytes(b"PK\x03\x04" + bytes(64))
    Path("noise.bin").write_bytes(bytes(range(128, 256)) * 8)
    Path("list.json").write_text("[1, 2]")
    Path("broken.json").write_text('{"a": [')
    Path("empty").mkdir()
    Path("folder.pt").mkdir()
    Path("videos").mkdir()
    for name in ("one", "two"):
        Path(f"videos/{name}.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))


def write_configs() -> None:
    """YAML files, most of which are wrong."""
    Path("configs.yaml").mkdir()
    Path("noise.yaml").write_bytes(bytes(range(128, 256)))
    for name, text in {
        "good": "epochs: 1\nlog_dir: 'ein Ordner/runs'\n",
        "broken": "epochs: [1",
        "unknown": "epohcs: 3\n",
        "nested": "train:\n  epochs: 3\n",
        "list": "- epochs\n- 3\n",
        "words": "hello there",
        "empty": "",
        "comments": "# nothing\n",
        "tabs": "epochs:\t3\n\tlr: 3\n",
        "twice": "epochs: 3\nlr: 0.1\nepochs: 4\n",
        "null": "epochs:\n",
        "many": "epochs: many\n",
        "half": "epochs: 2.5\n",
        "of_list": "epochs: [1, 2]\n",
        "of_dict": "lr: {steps: 3}\n",
        "number": "data_root: 3\n",
        "job": "job: dance\n",
        "colon": "data_root: a: b\n",
        "no_space": "epochs:3\n",
        "two_files": "---\nepochs: 1\n---\nepochs: 2\n",
        "tag": "epochs: !!python/object/apply:os.getcwd []\n",
        "keys": "3: 4\n",
    }.items():
        Path(f"{name}.yaml").write_text(text)
    Path("settings.json").write_text('{"epochs": "x"}')


def write_checkpoints() -> None:
    """A trained checkpoint of each script, and what is none; where `taken` would write tables is a file."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for main, name, line in (
            (custom_dataset.main, "own", OWN),
            (custom_dataset.main, "named", f"{OWN} --data_root named.npz"),
            (mouse_triplets.main, "mouse", MICE),
            (fruit_flies.main, "fly", FLIES),
            (simulated_quadrupeds.main, "robot", ROBOTS),
        ):
            main([*line.split(), "--ckpt_path", f"{name}.pt", "--log_dir", "kept_runs"])
    whole = Path("own.pt").read_bytes()
    Path("taken.pt").write_bytes(whole)
    Path("taken_representations").touch()
    Path("cut.pt").write_bytes(whole[:-1000])
    Path("changed.pt").write_bytes(whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:])
    content = torch.load("own.pt", weights_only=True)
    torch.save({**content, "weights": {}}, "weightless.pt")
    torch.save({**content, "format": "bams-checkpoint-0"}, "older.pt")
    torch.save({"encoders.a": torch.ones(1)}, "bare.pt")
    torch.save([1, 2], "list.pt")
    torch.save(torch.nn.Linear(1, 1), "module.pt")
