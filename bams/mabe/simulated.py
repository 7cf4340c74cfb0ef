"""Simulated files in the form of those of MABe 2022, mice and flies."""

import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bams.mabe import files as mabe_files
from bams.mabe.files import SEEDS, Task, frame_map, write_labels, write_sequences
from bams.simulate.flies import ACTIONS, SimulatedFlies, simulate_flies
from bams.simulate.mice import MODES, SimulatedMice, simulate_mice
from bams.storage import files


def clip_ids(count: int, seed: int) -> list[str]:
    """Random ids of the form of the real ones: 20 capital letters and digits."""
    letters = np.array(list(string.ascii_uppercase + string.digits))
    return ["".join(row) for row in np.random.default_rng(seed).choice(letters, (count, 20))]


def write_protocol(
    splits: str | Path,
    tasks: str | Path,
    train: Sequence[str],
    test: Sequence[str],
    names: Sequence[str],
    sequence_level: Sequence[str],
) -> None:
    """Write a split file and a task file in the form of the public ones.

    Args:
        splits, tasks: the `.json` files.
        train: clip ids of the training file.
        test: clip ids of the test file; half of them are to fit read-outs, the others to score them.
        names: ids of the tasks.
        sequence_level: those of them that hold for whole clips.
    """
    shuffled = np.random.default_rng(0).permutation(test).tolist()
    half, rest = len(test) // 2, (len(test) + len(test) // 2) // 2
    parts = {"SubmissionTrain": shuffled[:half], "publicTest": shuffled[half:rest], "privateTest": shuffled[rest:]}
    files.write_json(splits, {"UserTrain": list(train), **parts})
    files.write_json(tasks, {"seeds": SEEDS, "task_id_list": list(names), "sequence_level_tasks": list(sequence_level)})


def simulate_mouse_files(root: str | Path, clips: int, frames: int = 1800) -> None:
    """Write simulated files in the form of the MABe 2022 mouse triplets, and the causes behind them.

    Args:
        root: folder; gets mouse_triplet_train.npy (with two public tasks), mouse_triplet_test.npy,
            mouse_triplets_test_labels.npy, jax_split.json and jax_tasks.json, and
            mouse_triplet_test_causes.npz: per test clip, in file order, `actions` and `modes` (S, A, T) int8,
            `strain` and `lights` (S,) int8.
        clips: S in each of the two.
        frames: T.
    """
    root = Path(root)
    train, test = (simulate_mice(clips, frames=frames, seed=seed) for seed in (0, 1))
    names = clip_ids(clips, seed=0), clip_ids(clips, seed=1)
    public = np.stack([np.repeat(train.lights[:, None], frames, axis=1), train.chase], axis=1).astype(np.float32)
    tasks = _simulated_tasks(test)
    write_labels(root / "mouse_triplets_test_labels.npy", frame_map(names[1], [frames] * clips), tasks)
    write_protocol(root / "jax_split.json", root / "jax_tasks.json", *names, list(tasks), ["strain", "lights"])
    causes = {name: getattr(test, name) for name in ("actions", "modes", "strain", "lights")}
    files.write_arrays(root / "mouse_triplet_test_causes.npz", **causes)
    write_sequences(root / "mouse_triplet_test.npy", dict(zip(names[1], test.keypoints, strict=True)))
    write_sequences(
        root / "mouse_triplet_train.npy",
        dict(zip(names[0], train.keypoints, strict=True)),
        dict(zip(names[0], public, strict=True)),
        ("lights", "chases"),
    )


def _simulated_tasks(mice: SimulatedMice) -> dict[str, Task]:
    """The causes as group labels over all frames, clip after clip."""
    _, _, frames = mice.modes.shape
    social = (mice.modes == MODES.index("social")).mean(axis=1)
    return {
        "strain": Task(np.repeat(mice.strain, frames), True),
        "approaches": Task(mice.approach.ravel(), True),
        "chases": Task(mice.chase.ravel(), True),
        "close": Task(mice.close.ravel(), True),
        "contact": Task(mice.contact.ravel(), True),
        "lights": Task(np.repeat(mice.lights, frames), True),
        "social_share": Task(social.ravel(), False),
    }


