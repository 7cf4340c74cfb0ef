"""What recordings look like before anything is learnt from them, and what to correct first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bams.quality.measures import RecordingReport, measure
from bams.quality.reading import reading_warnings, sentence
from bams.recordings.body_length import median
from bams.recordings.recording import Recording
from bams.storage.files import LISTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Limits of warnings: shares of frames, shares of steps, a share of how far other keypoints travel, a ratio of lengths.
HARDLY, LITTLE, MANY_JUMPS, STILL, OTHER_UNIT = 0.05, 0.5, 0.01, 0.02, 2.0


@dataclass(frozen=True)
class DataReport:
    """What recordings look like, and sentences that say what to correct before training; `str()` gives a text."""

    recordings: list[RecordingReport]
    warnings: list[str]

    def __str__(self) -> str:
        said = [f"! {warning}" for warning in self.warnings] or ["nothing to correct was found"]
        tables = _table(_recording_rows(self.recordings)), _table(_keypoint_rows(self.recordings))
        return "\n".join([*tables[0], "", *tables[1], "", *said])


def data_report(
    recordings: Sequence[Recording], least_frames: int | None = None, as_read: Sequence[Recording] | None = None
) -> DataReport:
    """What recordings look like; `least_frames` that a recording needs to be learnt from are compared if given.

    `as_read` are the same recordings before cleaning, which may hide that their numbers were read wrongly.
    """
    if not recordings:
        raise ValueError("there is no recording to report on")
    reports = [measure(recording) for recording in recordings]
    doubts = reading_warnings(recordings if as_read is None else as_read)
    return DataReport(reports, doubts + _warnings(reports, least_frames or 0))


def _recording_rows(reports: Sequence[RecordingReport]) -> list[tuple[str, ...]]:
    rows = [("recording", "frames", "seconds", "animals", "tracked", "longest gap", "jumps", "body length", "swaps")]
    for one in reports:
        seconds = f"{one.frames / one.fps:.1f}" if one.fps else "?"
        jumps = _of_steps(one.jumps.sum(), one.steps.sum())
        cells = (one.frames, seconds, len(one.individuals), f"{one.tracked.mean():.0%}", one.longest_gap.max(), jumps)
        rows.append((one.name, *map(str, cells), f"{one.body_length:.4g}", str(one.swaps)))
    return rows


def _keypoint_rows(reports: Sequence[RecordingReport]) -> list[tuple[str, ...]]:
    """A row for each keypoint, over all recordings; for a single recording also the share of each individual."""
    each = reports[0].individuals[:LISTED] if len(reports) == 1 and len(reports[0].individuals) > 1 else []
    rows = [("keypoint", "tracked", *each, "longest gap", "jumps", "confidence 5, 50, 95 %")]
    for name in _all_keypoints(reports):
        having = [(one, one.keypoint_names.index(name)) for one in reports if name in one.keypoint_names]
        frames = np.array([one.frames * len(one.individuals) for one, _ in having])
        tracked = np.average([one.tracked[:, k].mean() for one, k in having], weights=frames)
        jumps, steps = (sum(int(getattr(one, what)[k]) for one, k in having) for what in ("jumps", "steps"))
        confidence = median(np.stack([one.confidence[:, k] for one, k in having]))
        given = ", ".join(f"{q:.2f}" for q in confidence) if np.isfinite(confidence).all() else "?"
        own = [f"{share:.0%}" for share in reports[0].tracked[: len(each), having[0][1]]] if each else []
        gap = max(int(one.longest_gap[:, k].max()) for one, k in having)
        rows.append((name, f"{tracked:.0%}", *own, f"{gap}", _of_steps(jumps, steps), given))
    return rows


def _of_steps(jumps: int, steps: int) -> str:
    return f"{jumps} ({jumps / max(steps, 1):.2%})"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with aligned columns, the first to the left, the others to the right."""
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    return ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in rows]


def _all_keypoints(reports: Sequence[RecordingReport]) -> list[str]:
    return list(dict.fromkeys(name for one in reports for name in one.keypoint_names))


