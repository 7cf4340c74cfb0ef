"""Small good and bad files for the wrong command lines, and a checkpoint of each script."""

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import torch

import custom_dataset
import fruit_flies
import mouse_triplets
import simulated_quadrupeds
from bams import mabe, mabe_simulated, simulate
from bams.simulate_quadrupeds import simulate_quadrupeds

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
    write_mabe()
    write_robots()
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


def write_mabe() -> None:
    """Files of MABe 2022: good ones of both animals, and those that go wrong."""
    mabe.simulate_mouse_files("mice", 4, frames=FRAMES)
    mabe_simulated.simulate_fly_files("flies", 4, 160)
    write_scores("mice", "mouse_triplet", "mouse_triplets_test_labels.npy", "jax")
    write_scores("flies", "fly_group", "fly_groups_test_labels.npy", "flies")
    write_sequences("mouse_triplet", (FRAMES, 3, 12, 2))
    write_sequences("fly_group", (160, 11, 24, 2))
    for name, animals in (("mouse_triplet", "fly"), ("fly_group", "mouse")):
        other = {"fly": "flies/fly_group", "mouse": "mice/mouse_triplet"}[animals]
        folder = Path(f"{name}_swapped")
        folder.mkdir()
        for part in ("train", "test"):
            (folder / f"{name}_{part}.npy").write_bytes(Path(f"{other}_{part}.npy").read_bytes())


def write_sequences(name: str, shape: tuple[int, ...]) -> None:
    """Folders with sequences files of which the training file, or the frame map, is wrong."""
    clip = np.random.default_rng(0).uniform(1, 9, shape).astype(np.float32)
    sequences = {"sequences": {"a": {"keypoints": clip}, "b": {"keypoints": clip}}}
    holed = np.where(np.arange(shape[0])[:, None, None, None] == 9, np.inf, clip)
    for kind, content in {
        "array": clip,
        "no_sequences": {"clips": {"a": clip}},
        "no_clip": {"sequences": {}},
        "no_keypoints": {"sequences": {"a": {"positions": clip}}},
        "bare": {"sequences": {"a": clip}},
        "words": {"sequences": {"a": {"keypoints": clip.astype(str)}}},
        "no_frames": {"sequences": {"a": {"keypoints": clip[:0]}}},
        "three_axes": {"sequences": {"a": {"keypoints": clip[:, 0]}}},
        "infinite": {"sequences": {"a": {"keypoints": holed}}},
        "nobody": {"sequences": {"a": {"keypoints": np.full_like(clip, np.nan)}}},
        "short": {"sequences": {"a": {"keypoints": clip[:40]}}},
        "fewer": {"sequences": {"a": {"keypoints": clip[:, :, :5]}}},
    }.items():
        folder = Path(f"{name}_{kind}")
        folder.mkdir()
        np.save(folder / f"{name}_train.npy", content)
        np.save(folder / f"{name}_test.npy", sequences)
    for kind, part in {"half": "train", "empty_test": "train"}.items():
        Path(f"{name}_{kind}").mkdir()
        np.save(Path(f"{name}_{kind}") / f"{name}_{part}.npy", sequences)
    Path(f"{name}_empty_test/{name}_test.npy").touch()
    length = shape[0]
    for kind, rows in {
        "map_clips": {"a": (0, length), "c": (length, 2 * length)},
        "map_frames": {"a": (0, 9), "b": (9, 18)},
        "map_gap": {"a": (0, length), "b": (length + 1, 2 * length + 1)},
        "map_list": [1, 2],
    }.items():
        folder = Path(f"{name}_{kind}")
        folder.mkdir()
        for part in ("train", "test"):
            np.save(folder / f"{name}_{part}.npy", sequences)
        map_name = "flies_frame_number_map.npy" if name == "fly_group" else "mouse_frame_number_map.npy"
        np.save(folder / map_name, rows)