WALK = ACTIONS.index("walk")
SINGLE_FLIES = 3  # so many slots have tasks of their own


def simulate_fly_files(root: str | Path, clips: int, frames: int = 4500) -> None:
    """Write simulated files in the form of the MABe 2022 fly groups, and the causes behind them.

    Args:
        root: folder; gets fly_group_train.npy (with two public tasks), fly_group_test.npy,
            fly_groups_test_labels.npy, flies_split.json, fly_tasks.json, flies_frame_number_map.npy (with the
            test clips in another order than in their file, as in the real ones), and
            fly_group_test_causes.npz: per test clip, in file order, `actions` and `modes` (S, A, T) int8, `sex`
            (S, A) int8, `strain` (S,) int8, `light` (S, T) int8.
        clips: S in each of the two.
        frames: T.
    """
    root = Path(root)
    test = simulate_flies(clips, frames=frames, seed=1)
    names = clip_ids(clips, seed=3)
    order = np.argsort(names)
    rows = mabe_files.frame_map([names[i] for i in order], [frames] * clips)
    tasks = _tasks(test, order)
    mabe_files.write_labels(root / "fly_groups_test_labels.npy", rows, tasks)
    train_names = clip_ids(clips, seed=2)
    by_clip = [name for name in tasks if name in ("strain", "female_share") or name.startswith("female_single")]
    write_protocol(root / "flies_split.json", root / "fly_tasks.json", train_names, names, list(tasks), by_clip)
    files.write_pickled_dict(root / "flies_frame_number_map.npy", rows)
    causes = {name: getattr(test, name) for name in ("actions", "modes", "sex", "strain", "light")}
    files.write_arrays(root / "fly_group_test_causes.npz", **causes)
    found = dict(zip(names, test.keypoints, strict=True))
    mabe_files.write_sequences(root / "fly_group_test.npy", found, zero_missing=False)
    del test, found  # before as much again is made

    train = simulate_flies(clips, frames=frames, seed=0)
    strain = np.repeat(train.strain[:, None], frames, axis=1)
    public = np.stack([strain, train.chase.any(axis=1)], axis=1).astype(np.float32)
    mabe_files.write_sequences(
        root / "fly_group_train.npy",
        dict(zip(train_names, train.keypoints, strict=True)),
        dict(zip(train_names, public, strict=True)),
        ("strain", "chase"),
        zero_missing=False,
    )


def _tasks(flies: SimulatedFlies, order: np.ndarray) -> dict[str, mabe_files.Task]:
    """The causes as labels over all frames, clip after clip in this order; NaN where a slot is empty."""
    _, _, frames = flies.modes.shape
    present = flies.sex >= 0
    count = present.sum(axis=1)

    def by_clip(values: np.ndarray, discrete: bool) -> mabe_files.Task:
        return mabe_files.Task(np.repeat(values[order].astype(np.float32), frames), discrete)

    def by_frame(values: np.ndarray, discrete: bool) -> mabe_files.Task:
        return mabe_files.Task(values[order].astype(np.float32).ravel(), discrete)

    tasks = {
        "strain": by_clip(flies.strain, True),
        "female_share": by_clip((flies.sex == 1).sum(axis=1) / count, False),
        "light": by_frame(flies.light, True),
        "chases": by_frame(flies.chase.any(axis=1), True),
        "walking_share": by_frame((flies.actions == WALK).sum(axis=1) / count[:, None], False),
    }
    for fly in range(SINGLE_FLIES):
        there = present[:, fly]
        sex = np.where(there, flies.sex[:, fly], np.nan)
        chase = np.where(there[:, None], flies.chase[:, fly], np.nan)
        tasks[f"female_singletask_fly_{fly}"] = by_clip(sex, True)
        tasks[f"perframe_chase_singletask_fly_{fly}"] = by_frame(chase, True)
    return tasks
