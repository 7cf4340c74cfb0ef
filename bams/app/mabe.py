"""The jobs of the MABe 2022 scripts: what mice and flies share."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bams.app import cli
from bams.checkpoint import Checkpoint, check_features, kept
from bams.compute import distributed
from bams.compute.devices import pick_device
from bams.data.dataset import Dataset
from bams.data.feature_tables import Table, build_table, keep, read_table
from bams.data.keypoints import recording_tracks
from bams.data.split import choose_parts, without_absent
from bams.embed.pooled import embed_table, standardise
from bams.features.columns import Features
from bams.features.recording import FeatureSource, as_data, recording_features
from bams.mabe import files as mabe_files
from bams.mabe import report as mabe_report
from bams.mabe.report import MabeConfig
from bams.models.bams import BAMS
from bams.readout.baselines import InputAlone, principal_components, random_weights
from bams.storage import files
from bams.training.plan import plan_training

TABLES = ("training", "held_out")  # in a folder of the cache
EVERY = {"jobs": {"train": {}, "compute_representations": {}, "evaluate": {}}}
CLIPS = {"jobs": {job: {"simulate": True} for job in EVERY["jobs"]}}


@dataclass(frozen=True)
class Group:
    """One of the data sets of MABe 2022."""

    name: str  # checkpoints are named after it
    download: str  # its name in `download_mabe.sh`, which also names the animals
    train_file: str
    test_file: str
    evaluator_files: tuple[str, str, str]  # default names of the files of labels, splits and tasks
    frame_maps: Sequence[str]  # names under which a frame map may lie beside them
    individuals: int
    keypoints: int
    zero_missing: bool  # whether two zeros mean missing
    features: FeatureSource  # what the network sees and predicts of a clip
    sizes: Mapping[str, Any]  # encoders by name, and `hidden_layers` of the action predictor without its last size
    most_columns: int  # largest C of a submission
    simulate: Callable[[Path, int], None]  # writes simulated files into a folder, with this number of clips


@dataclass(frozen=True)
class GroupConfig(MabeConfig):
    """Settings of the MABe 2022 scripts alone."""

    simulate: bool = field(default=False, metadata=EVERY)
    """use simulated files in data_root/simulated, made on first use, instead of the downloaded ones"""
    simulated_clips: int = field(default=60, metadata=CLIPS)
    """clips in each of the two simulated files"""


def run(argv: Sequence[str], group: Group, defaults: Mapping[str, Any]) -> None:
    """Run one job of a script; `defaults` are the script's own."""
    description = f"BAMS on the {group.download} of MABe 2022."
    settings = cli.parse(argv, description, group.name, GroupConfig, defaults, tuple(JOBS))
    if settings.run.job == "evaluate":
        mabe_report.check_settings(settings.script, settings.run.ckpt_path)
    root = distributed.first_alone(lambda: data_folder(settings, group))
    if settings.run.job != "evaluate" or distributed.is_first():
        JOBS[settings.run.job](settings, group, root)


def data_folder(settings: cli.Settings, group: Group) -> Path:
    """The folder with the training and test files, simulated first if asked for; `evaluate` does without the files."""
    simulate = settings.script.simulate
    root = Path(settings.run.data_root) / ("simulated" if simulate else "")
    missing = [str(root / name) for name in (group.train_file, group.test_file) if not (root / name).exists()]
    if simulate and missing:
        files.check_writable(root)
        print(f"simulating 2 x {settings.script.simulated_clips} clips of {group.download} in {root}")
        group.simulate(root, settings.script.simulated_clips)
    elif simulate:
        print(f"using the simulated clips in {root}; delete that folder to simulate others", file=sys.stderr)
    elif missing and (settings.run.job != "evaluate" or settings.script.baselines):
        fetch = f"fetch them with ./download_mabe.sh {group.download} (or name their folder with --data_root)"
        raise FileNotFoundError(f"{' and '.join(missing)} not found: {fetch}, or add --simulate to use simulated files")
    return root


def load_clips(group: Group, path: Path) -> tuple[list[str], list[np.ndarray]]:
    """Clip ids, and per clip (A, T, K, 2) float32; NaN = not tracked."""
    kind = {"keypoints": group.keypoints, "individuals": group.individuals, "zero_missing": group.zero_missing}
    return mabe_files.load_sequences(path, **kind)


def run_train(settings: cli.Settings, group: Group, root: Path) -> None:
    """Train on the clips of the training file, some of them held out."""
    tables = training_tables(settings, group, root / group.train_file)
    sets = [Dataset.of_table(one, sequence_length=settings.run.sequence_length) for one in tables]
    train_set, val_set = sets if len(sets) == 2 else (sets[0], None)
    about = features_of(group), kept(settings.run, settings.script)
    plan = plan_training(group.name, train_set, val_set, group.sizes, settings.train, *about, settings.resume)
    cli.run_training(settings, plan)


