"""Simulated files in the form of the MABe 2022 files, of mice and of flies."""

import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bams.mabe.files import SEEDS, Task, frame_map, write_labels, write_sequences
from bams.simulate.flies import ACTIONS, SimulatedFlies, simulate_flies
from bams.simulate.mice import MODES, simulate_mice
from bams.storage import files


def clip_ids(count: int, seed: int) -> list[str]:
    """Random ids in the form of the real ones: 20 capital letters and digits."""
    letters = np.array(list(string.ascii_uppercase + string.digits))
    return ["".join(row) for row in np.random.default_rng(seed).choice(letters, (count, 20))]


def write_protocol(
    splits: Path, tasks: Path, train: list[str], test: list[str], names: list[str], sequence_level: list[str]
) -> None:
    """Write a split file of training and test clips, half of which train read-outs, and a file of task names."""
    shuffled = np.random.default_rng(0).permutation(test).tolist()
    half, rest = len(test) // 2, (len(test) + len(test) // 2) // 2
    parts = {"SubmissionTrain": shuffled[:half], "publicTest": shuffled[half:rest], "privateTest": shuffled[rest:]}
    files.write_json(splits, {"UserTrain": train, **parts})
    files.write_json(tasks, {"seeds": SEEDS, "task_id_list": names, "sequence_level_tasks": sequence_level})


def simulate_mouse_files(root: str | Path, clips: int, frames: int = 1800) -> None:
    """Write simulated files in the form of the MABe 2022 mouse triplets, a training and a test file of S clips each.

    The public tasks of the training file are lights and chases. The causes behind the test clips, in file order, are in
    mouse_triplet_test_causes.npz: `actions` and `modes` (S, A, T) int8, `strain` and `lights` (S,) int8.
    """
    root = Path(root)
    train, test = (simulate_mice(clips, frames=frames, seed=seed) for seed in (0, 1))
    train_names, names = clip_ids(clips, seed=0), clip_ids(clips, seed=1)
    causes = {"strain": test.strain[:, None], "approaches": test.approach, "chases": test.chase, "close": test.close}
    causes |= {"contact": test.contact, "lights": test.lights[:, None]}
    causes["social_share"] = (test.modes == MODES.index("social")).mean(axis=1)
    write_labels(root / "mouse_triplets_test_labels.npy", frame_map(names, [frames] * clips), _tasks(causes, frames))
    whole = ["strain", "lights"]
    write_protocol(root / "jax_split.json", root / "jax_tasks.json", train_names, names, list(causes), whole)
    kept = {name: getattr(test, name) for name in ("actions", "modes", "strain", "lights")}
    files.write_arrays(root / "mouse_triplet_test_causes.npz", **kept)
    write_sequences(root / "mouse_triplet_test.npy", dict(zip(names, test.keypoints, strict=True)))
    public = {"lights": train.lights[:, None], "chases": train.chase}
    _write_training_file(root / "mouse_triplet_train.npy", train_names, train.keypoints, public, zero_missing=True)


def simulate_fly_files(root: str | Path, clips: int, frames: int = 4500) -> None:
    """Write simulated files in the form of the MABe 2022 fly groups, a training and a test file of S clips each.

    The public tasks of the training file are strain and chase. The test clips are in another order in the labels and in
    flies_frame_number_map.npy than in their file, as in the real ones. Their causes, in file order, are in
    fly_group_test_causes.npz: `actions` and `modes` (S, A, T), `sex` (S, A), `strain` (S,) and `light` (S, T) int8.
    """
    root = Path(root)
    test = simulate_flies(clips, frames=frames, seed=1)
    train_names, names = clip_ids(clips, seed=2), clip_ids(clips, seed=3)
    order = np.argsort(names)
    rows = frame_map([names[i] for i in order], [frames] * clips)
    causes = _fly_causes(test)
    write_labels(root / "fly_groups_test_labels.npy", rows, _tasks(causes, frames, order))
    whole = [name for name in causes if name in ("strain", "female_share") or name.startswith("female_single")]
    write_protocol(root / "flies_split.json", root / "fly_tasks.json", train_names, names, list(causes), whole)
    files.write_pickled_dict(root / "flies_frame_number_map.npy", rows)
    kept = {name: getattr(test, name) for name in ("actions", "modes", "sex", "strain", "light")}
    files.write_arrays(root / "fly_group_test_causes.npz", **kept)
    write_sequences(root / "fly_group_test.npy", dict(zip(names, test.keypoints, strict=True)), zero_missing=False)
    del test, causes, kept  # frees their memory before as much is simulated again
    train = simulate_flies(clips, frames=frames, seed=0)
    public = {"strain": train.strain[:, None], "chase": train.chase.any(axis=1)}
    _write_training_file(root / "fly_group_train.npy", train_names, train.keypoints, public, zero_missing=False)


def _write_training_file(
    path: Path, names: Sequence[str], keypoints: np.ndarray, tasks: Mapping[str, np.ndarray], zero_missing: bool
) -> None:
    """Write clips (S, A, T, K, 2) with public tasks, each (S, T), or (S, 1) if it holds for whole clips."""
    shape = len(keypoints), keypoints.shape[2]
    labels = np.stack([np.broadcast_to(values, shape) for values in tasks.values()], axis=1).astype(np.float32)
    clips, annotations = (dict(zip(names, arrays, strict=True)) for arrays in (keypoints, labels))
    write_sequences(path, clips, annotations, tuple(tasks), zero_missing)


def _tasks(causes: Mapping[str, np.ndarray], frames: int, order: np.ndarray | slice = slice(None)) -> dict[str, Task]:
    """Causes (S, T), or (S, 1) of whole clips, as labels of all frames, clip after clip in this order."""
    tasks = {}
    for name, values in causes.items():
        by_frame = np.broadcast_to(values, (len(values), frames))[order]
        tasks[name] = Task(by_frame.ravel(), "share" not in name)
    return tasks


def _fly_causes(flies: SimulatedFlies) -> dict[str, np.ndarray]:
    """What the fly tasks ask for, NaN where a slot is empty."""
    present = flies.sex >= 0
    count = present.sum(axis=1, keepdims=True)
    causes = {
        "strain": flies.strain[:, None],
        "female_share": (flies.sex == 1).sum(axis=1, keepdims=True) / count,
        "light": flies.light,
        "chases": flies.chase.any(axis=1),
        "walking_share": (flies.actions == ACTIONS.index("walk")).sum(axis=1) / count,
    }
    for fly in range(3):  # these slots have tasks of their own
        slot = present[:, fly, None]
        causes[f"female_singletask_fly_{fly}"] = np.where(slot, flies.sex[:, fly, None], np.nan)
        causes[f"perframe_chase_singletask_fly_{fly}"] = np.where(slot, flies.chase[:, fly], np.nan)
    return causes
