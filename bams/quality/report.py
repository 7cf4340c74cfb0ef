"""What recordings look like before anything is learnt from them, and what is to be mended first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bams.quality.measures import RecordingReport, measure
from bams.recordings.body_length import median
from bams.recordings.recording import Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What gives a warning: shares of frames, of steps, of the way that other keypoints go; a ratio of lengths.
HARDLY, LITTLE, MANY_JUMPS, STILL, OTHER_UNIT = 0.05, 0.5, 0.01, 0.02, 2.0
MOST_NAMED = 5


@dataclass(frozen=True)
class DataReport:
    """What recordings look like, and sentences that say what to mend before training; `str()` gives a text."""

    recordings: list[RecordingReport]
    warnings: list[str]

    def __str__(self) -> str:
        rows = [HEAD, *(_row(one) for one in self.recordings)]
        said = [f"! {warning}" for warning in self.warnings] or ["nothing found that is to be mended first"]
        return "\n".join([*_table(rows), "", *_table(_keypoint_rows(self.recordings)), "", *said])


def data_report(recordings: Sequence[Recording], least_frames: int | None = None) -> DataReport:
    """What recordings look like.

    Args:
        recordings: at least one.
        least_frames: frames that a recording needs to be learnt from; None: their length is not judged.

    Raises:
        ValueError: there is no recording.
    """
    if not recordings:
        raise ValueError("there is no recording to report on")
    reports = [measure(recording) for recording in recordings]
    return DataReport(reports, _warnings(reports, least_frames or 0))


HEAD = ("recording", "frames", "seconds", "animals", "tracked", "longest gap", "jumps", "body length", "swaps")


def _row(one: RecordingReport) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.frames}",
        f"{one.frames / one.fps:.1f}" if one.fps else "?",
        f"{len(one.individuals)}",
        f"{one.tracked.mean():.0%}",
        f"{one.longest_gap.max()}",
        f"{one.jumps.sum()} ({_share(one.jumps.sum(), one.steps.sum()):.2%})",
        f"{one.body_length:.4g}",
        f"{one.swaps}",
    )


def _keypoint_rows(reports: Sequence[RecordingReport]) -> list[tuple[str, ...]]:
    """A row for each keypoint, over all recordings; of one recording, each individual's share too."""
    alone = reports[0] if len(reports) == 1 and len(reports[0].individuals) > 1 else None
    each = alone.individuals[:MOST_NAMED] if alone else []
    rows = [("keypoint", "tracked", *each, "longest gap", "jumps", "confidence 5, 50, 95 %")]
    for name in _all_keypoints(reports):
        having = [(one, one.keypoint_names.index(name)) for one in reports if name in one.keypoint_names]
        frames = np.array([one.frames * len(one.individuals) for one, _ in having])
        tracked = np.average([one.tracked[:, k].mean() for one, k in having], weights=frames)
        jumps, steps = (sum(int(getattr(one, what)[k]) for one, k in having) for what in ("jumps", "steps"))
        confidence = median(np.stack([one.confidence[:, k] for one, k in having]))
        given = ", ".join(f"{q:.2f}" for q in confidence) if np.isfinite(confidence).all() else "?"
        own = [f"{share:.0%}" for share in alone.tracked[: len(each), having[0][1]]] if alone else []
        gap = max(int(one.longest_gap[:, k].max()) for one, k in having)
        rows.append((name, f"{tracked:.0%}", *own, f"{gap}", f"{jumps} ({_share(jumps, steps):.2%})", given))
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns below one another, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _all_keypoints(reports: Sequence[RecordingReport]) -> list[str]:
    return list(dict.fromkeys(name for one in reports for name in one.keypoint_names))


def _warnings(reports: Sequence[RecordingReport], least_frames: int) -> list[str]:
    """What is to be mended, a sentence each."""
    nobody = [(one.name, "") for one in reports if not one.tracked.any()]
    tracked = [one for one in reports if one.tracked.any()]
    longest = max(one.frames for one in reports)
    found = [
        *_sentence("nobody is ever tracked", nobody, "leave these recordings out"),
        *_tracking_warnings(tracked),
        *_movement_warnings(tracked),
        *_common_warnings(tracked),
    ]
    if longest < least_frames:
        found.append(
            f"all recordings are too short to learn from: the longest has {longest} frames, {least_frames} are "
            "needed; lower skip_frames and hoa_window, or add longer recordings"
        )
    return found


def _tracking_warnings(reports: Sequence[RecordingReport]) -> list[str]:
    never, hardly, little = [], [], []
    for one in reports:
        by_keypoint = zip(one.keypoint_names, one.tracked.T, strict=True)
        never += [(one.name, name) for name, shares in by_keypoint if not shares.any()]
        by_individual = zip(one.individuals, one.tracked, strict=True)
        hardly += [(one.name, name) for name, shares in by_individual if shares.mean() < HARDLY]
        little += [(one.name, "")] if one.tracked.mean() < LITTLE else []
    fragments = "where they are fragments of tracks, --individuals says how many animals there are"
    return [
        *_sentence("keypoints never tracked", never, "leave them out, --keypoints names those to keep"),
        *_sentence(f"individuals tracked in less than {HARDLY:.0%} of the frames", hardly, fragments),
        *_sentence(f"less than {LITTLE:.0%} is tracked", little, "a better tracker, or a lower threshold, would help"),
    ]