def training_tables(settings: cli.Settings, group: Group, path: Path) -> list[Table]:
    """Features of the training clips and any held-out clips, kept in `cache_path`, or in `cache` beside the file."""
    run, train = settings.run, settings.train
    cache = Path(run.cache_path or path.parent / "cache")
    fitted = settings.resume.statistics if settings.resume is not None else None

    def build(folder: Path) -> None:
        print(f"making the features of {path}, to be kept in {cache}")
        statistics, clips = fitted, load_clips(group, path)[1]
        parts = choose_parts(clips, train.least_frames, run.val_share, train.seed)
        for name, chosen in zip(TABLES, parts, strict=True):
            if len(chosen):
                tracked = (without_absent(clips[i]) for i in tqdm(chosen, name))
                tracks, part = recording_tracks(tracked, group.features), files.make_folder(folder / name)
                made = build_table(tracks, bins=run.hoa_bins, statistics=statistics, folder=part)
                statistics = made.statistics
        files.write_json(folder / "tables.json", {name: (folder / name).exists() for name in TABLES})

    def read(folder: Path) -> list[Table]:
        there = files.read_json(folder / "tables.json")
        return [read_table(folder / name) for name in TABLES if there[name]]

    asked = run.hoa_bins, run.val_share, train.seed, train.skip_frames, train.hoa_window
    # features of made-up frames are part of the key, so that a change in how they are made is noticed
    probe = _probe(group)
    content = *map(np.asarray, probe[:3]), *(asdict(fitted).values() if fitted else ())
    key = files.content_key(f"bams-mabe-2 {asked} {probe[3:]}", *content, files.file_key(path))
    return keep(cache / f"{group.name}-{key}", build, read)


def run_compute_representations(settings: cli.Settings, group: Group, root: Path) -> None:
    """Embed the test clips and write X_submission.npy beside the checkpoint X.pt."""
    path = Path(settings.run.ckpt_path)
    target = path.with_name(f"{path.stem}_submission.npy")
    files.check_writable(target.parent)
    trained = load_trained(settings, group)
    ids, clips = load_clips(group, root / group.test_file)
    rows = clip_rows(group, root, ids, [clip.shape[1] for clip in clips])
    spans = [rows[name] for name in ids]
    one_by_one = (clips.pop(0) for _ in ids)  # the memory of an embedded clip is free
    with distributed.common_folder(target.parent) as folder:
        shape = max(end for _, end in spans), 2 * sum(trained.model.sizes.values())
        table = distributed.common_array(folder / "embeddings.npy", shape)
        device = pick_device(distributed.own_device(settings.train.device))
        embed_table(trained.model, one_by_one, spans, trained.inputs, device, table)
        distributed.wait()
        if distributed.is_first():
            mabe_files.write_submission(target, rows, standardise(table), rows, group.most_columns)
    print(f"submission: {target} ({shape[0]} frames x {shape[1]})")


def clip_rows(group: Group, root: Path, ids: Sequence[str], lengths: Sequence[int]) -> mabe_files.FrameMap:
    """The rows of each clip in a submission: from the folder's frame map, else in file order."""
    for found in (root / name for name in group.frame_maps if (root / name).exists()):
        rows = mabe_files.read_frame_map(found)
        mabe_files.check_frame_map(rows, ids, lengths, str(found))
        print(f"rows are placed as {found} says")
        return rows
    return mabe_files.frame_map(ids, lengths)


def run_evaluate(settings: cli.Settings, group: Group, root: Path) -> None:
    """Score a submission as the evaluator of MABe 2022 does."""
    defaults = dict(zip(("labels", "splits", "tasks"), map(root.joinpath, group.evaluator_files), strict=True))
    others = baselines(settings, group, root) if settings.script.baselines else {}
    mabe_report.run_evaluate(settings.script, defaults, group.most_columns, others)


def baselines(settings: cli.Settings, group: Group, root: Path) -> dict[str, Callable[..., np.ndarray]]:
    """Baselines of the test clips, by name: each makes a table of embeddings for a frame map."""
    ids, clips = load_clips(group, root / group.test_file)
    trained, device = load_trained(settings, group), pick_device(settings.train.device)

    def embed(model: BAMS | InputAlone, rows: mabe_files.FrameMap) -> np.ndarray:
        mabe_files.check_frame_map(rows, ids, [clip.shape[1] for clip in clips], "the labels' frame map")
        return embed_table(model, clips, [rows[name] for name in ids], trained.inputs, device)

    alone, untrained = InputAlone(trained.model), random_weights(trained.model)
    return {
        "input": lambda rows: standardise(embed(alone, rows)),
        "PCA of the input": lambda rows: principal_components(embed(alone, rows), group.most_columns),
        "random weights": lambda rows: standardise(embed(untrained, rows)),
    }


def load_trained(settings: cli.Settings, group: Group) -> Checkpoint:
    """The checkpoint `--ckpt_path`, of this group and its features."""
    trained, features = cli.load_trained(settings, group.name), features_of(group)
    check_features(trained.features, features, settings.run.ckpt_path)
    return replace(trained, features=features)  # checkpoints from before version 0.2 lack the source


def features_of(group: Group) -> dict[str, Any]:
    """Names of inputs and actions, and how they are made, for the checkpoint."""
    made = _probe(group)
    return {"inputs": [*made.input_names], "actions": [*made.action_names], "source": as_data(group.features)}


def _probe(group: Group) -> Features:
    """Features of eight made-up frames."""
    shape = group.individuals, 8, group.keypoints, 2
    clip = np.random.default_rng(0).uniform(1, 9, shape).astype(np.float32)
    return recording_features(clip, group.features)


JOBS = {"train": run_train, "compute_representations": run_compute_representations, "evaluate": run_evaluate}
