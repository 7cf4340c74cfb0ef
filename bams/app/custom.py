"""The jobs of the two scripts for recordings of one's own, with labels and without."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from bams import checkpoint, embedder
from bams.app import cli, overview
from bams.app.run_files import unused
from bams.checkpoint import CUSTOM, Checkpoint, part_of, trained_features
from bams.compute import distributed
from bams.compute.devices import pick_device
from bams.data.dataset import Dataset
from bams.data.keypoints import KeypointsDataset
from bams.embed.export import check_kind, file_names, write_embeddings
from bams.embed.tracks import embed
from bams.quality.report import data_report, plot_report
from bams.recordings.cleaning import CleaningConfig, clean
from bams.recordings.recording import Recording, track_names
from bams.recordings.segments import cut_segments, read_segments
from bams.storage import files
from bams.training.loop import Evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULTS = embedder.DEFAULTS
JOBS = ("train", "compute_representations", "report", "all")
LoadData = Callable[[str, float | None, int | None], list[Recording]]  # of a path, frames per second, individuals


def read_recordings(settings: cli.Settings, load_data: LoadData) -> list[Recording]:
    """The recordings that the settings name, or the parts of them that `segments` names.

    Raises:
        FileNotFoundError, ImportError, ValueError: there are none, or they cannot be read.
    """
    run, config = settings.run, settings.script
    if not run.data_root:
        raise ValueError(
            "--data_root is needed: a file of a tracker, a folder or a pattern such as 'tracks/*.csv', or an "
            ".npy or .npz with the array keypoints (see README.md)"
        )
    recordings = load_data(run.data_root, config.fps or None, config.individuals or None)
    return cut_segments(recordings, read_segments(config.segments)) if config.segments else recordings


def run(settings: cli.Settings, recordings: Sequence[Recording]) -> None:
    """The jobs of recordings without labels."""
    job = settings.run.job
    kind = _kind(settings, recordings)
    if job in ("compute_representations", "all") and kind != "arrays":
        check_kind(kind)
    series = recordings[0].keypoints.ndim == 3
    if (job == "report" or (job == "all" and not series)) and distributed.is_first():
        report(settings, recordings)
    if job in ("train", "all"):
        path = train_model(*split_datasets(*prepare(settings, recordings)))
        settings = settings._replace(run=replace(settings.run, ckpt_path=str(path), resume=None))
    if job in ("compute_representations", "all"):
        write_representations(settings, recordings)
    if job == "all" and distributed.is_first():
        draw(settings, recordings)


def report(settings: cli.Settings, recordings: Sequence[Recording]) -> None:
    """The job `report`: what the recordings, cleaned, are like, as text and as a figure."""
    if recordings[0].keypoints.ndim == 3:
        raise ValueError("there is no report on series (tracks, frames, features), which have no keypoints")
    target = unused(files.check_writable(settings.run.output_dir) / "report.png")
    found = data_report(clean(recordings, part_of(vars(settings.script), CleaningConfig)), _least_frames(settings))
    print(found)
    _write_figure(plot_report(found), target)


def prepare(settings: cli.Settings, recordings: Sequence[Recording]) -> tuple[cli.Settings, list[Recording]]:
    """Recordings ready to train on, which stderr says doubts about, and the settings with windows in frames."""
    recordings = embedder.prepare(recordings, part_of(vars(settings.script), CleaningConfig))
    if settings.script.hoa_window_s:
        window = embedder.hoa_window(settings.script.hoa_window_s, recordings)
        settings = settings._replace(train=replace(settings.train, hoa_window=window))
    if recordings[0].keypoints.ndim == 4 and settings.run.job != "all":  # which has reported them already
        for doubt in data_report(recordings, _least_frames(settings)).warnings:
            print(f"warning: {doubt}", file=sys.stderr)
    features = embedder.feature_config(settings.script, recordings)
    return settings._replace(script=replace(settings.script, **asdict(features))), recordings


def _least_frames(settings: cli.Settings) -> int:
    return settings.train.skip_frames + settings.train.hoa_window + 1


def make_dataset(recordings: Sequence[Recording], settings: cli.Settings, **options) -> KeypointsDataset:
    """The tracks of recordings, with the features that the settings ask for."""
    run = settings.run
    return embedder.make_dataset(
        recordings,
        embedder.feature_config(settings.script, recordings),
        hoa_bins=run.hoa_bins,
        sequence_length=run.sequence_length,
        cache_path=run.cache_path,
        cache=run.cache_path is not None,
        **options,
    )


def split_datasets(
    settings: cli.Settings, recordings: Sequence[Recording]
) -> tuple[cli.Settings, KeypointsDataset, KeypointsDataset | None, list[Recording]]:
    """The settings, training windows, those held out to watch the skill on, and the recordings of the former."""
    joint = settings.script.tracks == "joint"
    share, seed = settings.run.val_share, settings.train.seed
    training, held_out = embedder.split(recordings, _least_frames(settings), share, seed, joint)
    make = partial(make_dataset, settings=settings)
    statistics = settings.resume.statistics if settings.resume is not None else None
    train_set = make(training, statistics=statistics)
    val_set = make(held_out, statistics=train_set.statistics) if held_out else None
    return settings, train_set, val_set, training


def train_model(
    settings: cli.Settings,
    train_set: KeypointsDataset,
    val_set: Dataset | None,
    recordings: Sequence[Recording],
    evaluate: Evaluate | None = None,
) -> Path:
    """The job `train` on the windows of these recordings; gives the checkpoint's path."""
    sizes = embedder.sizes(pooled=max(train_set.individuals) > 1)
    names, fps = train_set.feature_names, recordings[0].fps
    path = cli.run_training(settings, CUSTOM, train_set, val_set, sizes, names, evaluate, fps)
    if distributed.is_first():
        device = pick_device(settings.train.device)
        checkpoint.save(path, embedder.with_reference(checkpoint.load(path), recordings, device))
    return path


