"""The jobs of your own recordings."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from bams import checkpoint
from bams.app import cli, overview
from bams.app.config import CustomConfig, LabelConfig
from bams.app.flags import jobs_of
from bams.app.labelled import Annotations, LabelEvaluation, labelled
from bams.checkpoint import CUSTOM, Checkpoint, kept, part_of
from bams.compute import distributed
from bams.compute.devices import pick_device
from bams.embed.export import check_kind, file_names, write_embeddings
from bams.embed.tracks import embed
from bams.embedder.defaults import DEFAULTS
from bams.embedder.drift import say_drift, with_reference
from bams.embedder.estimator import BAMSEmbedder, prepare_like
from bams.features.config import FeatureConfig
from bams.features.gaps import tracked_presence
from bams.quality.reading import say_reading_warnings
from bams.quality.report import data_report, plot_report
from bams.recordings.about import read_about, with_about
from bams.recordings.cleaning import CleaningConfig, clean
from bams.recordings.recording import Recording, track_names
from bams.recordings.segments import cut_segments, read_segments
from bams.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JOBS = ("train", "compute_representations", "report", "all")
LoadData = Callable[..., list[Recording]]  # of a path and, by name, those arguments of `load_poses` that are given


def main(argv: Sequence[str], load_data: LoadData, load_labels: Callable[[str], Annotations] | None = None) -> None:
    """Run one job, or all; labels, if loaded, are read out of the embedding during and after training."""
    config, jobs = (LabelConfig, JOBS[:3]) if load_labels else (CustomConfig, JOBS)
    settings = cli.parse(argv, "BAMS on your own recordings.", CUSTOM, config, DEFAULTS, jobs)
    of_labels = load_labels if settings.run.job == "train" else None
    recordings, eval_utils = read_recordings(settings, load_data, of_labels)
    job, path, kind = settings.run.job, Path(settings.run.ckpt_path or ""), _kind(settings, recordings)
    if job in ("compute_representations", "all") and kind != "arrays":
        check_kind(kind)
    series = recordings[0].keypoints.ndim == 3
    if (job == "report" or (job == "all" and not series)) and distributed.is_first():
        report(settings, recordings)
    if job in ("train", "all"):
        embedder = as_embedder(settings)
        cleaned = embedder.prepare(recordings)
        if job != "all" and not series:  # `all` has reported them already
            least = embedder.train_config(cleaned).least_frames
            for doubt in data_report(cleaned, least, recordings).warnings:
                print(f"warning: {doubt}", file=sys.stderr)
        plan, training = embedder.plan(cleaned, settings.resume, kept(settings.run, settings.script))
        evaluation = LabelEvaluation(settings, cleaned, plan, eval_utils) if eval_utils is not None else None
        path = cli.run_training(settings, plan, evaluation, cleaned[0].fps)
        if distributed.is_first():
            trained, device = checkpoint.load(path), pick_device(settings.train.device)
            checkpoint.save(path, with_reference(trained, training, device))
            if evaluation:
                evaluation.write_scores(path)
    if job in ("compute_representations", "all"):
        write_representations(settings, path, recordings)
    if job == "all" and distributed.is_first():
        draw(settings, path, recordings)


def read_recordings(
    settings: cli.Settings, load_data: LoadData, load_labels: Callable[[str], Annotations] | None = None
) -> tuple[list[Recording], dict[str, Any] | None]:
    """The recordings that the settings name, or the parts of them that `segments` names; and what their labels are."""
    root, config, eval_utils = settings.run.data_root, settings.script, None
    if not root:
        given = "a tracker's file, a folder, a pattern such as 'tracks/*.csv', or an .npy or .npz with array keypoints"
        raise ValueError(f"--data_root is needed: {given} (see docs/tutorials/own_recordings.md)")
    options = {"fps": config.fps or None, "individuals": config.individuals or None, "view": config.view}
    options |= {"missing_value": config.missing_value, "third": config.third if config.third != "height" else None}
    recordings = load_data(root, **{name: value for name, value in options.items() if value is not None})
    if config.about:
        recordings = with_about(recordings, read_about(config.about))
        if not load_labels and not any(one.group for one in recordings):
            raise ValueError(f"{config.about} has no column group, and this script reads no labels out: leave it out")
    if load_labels:
        recordings, eval_utils = labelled(recordings, root, config.labels, load_labels)
    return cut_segments(recordings, read_segments(config.segments)) if config.segments else recordings, eval_utils


def report(settings: cli.Settings, recordings: Sequence[Recording]) -> None:
    """The job `report`: what the recordings, cleaned, are like, as text and as `report.png` in `output_dir`."""
    if recordings[0].keypoints.ndim == 3:
        raise ValueError("there is no report on series (tracks, frames, features), which have no keypoints")
    target = files.check_writable(settings.run.output_dir) / "report.png"
    cleaned = clean(recordings, part_of(vars(settings.script), CleaningConfig))
    found = data_report(cleaned, as_embedder(settings).train_config(cleaned).least_frames, recordings)
    print(found)
    _write_figure(plot_report(found), target)


def as_embedder(settings: cli.Settings) -> BAMSEmbedder:
    """The embedder that the settings describe."""
    shared = ("sequence_length", "val_share", "hoa_bins", "cache_path")
    return BAMSEmbedder(
        features=part_of(vars(settings.script), FeatureConfig),
        cleaning=part_of(vars(settings.script), CleaningConfig),
        hoa_window_s=settings.script.hoa_window_s or None,
        settings=vars(settings.train),
        device=settings.train.device,
        **{name: getattr(settings.run, name) for name in shared},
    )


def new_cleaning(settings: cli.Settings, trained: Checkpoint) -> dict[str, Any]:
    """The settings of cleaning that flags give for new recordings, by name; stderr says what files give in vain."""
    of_new = [one.name for one in fields(CleaningConfig) if "compute_representations" in jobs_of(one)]
    cleaning = part_of(trained.settings, CleaningConfig)
    for name in of_new:
        here, there = getattr(settings.script, name), getattr(cleaning, name)
        if name in settings.in_files - settings.flags and here != there:
            said = f"the model was trained with {name} {there!r}, not {here!r} as the file of --config says"
            print(f"{said}; give --{name} to change it for new recordings", file=sys.stderr)
    return {name: getattr(settings.script, name) for name in of_new if name in settings.flags}


def write_representations(settings: cli.Settings, path: Path, recordings: Sequence[Recording]) -> None:
    """The job `compute_representations`: embed each recording whole, into files beside the checkpoint."""
    trained = BAMSEmbedder.load(path).checkpoint_
    if settings.run.job != "all":  # `all` has reported them already
        say_reading_warnings(recordings)
    recordings = prepare_like(recordings, trained, new_cleaning(settings, trained))
    target, kind = path.with_name(f"{path.stem}_representations"), _kind(settings, recordings)
    files.check_writable(target.parent if kind == "arrays" else target)
    device = pick_device(distributed.own_device(settings.train.device))
    if distributed.is_first():
        say_drift(trained, recordings, device)
    if kind == "arrays":
        _write_arrays(target.with_suffix(".npz"), trained, recordings, device)
    else:
        _write_tables(target, kind, trained, recordings, device)


def _kind(settings: cli.Settings, recordings: Sequence[Recording]) -> str:
    """The kind of file that embeddings are written in."""
    if settings.script.format != "auto":
        return settings.script.format
    suffixes = {recording.path.suffix.lower() for recording in recordings if recording.path}
    return "arrays" if suffixes <= {".npy", ".npz"} else "csv"


def _write_arrays(target: Path, trained: Checkpoint, recordings: Sequence[Recording], device: torch.device) -> None:
    """All embeddings in one `.npz`; until it is whole they lie in files, not in memory."""
    tracks = [len(recording.individuals) for recording in recordings]
    starts, sizes, pooled = np.cumsum([0, *tracks]), trained.model.sizes, max(tracks) > 1
    frames = max(recording.keypoints.shape[1] for recording in recordings)
    shapes = {name: (sum(tracks), frames, size) for name, size in sizes.items()} | {"tracked": (sum(tracks), frames)}
    if pooled:
        shapes |= {f"group_{name}": (len(tracks), frames, 2 * size) for name, size in sizes.items()}
        shapes["group_tracked"] = len(tracks), frames
    with distributed.common_folder(target.parent) as folder:
        arrays = {name: distributed.common_array(folder / f"{name}.npy", shapes[name], np.nan) for name in shapes}
        numbers = distributed.share(range(len(recordings)))
        embedded = embed(trained, [recordings[number] for number in numbers], device, pooled)
        for number, found in zip(tqdm(numbers, "recordings"), embedded, strict=True):
            for i, one in enumerate(found):
                before, row = ("", starts[number] + i) if i < tracks[number] else ("group_", number)
                for name, values in {**one.embs, "tracked": one.tracked}.items():
                    arrays[f"{before}{name}"][row, : len(values)] = values
        arrays["track_names"] = np.array(track_names(recordings))
        for name in ("first_frame", "frame_step"):  # tell parts of one recording apart, and where they lie in it
            arrays[name] = np.repeat([getattr(recording, name) for recording in recordings], tracks)
        arrays["fps"] = np.array(recordings[0].fps or np.nan)
        if pooled:
            arrays["recording_names"] = np.array([recording.name for recording in recordings])
        distributed.wait()
        if distributed.is_first():
            files.write_arrays(target, **arrays)
        print(f"representations: {target}")
        for name, array in arrays.items():
            print(f"  {name} {array.shape} {array.dtype}")


def _write_tables(
    folder: Path, kind: str, trained: Checkpoint, recordings: Sequence[Recording], device: torch.device
) -> None:
    """A file for each recording, in which its segments follow one another."""
    parts: dict[str, list[Recording]] = {}
    for recording in recordings:
        parts.setdefault(recording.name, []).append(recording)
    names = file_names(parts)
    pooled = max(len(recording.individuals) for recording in recordings) > 1
    for name in tqdm(distributed.share(list(parts)), "recordings"):
        embedded = embed(trained, parts[name], device, pooled)
        write_embeddings(folder, [one for found in embedded for one in found], kind, names)
    distributed.wait()
    print(f"representations: {folder}, {len(parts)} recordings as {kind}")


def draw(settings: cli.Settings, path: Path, recordings: Sequence[Recording]) -> None:
    """Figures of the embedding, beside the checkpoint."""
    trained = BAMSEmbedder.load(path).checkpoint_
    recordings = [one for one in prepare_like(recordings, trained) if tracked_presence(one.keypoints).any()]
    recordings = recordings[: overview.MOST_RECORDINGS]
    embedded = list(embed(trained, recordings, pick_device(settings.train.device)))
    for name, figure in overview.draw_overview(recordings, embedded).items():
        _write_figure(figure, path.with_name(f"{path.stem}_{name}.png"))


def _write_figure(figure: "Figure", target: Path) -> None:
    with files.atomic_write(target) as file:
        figure.savefig(file, dpi=120, format="png")
    print(f"figure: {target}")
