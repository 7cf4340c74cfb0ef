"""The jobs of the MABe 2022 scripts: what mice and flies share."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bams import cli, files, mabe, mabe_report
from bams.baselines import InputAlone, principal_components, random_weights
from bams.checkpoint import Checkpoint
from bams.config import MabeConfig
from bams.data import Dataset
from bams.devices import pick_device
from bams.features import Features
from bams.models import BAMS
from bams.represent import embed_table, standardise
from bams.statistics import Statistics


@dataclass(frozen=True)
class Group:
    """One of the data sets of MABe 2022.

    Attributes:
        name: of the data set; checkpoints are named after it.
        download: what `download_mabe.sh` calls it, which is also what the animals are called.
        train_file, test_file: names of the sequences files.
        evaluator_files: names of the files of labels, splits and tasks, which `evaluate` takes unless told others.
        frame_maps: names under which a frame map may lie beside them.
        individuals: A of the files.
        keypoints: K of the files.
        zero_missing: whether two zeros mean missing (see `mabe.load_sequences`).
        features: of the animals of a clip (A, T, K, 2), NaN = not tracked -> `Features`, a track each.
        sizes: encoders by name, and `hidden_layers` of the action predictor without its last size.
        most_columns: C at most of a submission.
        simulate: (folder, clips) -> None, writes simulated files.
    """

    name: str
    download: str
    train_file: str
    test_file: str
    evaluator_files: tuple[str, str, str]
    frame_maps: Sequence[str]
    individuals: int
    keypoints: int
    zero_missing: bool
    features: Callable[[np.ndarray], Features]
    sizes: Mapping[str, Any]
    most_columns: int
    simulate: Callable[[Path, int], None]


@dataclass(frozen=True)
class GroupConfig(MabeConfig):
    """Settings of the MABe 2022 scripts alone."""

    simulate: bool = False
    """use simulated files in data_root/simulated, made on first use, instead of the downloaded ones"""
    simulated_clips: int = 60
    """clips in each of the two simulated files"""


def run(argv: Sequence[str], group: Group, defaults: Mapping[str, Any]) -> None:
    """Run one job of a script, whose own defaults are these."""
    description = f"BAMS on the {group.download} of MABe 2022."
    settings = cli.parse(argv, description, GroupConfig, defaults, tuple(JOBS))
    if settings.run.job == "evaluate":
        mabe_report.check_settings(settings.script, settings.run.ckpt_path)
    JOBS[settings.run.job](settings, group, data_folder(settings, group))


def data_folder(settings: cli.Settings, group: Group) -> Path:
    """The folder with both files (which a submission is scored without); simulated first if asked for.

    Raises:
        FileNotFoundError: they are not there.
    """
    root = Path(settings.run.data_root)
    names = group.train_file, group.test_file
    if settings.script.simulate:
        root = root / "simulated"
        if not all((root / name).exists() for name in names):
            print(f"simulating 2 x {settings.script.simulated_clips} clips of {group.download} in {root}")
            group.simulate(root, settings.script.simulated_clips)
        else:
            said = f"the simulated clips in {root} are used as they are; delete that folder to make others"
            print(said, file=sys.stderr)
    missing = [str(root / name) for name in names if not (root / name).exists()]
    if missing and (settings.run.job != "evaluate" or settings.script.baselines):
        raise FileNotFoundError(
            f"{' and '.join(missing)} not found: fetch them with ./download_mabe.sh {group.download} (or name "
            "their folder with --data_root), or add --simulate to use simulated files"
        )
    return root


def load_clips(group: Group, path: Path) -> tuple[list[str], list[np.ndarray]]:
    """Clip ids, and per clip (A, T, K, 2) float32; NaN = not tracked."""
    return mabe.load_sequences(
        path, keypoints=group.keypoints, individuals=group.individuals, zero_missing=group.zero_missing
    )


def make_dataset(
    clips: list[np.ndarray], group: Group, settings: cli.Settings, statistics: Statistics | None = None
) -> Dataset:
    """One track per individual, with the features of the group."""
    made = [group.features(clip) for clip in clips]
    return Dataset(
        [track for features in made for track in features.inputs],
        [track for features in made for track in features.actions],
        [track for features in made for track in features.valid],
        hoa_bins=settings.run.hoa_bins,
        sequence_length=settings.run.sequence_length,
        cache_path=settings.run.cache_path,
        cache=settings.run.cache_path is not None,
        statistics=statistics,
    )


def run_train(settings: cli.Settings, group: Group, root: Path) -> None:
    """Train on the clips of the training file, some of them held out."""
    _, clips = load_clips(group, root / group.train_file)
    names = feature_names(group, clips[0])
    train_set, val_set = cli.split_datasets(clips, settings, partial(make_dataset, group=group, settings=settings))
    del clips
    cli.run_training(settings, group.name, train_set, val_set, group.sizes, names)


def run_compute_representations(settings: cli.Settings, group: Group, root: Path) -> None:
    """Embed the test clips and write X_submission.npy beside the checkpoint X.pt."""
    path = Path(settings.run.ckpt_path)
    target = path.with_name(f"{path.stem}_submission.npy")
    files.check_writable(target.parent)
    ids, clips = load_clips(group, root / group.test_file)
    trained = load_trained(settings, group, clips)
    rows = clip_rows(group, root, ids, [clip.shape[1] for clip in clips])
    spans = [rows[name] for name in ids]
    embeddings = standardise(embed_clips(settings, group, trained.model, trained.statistics, spans, clips))
    mabe.write_submission(target, rows, embeddings, rows, group.most_columns)
    print(f"submission: {target} ({len(embeddings)} frames x {embeddings.shape[1]})")


def clip_rows(group: Group, root: Path, ids: Sequence[str], lengths: Sequence[int]) -> mabe.FrameMap:
    """Which rows of a submission belong to which clip: as the folder's frame map says, else in file order.

    Raises:
        ValueError: the frame map does not fit the clips.
    """
    for found in (root / name for name in group.frame_maps if (root / name).exists()):
        rows = mabe.read_frame_map(found)
        mabe.check_frame_map(rows, ids, lengths, str(found))
        print(f"rows are placed as {found} says")
        return rows
    return mabe.frame_map(ids, lengths)


def run_evaluate(settings: cli.Settings, group: Group, root: Path) -> None:
    """Score a submission as the evaluator of MABe 2022 does."""
    kinds = ("labels", "splits", "tasks")
    defaults = {kind: root / name for kind, name in zip(kinds, group.evaluator_files, strict=True)}
    others = baselines(settings, group, root) if settings.script.baselines else {}
    mabe_report.run_evaluate(settings.script, defaults, group.most_columns, others)


def baselines(
    settings: cli.Settings, group: Group, root: Path
) -> dict[str, Callable[[mabe.FrameMap], np.ndarray]]:
    """Embeddings of the test clips that a submission is to beat, by name, for a frame map."""
    ids, clips = load_clips(group, root / group.test_file)
    trained = load_trained(settings, group, clips)

    def embed(model: BAMS | InputAlone, rows: mabe.FrameMap) -> np.ndarray:
        mabe.check_frame_map(rows, ids, [clip.shape[1] for clip in clips], "the labels' frame map")
        return embed_clips(settings, group, model, trained.statistics, [rows[name] for name in ids], clips)

    def embed_input(rows: mabe.FrameMap) -> np.ndarray:
        return embed(InputAlone(trained.model), rows)

    return {
        "input": lambda rows: standardise(embed_input(rows)),
        "PCA of the input": lambda rows: principal_components(embed_input(rows), group.most_columns),
        "random weights": lambda rows: standardise(embed(random_weights(trained.model), rows)),
    }


def load_trained(settings: cli.Settings, group: Group, clips: list[np.ndarray]) -> Checkpoint:
    """The checkpoint to embed these clips with, if it is of the group and its features."""
    trained = cli.load_trained(settings, group.name)
    cli.check_features(trained, feature_names(group, clips[0]), settings.run.ckpt_path)
    return trained


def embed_clips(
    settings: cli.Settings,
    group: Group,
    model: BAMS | InputAlone,
    statistics: Statistics,
    spans: Sequence[tuple[int, int]],
    clips: list[np.ndarray],
) -> np.ndarray:
    """Pooled embeddings of all clips, (frames, 2*C) float32.

    Args:
        settings: from `cli.parse`.
        group: which animals.
        model: what to embed with, and the `statistics` of its training tracks.
        spans: (start, end) of the rows of each clip.
        clips: (A, T, K, 2) float32 each; NaN = not tracked.
    """
    make = partial(make_dataset, group=group, settings=settings, statistics=statistics)
    return embed_table(model, clips, spans, make, pick_device(settings.train.device))


def feature_names(group: Group, clip: np.ndarray) -> dict[str, list[str]]:
    """Names of the input and action features, as the checkpoint keeps them."""
    made = group.features(clip[:, :1])
    return {"inputs": list(made.input_names), "actions": list(made.action_names)}


JOBS = {
    "train": run_train,
    "compute_representations": run_compute_representations,
    "evaluate": run_evaluate,
}