def write_scores(root: str, name: str, labels_name: str, short: str) -> None:
    """A good submission beside the labels, and submissions, labels, splits and tasks that do not fit."""
    labels = np.load(f"{root}/{labels_name}", allow_pickle=True).item()
    rows, frames = labels["frame_number_map"], labels["label_array"].shape[1]
    embeddings = np.random.default_rng(0).normal(size=(frames, 5)).astype(np.float32)
    good = {"frame_number_map": rows, "embeddings": embeddings}
    first = next(iter(rows))
    folder = Path(f"{root}_scores")
    folder.mkdir()
    for kind, content in {
        "good": good,
        "renamed": {**good, "frame_number_map": {f"x{key}": span for key, span in rows.items()}},
        "fewer": {**good, "frame_number_map": {key: rows[key] for key in rows if key != first}},
        "lists": {**good, "frame_number_map": [1]},
        "moved": {**good, "frame_number_map": {**rows, first: (1, 2)}},
        "holed": {**good, "embeddings": np.where(np.arange(frames)[:, None] == 7, np.float32(np.nan), embeddings)},
        "wide": {**good, "embeddings": np.zeros((frames, 257), np.float32)},
        "long": {**good, "embeddings": np.zeros((frames + 1, 5), np.float32)},
        "flat": {**good, "embeddings": embeddings[:, 0]},
        "no_columns": {**good, "embeddings": embeddings[:, :0]},
        "double": {**good, "embeddings": embeddings.astype(float)},
        "words": {**good, "embeddings": embeddings.astype(str)},
        "no_map": {"embeddings": embeddings},
        "short_labels": {**labels, "label_array": labels["label_array"][:, 1:]},
        "odd_labels": {**labels, "label_array": labels["label_array"] + 1},
        "no_names": {**labels, "vocabulary": ["strain"]},
        "odd_kinds": {**labels, "task_type": ["Sorted"] * len(labels["task_type"])},
    }.items():
        np.save(folder / f"{kind}.npy", content)
    np.save(folder / "array.npy", embeddings)
    kind_of = {"jax": ("jax_split.json", "jax_tasks.json"), "flies": ("flies_split.json", "fly_tasks.json")}
    split, tasks = (json.loads(Path(root, one).read_text()) for one in kind_of[short])
    for kind, content in {
        "overlap": {**split, "publicTest": [*split["publicTest"], split["SubmissionTrain"][0]]},
        "strangers": {**split, "privateTest": ["A"]},
        "untrained": {**split, "SubmissionTrain": []},
        "split_words": {**split, "SubmissionTrain": "all"},
        "no_private": {key: split[key] for key in split if key != "privateTest"},
        "unknown": {**tasks, "task_id_list": ["strain", "dances"]},
        "no_task": {**tasks, "task_id_list": []},
        "odd_seeds": {**tasks, "seeds": ["a"]},
    }.items():
        (folder / f"{kind}.json").write_text(json.dumps(content))


def write_robots() -> None:
    """The robots' file, good and wrong."""
    robots = simulate_quadrupeds(10, frames=100)
    positions, velocities = robots["dof_pos"], robots["dof_vel"]
    holed = np.where(np.arange(100)[:, None] == 7, np.float32(np.nan), positions)
    for name, content in {
        "robots": robots,
        "eight_robots": {key: value[:8] if key != "names" else value for key, value in robots.items()},
        "turned_robots": {**robots, "dof_pos": positions.swapaxes(1, 2), "dof_vel": velocities.swapaxes(1, 2)},
        "r_half": {"dof_pos": positions},
        "r_array": positions,
        "r_list": [1],
        "r_nothing": {},
        "r_flat": {**robots, "dof_pos": positions[0]},
        "r_joints": {**robots, "dof_pos": positions[..., :7], "dof_vel": velocities[..., :7]},
        "r_square": {**robots, "dof_pos": positions[:, :12]},
        "r_differ": {**robots, "dof_vel": velocities[:, :50]},
        "r_turned": {**robots, "dof_vel": velocities.swapaxes(1, 2)},
        "r_words": {**robots, "dof_pos": positions.astype(str)},
        "r_complex": {**robots, "dof_pos": positions.astype(complex)},
        "r_nan": {**robots, "dof_pos": holed},
        "r_infinite": {**robots, "dof_vel": np.where(velocities > 1, np.float32(np.inf), velocities)},
        "r_no_sequence": {key: value[:0] for key, value in robots.items()},
        "r_short": {k: v[:, :40] if k[:4] in ("dof_", "terr") else v for k, v in robots.items()},
        "r_slope": {**robots, "terrain_slope": robots["terrain_slope"][:, :9]},
        "r_slope_words": {**robots, "terrain_slope": np.full((10, 100), "steep")},
        "r_type": {**robots, "robot_type": robots["robot_type"][:3]},
        "r_complex_type": {**robots, "robot_type": robots["robot_type"].astype(complex)},
        "r_unlabelled": {**robots, "terrain_slope": np.full((10, 100), np.nan)},
        "r_one_class": {**robots, "terrain_type": np.zeros((10, 100), int)},
    }.items():
        np.save(f"{name}.npy", content)


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