def _warnings(reports: Sequence[RecordingReport], least_frames: int) -> list[str]:
    nobody = [(one.name, "") for one in reports if not one.tracked.any()]
    tracked = [one for one in reports if one.tracked.any()]
    never = _parts(tracked, "keypoint_names", lambda one: ~one.tracked.any(axis=0))
    rare = _parts(tracked, "individuals", lambda one: one.tracked.mean(axis=1) < HARDLY)
    little = [(one.name, "") for one in tracked if one.tracked.mean() < LITTLE]
    jumping = _parts(tracked, "keypoint_names", lambda one: one.jumps > MANY_JUMPS * one.steps)
    still = _parts(tracked, "keypoint_names", _stand_still)
    swapped = [(one.name, "") for one in tracked if one.swaps]
    tracklets = "if they are tracklets, --individuals says how many animals there are"
    many = f"more than {MANY_JUMPS:.0%} of the steps are longer than a body"
    swaps = f"individuals seem to change places at {sum(one.swaps for one in tracked)} frames"
    found = [
        *sentence("nobody is ever tracked", nobody, "leave these recordings out"),
        *sentence("keypoints never tracked", never, "leave them out; --keypoints names those to keep"),
        *sentence(f"individuals tracked in less than {HARDLY:.0%} of the frames", rare, tracklets),
        *sentence(f"less than {LITTLE:.0%} is tracked", little, "a better tracker, or a lower threshold, would help"),
        *sentence(many, jumping, "--max_jump removes jumps, --min_confidence doubtful positions"),
        *sentence("keypoints that do not move", still, "if they mark the arena, leave them out with --keypoints"),
        *sentence(swaps, swapped, "correct the identities in the tracker"),
        *_common_warnings(tracked),
    ]
    longest = max(one.frames for one in reports)
    if longest < least_frames:
        said = f"the longest has {longest} frames, {least_frames} are needed"
        mend = "lower skip_frames and hoa_window, or add longer recordings"
        return [*found, f"all recordings are too short to learn from: {said}; {mend}"]
    few = [(f"{one.name} ({one.frames})", "") for one in reports if one.frames < least_frames]
    return found + sentence(
        f"fewer than the {least_frames} frames that learning needs", few, "training leaves them out"
    )


def _stand_still(one: RecordingReport) -> np.ndarray:
    return (one.steps > 0) & (one.travel <= STILL * np.nanmax(one.travel, initial=0))


def _parts(
    reports: Sequence[RecordingReport], names: str, mask: Callable[[RecordingReport], np.ndarray]
) -> list[tuple[str, str]]:
    """Pairs of a recording and a keypoint or individual in the mask; `names` is the field with their names."""
    return [(r.name, part) for r in reports for part, is_in in zip(getattr(r, names), mask(r), strict=True) if is_in]


def _common_warnings(reports: Sequence[RecordingReport]) -> list[str]:
    found = []
    lengths = [one.body_length for one in reports if one.body_length > 0]
    if lengths and max(lengths) > OTHER_UNIT * min(lengths):
        ends = [one for one in reports if one.body_length in (min(lengths), max(lengths))]
        said = ", ".join(f"{one.body_length:.4g} in {one.name}" for one in ends[:LISTED])
        found.append(f"body lengths differ by more than {OTHER_UNIT:g} times ({said}): bring them to one unit")
    rates = sorted({f"{one.fps:g}" if one.fps else "unknown" for one in reports})
    if len(rates) > 1:
        found.append(f"frame rates differ ({', '.join(rates)}): resample to one rate, or give fps where it is unknown")
    names = _all_keypoints(reports)
    lacking = [(one.name, name) for one in reports for name in names if name not in one.keypoint_names]
    found += sentence("keypoints that only others have", lacking, "make them the same with --rename and --keypoints")
    if not lacking and len({tuple(one.keypoint_names) for one in reports}) > 1:
        found.append("keypoints are in different orders: --keypoints gives them one order")
    if len({one.dims for one in reports}) > 1:
        found.append("recordings have different numbers of coordinates: learn from one kind")
    return found


def plot_report(report: DataReport | Sequence[Recording]) -> "Figure":
    """Share tracked and share of jumps by recording (rows) and keypoint (columns), and the body length."""
    from matplotlib.figure import Figure

    report = report if isinstance(report, DataReport) else data_report(report)
    reports, names = report.recordings, _all_keypoints(report.recordings)
    rows = len(reports)
    figure = Figure(figsize=(4 + 0.5 * len(names), min(12.0, 2.2 + 0.22 * rows)), layout="constrained")
    tracked, jumping, size = figure.subplots(1, 3, sharey=True, width_ratios=(2, 2, 1))
    for title, panel, top, what in (
        ("share tracked", tracked, 1.0, lambda one: one.tracked.mean(axis=0)),
        ("share of jumps", jumping, None, lambda one: one.jumps / np.maximum(one.steps, 1)),
    ):
        grid = np.full((rows, len(names)), np.nan)  # where a recording lacks the keypoint
        for row, one in zip(grid, reports, strict=True):
            row[[names.index(name) for name in one.keypoint_names]] = what(one)
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