def _movement_warnings(reports: Sequence[RecordingReport]) -> list[str]:
    jumping, still = [], []
    for one in reports:
        most = np.nanmax(one.travel, initial=0)
        for k, name in enumerate(one.keypoint_names):
            if _share(one.jumps[k], one.steps[k]) > MANY_JUMPS:
                jumping.append((one.name, name))
            if one.steps[k] and one.travel[k] <= STILL * most:
                still.append((one.name, name))
    many = f"more than {MANY_JUMPS:.0%} of the steps are longer than a body"
    swaps, swapped = sum(one.swaps for one in reports), [(one.name, "") for one in reports if one.swaps]
    return [
        *_sentence(many, jumping, "--max_jump takes jumps out, --min_confidence what is doubtful"),
        *_sentence("keypoints that do not move", still, "if they mark the arena leave them out with --keypoints"),
        *_sentence(
            f"individuals seem to change places at {swaps} frames", swapped, "mend the identities in the tracker"
        ),
    ]


def _common_warnings(reports: Sequence[RecordingReport]) -> list[str]:
    """What differs between recordings."""
    found = []
    lengths = [one.body_length for one in reports if one.body_length > 0]
    if lengths and max(lengths) > OTHER_UNIT * min(lengths):
        ends = [one for one in reports if one.body_length in (min(lengths), max(lengths))]
        said = ", ".join(f"{one.body_length:.4g} in {one.name}" for one in ends[:MOST_NAMED])
        found.append(f"body lengths differ by more than {OTHER_UNIT:g} times ({said}): bring them to one unit")
    rates = {f"{one.fps:g}" if one.fps else "unknown" for one in reports}
    if len(rates) > 1:
        said = ", ".join(sorted(rates))
        found.append(f"frame rates differ ({said}): a model learns one rate; resample, or give fps where unknown")
    names = _all_keypoints(reports)
    lacking = [(one.name, name) for one in reports for name in names if name not in one.keypoint_names]
    found += _sentence("keypoints lacking that others have", lacking, "give all the same, --rename and --keypoints")
    if not lacking and len({tuple(one.keypoint_names) for one in reports}) > 1:
        found.append("keypoints stand in different orders: --keypoints gives them one")
    if len({one.dims for one in reports}) > 1:
        found.append("recordings of different numbers of coordinates are mixed: learn from one kind")
    return found


def _sentence(problem: str, cases: Sequence[tuple[str, str]], advice: str) -> list[str]:
    """A sentence about cases, each (recording, what), or (recording, ""); none if there is no case."""
    by_recording: dict[str, list[str]] = {}
    for recording, what in cases:
        by_recording.setdefault(recording, []).append(what)
    alike: dict[str, list[str]] = {}
    for recording, what in by_recording.items():
        alike.setdefault(_some(what), []).append(recording)
    said = [f"{what} in {_some(names)}" if what else _some(names) for what, names in alike.items()]
    return [f"{problem}: {_some(said, '; ')}: {advice}"] if said else []


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - MOST_NAMED
    return between.join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def plot_report(report: DataReport | Sequence[Recording]) -> "Figure":
    """Share tracked, share of jumps, and body length: recordings from top to bottom, keypoints side by side."""
    from matplotlib.figure import Figure

    report = report if isinstance(report, DataReport) else data_report(report)
    reports, names = report.recordings, _all_keypoints(report.recordings)
    rows = len(reports)
    height = min(12.0, 2.2 + 0.22 * rows)
    figure = Figure(figsize=(4 + 0.5 * len(names), height), layout="constrained")
    tracked, jumping, size = figure.subplots(1, 3, sharey=True, width_ratios=(2, 2, 1))
    pictures = {
        "share tracked": (tracked, _grid(reports, names, lambda one: one.tracked.mean(axis=0)), 1.0),
        "share of jumps": (jumping, _grid(reports, names, lambda one: one.jumps / np.maximum(one.steps, 1)), None),
    }
    for title, (panel, grid, top) in pictures.items():
        drawn = panel.imshow(grid, vmin=0, vmax=top, cmap="cividis", aspect="auto", interpolation="nearest")
        panel.set_xticks(range(len(names)), names, rotation=90)
        panel.set_title(title, fontsize="medium")
        figure.colorbar(drawn, ax=panel, location="bottom")
    size.plot([one.body_length for one in reports], range(rows), "o", color="#0072B2", markersize=4)
    size.set_xlim(left=0)
    size.set_title("body length", fontsize="medium")
    size.spines[["top", "right"]].set_visible(False)
    shown = range(0, rows, max(1, rows // 40))
    tracked.set_yticks(shown, [reports[i].name for i in shown])
    return figure


def _grid(
    reports: Sequence[RecordingReport], names: Sequence[str], what: Callable[[RecordingReport], np.ndarray]
) -> np.ndarray:
    """(recordings, keypoints) of numbers; NaN where a recording lacks the keypoint."""
    grid = np.full((len(reports), len(names)), np.nan)
    for row, one in zip(grid, reports, strict=True):
        row[[names.index(name) for name in one.keypoint_names]] = what(one)
    return grid
