"""Time and memory of scoring a submission as large as the real mouse triplets' (3736 clips of 1800 frames).

    python -m benchmarks.mabe_scores
    python -m benchmarks.mabe_scores --clips 543 --frames 4500 --columns 256 --tasks 100    the flies' size

Simulated embeddings and labels are written to a temporary folder. A second process reads and scores them, so that the
peak memory is that of scoring alone.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bams.mabe import files as mabe_files
from bams.mabe.files import Task
from bams.mabe.protocol import read_labels, read_protocol, read_submission
from bams.mabe.report import format_scores, write_scores
from bams.mabe.scores import score
from bams.mabe.simulated import clip_ids
from bams.storage import files


def make_files(root: Path, clips: int, frames: int, columns: int, tasks: int) -> None:
    """Write embeddings, and labels of frames (some with gaps) and of clips that follow from them."""
    rng = np.random.default_rng(0)
    names = clip_ids(clips, 0)
    rows = mabe_files.frame_map(names, [frames] * clips)
    directions = rng.normal(size=(columns, tasks)).astype(np.float32) / np.sqrt(columns)
    limits = rng.uniform(-0.5, 2.3, tasks)  # positive from 69 % to 1 % of the time
    embeddings = np.empty((clips * frames, columns), np.float32)
    values = np.empty((tasks, clips * frames), np.float32)
    for start, end in rows.values():
        embeddings[start:end] = rng.standard_normal((frames, columns), np.float32)
        embeddings[start:end] += rng.standard_normal((1, columns), np.float32)
        hidden = (embeddings[start:end] @ directions).T + rng.standard_normal((tasks, frames), np.float32)
        values[:, start:end] = hidden / np.sqrt(3) > limits[:, None]
        values[0, start:end] = hidden[0]
        for k in range(1, tasks, 4):
            values[k, start:end] = hidden[k].mean() > 0
        for k in range(3, tasks, 4):
            values[k, start : start + int(rng.integers(frames))] = np.nan
    kinds = {f"task{k}": Task(row, k > 0) for k, row in enumerate(values)}
    mabe_files.write_labels(root / "labels.npy", rows, kinds)
    cuts = clips * 5 // 7, clips * 6 // 7  # the proportions of the real split
    parts = {"SubmissionTrain": names[: cuts[0]], "publicTest": names[cuts[0] : cuts[1]]}
    files.write_json(root / "split.json", {**parts, "privateTest": names[cuts[1] :]})
    whole = [f"task{k}" for k in range(1, tasks, 4)]
    files.write_json(root / "tasks.json", {"task_id_list": list(kinds), "sequence_level_tasks": whole})
    mabe_files.write_submission(root / "submission.npy", rows, embeddings, rows, columns)


def score_files(root: Path, columns: int) -> None:
    """Score what `make_files` wrote, stage by stage."""
    begun = time.perf_counter()

    def say(stage: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{stage:16s} {time.perf_counter() - begun:7.1f} s  peak {peak:5.2f} GiB", flush=True)

    say("imported")
    labels = read_labels(root / "labels.npy")
    protocol = read_protocol(root / "split.json", root / "tasks.json", labels)
    say("labels read")
    embeddings = read_submission(root / "submission.npy", labels.rows, columns)
    say("submission read")
    scores = score(embeddings, labels, protocol)
    say("scored")
    write_scores(root / "submission_scores.csv", scores)
    print(format_scores(scores[:5]))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, size in {"clips": 3736, "frames": 1800, "columns": 128, "tasks": 13}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--only", choices=["make", "score"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only == "make":
        begun = time.perf_counter()
        make_files(args.folder, args.clips, args.frames, args.columns, args.tasks)
        print(f"{args.clips * args.frames:,} frames x {args.columns}, {args.tasks} tasks, made in ", end="")
        print(f"{time.perf_counter() - begun:.0f} s", flush=True)
    elif args.only == "score":
        score_files(args.folder, args.columns)
    else:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.mabe_scores", *sys.argv[1:], "--folder", folder]
            for step in ("make", "score"):
                subprocess.run([*command, "--only", step], check=True)


if __name__ == "__main__":
    main()