def write_representations(settings: cli.Settings, recordings: Sequence[Recording]) -> None:
    """The job `compute_representations`: embed each recording whole, into files beside the checkpoint."""
    path = Path(settings.run.ckpt_path)
    trained = cli.load_trained(settings, CUSTOM)
    recordings = embedder.prepare_like(recordings, trained)
    target, kind = path.with_name(f"{path.stem}_representations"), _kind(settings, recordings)
    files.check_writable(target.parent if kind == "arrays" else target)
    device = pick_device(distributed.own_device(settings.train.device))
    if distributed.is_first():
        embedder.say_drift(trained, recordings, device)
    if kind == "arrays":
        _write_arrays(target.with_suffix(".npz"), trained, recordings, device)
    else:
        _write_tables(target, kind, trained, recordings, device)


def _kind(settings: cli.Settings, recordings: Sequence[Recording]) -> str:
    """Of the files to write embeddings in."""
    if settings.script.format != "auto":
        return settings.script.format
    paths = [recording.path for recording in recordings]
    arrays = all(path is None or path.suffix.lower() in (".npy", ".npz") for path in paths)
    return "arrays" if arrays else "csv"


def _write_arrays(target: Path, trained: Checkpoint, recordings: Sequence[Recording], device: torch.device) -> None:
    """All in one `.npz`; until it is whole the embeddings lie in files, not in memory."""
    joint = trained_features(trained).tracks == "joint"
    tracks = [1 if joint else len(recording.individuals) for recording in recordings]
    starts, sizes, pooled = np.cumsum([0, *tracks]), trained.model.sizes, max(tracks) > 1
    frames = max(recording.keypoints.shape[1] for recording in recordings)
    shapes = {name: (sum(tracks), frames, size) for name, size in sizes.items()}
    if pooled:
        shapes |= {f"group_{name}": (len(tracks), frames, 2 * size) for name, size in sizes.items()}
    with distributed.common_folder(target.parent) as folder:
        arrays = {
            name: distributed.common_array(folder / f"{name}.npy", shape, np.nan) for name, shape in shapes.items()
        }
        numbers = distributed.share(range(len(recordings)))
        embedded = embed(trained, [recordings[number] for number in numbers], device, pooled)
        for number, found in zip(tqdm(numbers, "recordings"), embedded, strict=True):
            for i, one in enumerate(found):
                before, row = ("", starts[number] + i) if i < tracks[number] else ("group_", number)
                for name, emb in one.embs.items():
                    arrays[f"{before}{name}"][row, : len(emb)] = emb
        names = [recording.name for recording in recordings]
        arrays["track_names"] = np.array(names if joint else track_names(recordings))
        arrays |= {"recording_names": np.array(names)} if pooled else {}
        distributed.wait()
        if distributed.is_first():
            files.write_arrays(target, **arrays)
        print(f"representations: {target}")
        for name, array in arrays.items():
            print(f"  {name} {array.shape} {array.dtype}")


def _write_tables(
    folder: Path, kind: str, trained: Checkpoint, recordings: Sequence[Recording], device: torch.device
) -> None:
    """A file for each recording, in which its parts follow one another."""
    parts: dict[str, list[Recording]] = {}
    for recording in recordings:
        parts.setdefault(recording.name, []).append(recording)
    names = file_names(parts)
    pooled = trained_features(trained).tracks != "joint" and max(len(r.individuals) for r in recordings) > 1
    for name in tqdm(distributed.share(list(parts)), "recordings"):
        embedded = embed(trained, parts[name], device, pooled)
        write_embeddings(folder, [one for found in embedded for one in found], kind, names)
    distributed.wait()
    print(f"representations: {folder}, {len(parts)} recordings as {kind}")


def draw(settings: cli.Settings, recordings: Sequence[Recording]) -> None:
    """Figures of the embedding, beside the checkpoint."""
    path = Path(settings.run.ckpt_path)
    trained = cli.load_trained(settings, CUSTOM)
    recordings = embedder.prepare_like(recordings, trained)[: overview.MOST_RECORDINGS]
    embedded = list(embed(trained, recordings, pick_device(settings.train.device)))
    for name, figure in overview.draw_overview(recordings, embedded).items():
        _write_figure(figure, path.with_name(f"{path.stem}_{name}.png"))


def _write_figure(figure: "Figure", target: Path) -> None:
    with files.atomic_write(target) as file:
        figure.savefig(file, dpi=120, format="png")
    print(f"figure: {target}")
