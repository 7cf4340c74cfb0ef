"""Small good and bad files in the forms that are given: those of MABe 2022, and the robots'."""

import json
from pathlib import Path

import numpy as np

from bams.mabe.simulated import simulate_fly_files, simulate_mouse_files
from bams.simulate.quadrupeds import simulate_quadrupeds

MOUSE_FRAMES, FLY_FRAMES = 120, 160


def write() -> None:
    """Write all of them into the current folder."""
    write_mabe()
    write_robots()


def write_mabe() -> None:
    """Files of MABe 2022: good ones of both animals, and those that go wrong."""
    simulate_mouse_files("mice", 4, frames=MOUSE_FRAMES)
    simulate_fly_files("flies", 4, FLY_FRAMES)
    write_scores("mice", "mouse_triplet", "mouse_triplets_test_labels.npy", "jax")
    write_scores("flies", "fly_group", "fly_groups_test_labels.npy", "flies")
    write_sequences("mouse_triplet", (MOUSE_FRAMES, 3, 12, 2))
    write_sequences("fly_group", (FLY_FRAMES, 11, 24, 2))
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
