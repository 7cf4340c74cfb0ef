"""Simulated files in the form of the MABe 2022 fly groups (those of the mice are in `bams.mabe`)."""

from pathlib import Path

import numpy as np

from bams import files, mabe
from bams.simulate_flies import ACTIONS, SimulatedFlies, simulate_flies

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
    names = mabe.clip_ids(clips, seed=3)
    order = np.argsort(names)
    rows = mabe.frame_map([names[i] for i in order], [frames] * clips)
    tasks = _tasks(test, order)
    mabe.write_labels(root / "fly_groups_test_labels.npy", rows, tasks)
    train_names = mabe.clip_ids(clips, seed=2)
    by_clip = [name for name in tasks if name in ("strain", "female_share") or name.startswith("female_single")]
    mabe.write_protocol(root / "flies_split.json", root / "fly_tasks.json", train_names, names, list(tasks), by_clip)
    files.write_pickled_dict(root / "flies_frame_number_map.npy", rows)
    causes = {name: getattr(test, name) for name in ("actions", "modes", "sex", "strain", "light")}
    files.write_arrays(root / "fly_group_test_causes.npz", **causes)
    found = dict(zip(names, test.keypoints, strict=True))
    mabe.write_sequences(root / "fly_group_test.npy", found, zero_missing=False)
    del test, found  # before as much again is made

    train = simulate_flies(clips, frames=frames, seed=0)
    strain = np.repeat(train.strain[:, None], frames, axis=1)
    public = np.stack([strain, train.chase.any(axis=1)], axis=1).astype(np.float32)
    mabe.write_sequences(
        root / "fly_group_train.npy",
        dict(zip(train_names, train.keypoints, strict=True)),
        dict(zip(train_names, public, strict=True)),
        ("strain", "chase"),
        zero_missing=False,
    )


def _tasks(flies: SimulatedFlies, order: np.ndarray) -> dict[str, mabe.Task]:
    """The causes as labels over all frames, clip after clip in this order; NaN where a slot is empty."""
    _, _, frames = flies.modes.shape
    present = flies.sex >= 0
    count = present.sum(axis=1)

    def by_clip(values: np.ndarray, discrete: bool) -> mabe.Task:
        return mabe.Task(np.repeat(values[order].astype(np.float32), frames), discrete)

    def by_frame(values: np.ndarray, discrete: bool) -> mabe.Task:
        return mabe.Task(values[order].astype(np.float32).ravel(), discrete)

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
