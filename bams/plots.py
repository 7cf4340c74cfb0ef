"""Figures; each function returns a matplotlib Figure, to save or to show.

Each draws a figure of its own, or into `axes` where given: one for each panel, row by row. A class has the same
colour in every figure, that of its number in `COLOURS`; class -1 means not labelled.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Panels = Axes | Sequence[Axes] | np.ndarray
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind can tell apart
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
NOT_LABELLED = "#D0D0D0"
CURVES = {  # panels of the training curves: scalars of `bams.train` by title
    "skill at telling the actions to come": ("train/hoa_skill", "val/hoa_skill"),
    "bootstrap loss": ("train/byol_loss_",),
    "total loss": ("train/total_loss",),
}


def plot_latents(
    embeddings: Mapping[str, np.ndarray],
    labels: Mapping[str, tuple[np.ndarray, Sequence[str] | None]],
    *,
    projector: Any = None,
    most_points: int = 6000,
    seed: int = 0,
    axes: "Panels | None" = None,
) -> "Figure":
    """Several embeddings in two dimensions side by side, coloured by label.

    Args:
        embeddings: by name, (frames, C) float, finite; one column of panels each. Rows may be frames, or means
            over recordings.
        labels: by name, (frames,) and what it holds; one row of panels each: int classes, -1 = not labelled, with
            the names of the classes, at most 8; or float numbers, NaN = not known, with None.
        projector: anything with scikit-learn's fit_transform that gives two columns, copied for each embedding;
            principal components unless given.
        most_points: a random choice of so many frames is projected and drawn.
        seed: of that choice.
        axes: labels x embeddings of them, to draw into.

    Raises:
        ValueError: lengths that differ, embeddings that are not finite or of less than two frames or channels,
            classes without names or too many.
    """
    lengths = {name: len(embedding) for name, embedding in embeddings.items()}
    frames = _common_length(lengths | {name: len(values) for name, (values, _) in labels.items()})
    shown = np.random.default_rng(seed).permutation(frames)[:most_points]
    panels = _panels(axes, len(labels), len(embeddings), figsize=(3.6 * len(embeddings) + 1.3, 3.4 * len(labels)))
    for column, (name, embedding) in enumerate(embeddings.items()):
        if not np.isfinite(embedding).all():
            raise ValueError(f"embedding {name} is not finite everywhere: leave out frames without an animal")
        drawn = embedding[shown].astype(np.float64)
        if min(drawn.shape) < 2:
            raise ValueError(f"of embedding {name} axes {drawn.shape} are to be drawn: two of each are the least")
        fitted = clone(projector) if projector is not None else PCA(n_components=2, random_state=0)
        with np.errstate(invalid="ignore"):  # of an embedding that is the same everywhere the shares are NaN
            points = np.asarray(fitted.fit_transform(drawn))
        kind = "component" if isinstance(fitted, PCA) else type(fitted).__name__
        shares = getattr(fitted, "explained_variance_ratio_", (np.nan, np.nan))
        said = [f" ({share:.0%} of the variance)" if np.isfinite(share) else "" for share in shares]
        for panel, (label, (values, class_names)) in zip(panels[:, column], labels.items(), strict=True):
            _scatter(panel, points, label, np.asarray(values)[shown], class_names, column == len(embeddings) - 1)
            panel.set(xticks=[], yticks=[], ylabel=f"{kind} 2{said[1]}")
        panels[0, column].set_title(name)
        panels[-1, column].set_xlabel(f"{kind} 1{said[0]}")
    return panels[0, 0].figure


def plot_ethogram(
    classes: np.ndarray,
    class_names: Sequence[str],
    *,
    track_names: Sequence[str] | None = None,
    fps: float | None = None,
    first_frame: int = 0,
    axes: "Panels | None" = None,
) -> "Figure":
    """Who does what when: bouts as bars over time.

    Args:
        classes: (T,) int, one track, drawn with a row for each class; or (N, T) int, several, drawn with a row
            for each track, coloured by class (at most 8); -1 = not labelled, left blank.
        class_names: names of the classes.
        track_names: N names; numbers unless given.
        fps: frames per second; time is in frames unless given.
        first_frame: where in the recording the first of the T frames lies.
        axes: one, to draw into.

    Raises:
        ValueError: classes without names, too many, or of other axes.
    """
    from matplotlib.patches import Patch

    classes = np.asarray(classes)
    if classes.ndim not in (1, 2) or classes.size == 0:
        raise ValueError(f"classes have axes {classes.shape}; expected (frames,) or (tracks, frames), none 0")
    by_class = classes.ndim == 1
    _check_classes(classes, class_names, len(class_names) if by_class else len(COLOURS))
    rows = list(class_names) if by_class else list(track_names or range(1, len(classes) + 1))
    if len(rows) != (len(class_names) if by_class else len(classes)):
        raise ValueError(f"there are {len(rows)} track_names for {len(classes)} tracks")
    panel = _panels(axes, 1, 1, figsize=(10, 0.7 + 0.3 * len(rows)))[0, 0]
    edges = _times(panel, classes.shape[-1], fps, first_frame)
    for k in range(len(class_names)):
        for row, track in [(k, classes)] if by_class else enumerate(classes):
            begin, end = _bouts(track == k)
            spans = np.stack([edges[begin], edges[end] - edges[begin]], axis=1)
            panel.broken_barh(spans, (row - 0.4, 0.8), facecolors=COLOURS[k % len(COLOURS)], linewidth=0)
    panel.set(yticks=range(len(rows)), yticklabels=rows, ylim=(len(rows) - 0.4, -0.6))
    panel.tick_params(axis="y", length=0)
    if not by_class:
        found = [k for k in range(len(class_names)) if (classes == k).any()]
        panel.legend(handles=[Patch(color=COLOURS[k], label=class_names[k]) for k in found], **_BESIDE)
    return panel.figure


def plot_recording(
    embeddings: Mapping[str, np.ndarray],
    keypoints: np.ndarray,
    *,
    fps: float | None = None,
    first_frame: int = 0,
    unit: str = "units",
    axes: "Panels | None" = None,
) -> "Figure":
    """Embeddings of one track over time as pictures, one above the other, and its keypoints' speed below.

    Channels are standardised over the frames drawn, and lie so that those that rise together are neighbours.

    Args:
        embeddings: by name, (T, C) float; NaN = no frame, left blank.
        keypoints: (T, K, d) float, NaN = not tracked: lines break there.
        fps: frames per second; time is in frames unless given.
        first_frame: where in the recording the first of the T frames lies.
        unit: of the keypoints, for example 'px'.
        axes: one for each embedding and one for the speed, to draw into.

    Raises:
        ValueError: lengths that differ.
    """
    frames = _common_length({name: len(array) for name, array in {**embeddings, "keypoints": keypoints}.items()})
    heights = [1.8] * len(embeddings) + [1.3]
    panels = _panels(axes, len(heights), 1, figsize=(10, sum(heights) + 0.3), height_ratios=heights)[:, 0]
    for panel, (name, embedding) in zip(panels, embeddings.items(), strict=False):
        edges = _times(panel, frames, fps, first_frame)
        channels = embedding.shape[1]
        options = {"cmap": "PuOr_r", "vmin": -2.5, "vmax": 2.5, "aspect": "auto"}
        picture = _standardised_channels(embedding).T
        image = panel.imshow(picture, extent=(edges[0], edges[-1], channels, 0), **options)
        panel.set(yticks=[], ylabel=f"{name}\n{channels} channels", xlabel="")
        panel.tick_params(labelbottom=False)
    panels[0].figure.colorbar(image, ax=list(panels), label="deviations from the mean", aspect=40, pad=0.01)
    _draw_speed(panels[-1], np.asarray(keypoints), _times(panels[-1], frames, fps, first_frame), fps, unit)
    return panels[0].figure


def plot_training_curves(run: str | Path, *, axes: "Panels | None" = None) -> "Figure":
    """Training curves of a run: the skill, the bootstrap losses and the total loss over the steps.

    Args:
        run: folder of the run's TensorBoard files; the training says where it lies.
        axes: three, to draw into.

    Raises:
        FileNotFoundError: there is no such folder, or no training curve in it.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run), size_guidance={"scalars": 0})
    tags = sorted(found.Reload().Tags()["scalars"]) if Path(run).is_dir() else []
    if not any(tag.startswith("train/") for tag in tags):
        raise FileNotFoundError(f"{run} holds no training curves: name the folder of one run, say runs/NAME")
    panels = _panels(axes, 1, len(CURVES), figsize=(3.7 * len(CURVES), 2.9))[0]
    for panel, (title, starts) in zip(panels, CURVES.items(), strict=True):
        drawn = [tag for tag in tags if tag.startswith(starts)]
        for tag, colour in zip(drawn, COLOURS, strict=False):
            steps, values = np.array([(point.step, point.value) for point in found.Scalars(tag)]).T
            name = "held out" if tag.startswith("val/") else tag.removeprefix("train/byol_loss_")
            name = "training" if name == "train/hoa_skill" else name.replace("_", " ")
            marker = "o" if tag.startswith("val/") else ""
            panel.plot(steps, values, color=colour, marker=marker, markersize=4, linewidth=1.4, label=name)
        panel.set(title=title, xlabel="step")
        if len(drawn) > 1:
            panel.legend(frameon=False)
    panels[0].axhline(0, color=NOT_LABELLED, linewidth=1, zorder=0)
    return panels[0].figure


_BESIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}


def plot_confusion(
    confusion: np.ndarray, class_names: Sequence[str], *, title: str = "", axes: "Axes | None" = None
) -> "Figure":
    """A confusion matrix, with the share of each true class in its cells.

    Args:
        confusion: (K, K) float, rows are the true classes and sum to 1; NaN where a class does not occur.
        class_names: K names.
        title: above it.
        axes: where to draw; a new figure unless given.
    """
    count = len(class_names)
    size = max(3.0, 1.4 + 0.7 * count)
    panel = _panels(axes, 1, 1, figsize=(size + 0.6, size))[0, 0]
    panel.imshow(confusion, vmin=0, vmax=1, cmap="Blues")
    for true, predicted in zip(*np.nonzero(np.isfinite(confusion)), strict=True):
        share = confusion[true, predicted]
        colour = "white" if share > 0.5 else "black"
        panel.text(predicted, true, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)
    panel.set_xticks(range(count), class_names, rotation=45, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(count), class_names)
    panel.set(xlabel="read out", ylabel="true", title=title)
    return panel.figure


def _panels(axes: "Panels | None", rows: int, columns: int, figsize: Any, **options: Any) -> np.ndarray:
    """The axes to draw into, (rows, columns): those given, or those of a new figure."""
    from matplotlib.figure import Figure

    if axes is None:
        axes = Figure(figsize=figsize, layout="constrained").subplots(rows, columns, **options)
    found = np.array(axes, dtype=object).ravel()
    if len(found) != rows * columns:
        raise ValueError(f"there are {len(found)} axes to draw into; expected {rows * columns}")
    for panel in found:
        panel.spines[["top", "right"]].set_visible(False)
        panel.title.set_fontsize("medium")
    return found.reshape(rows, columns)


def _common_length(lengths: Mapping[str, int]) -> int:
    """The length that all have."""
    if len(lengths) < 2 or not any(lengths.values()):
        raise ValueError("there is nothing to draw: give at least one embedding, and its labels or keypoints")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths differ: {', '.join(f'{name} {length}' for name, length in lengths.items())}")
    return next(iter(lengths.values()))


def _check_classes(classes: np.ndarray, names: Sequence[str], most: int = len(COLOURS)) -> None:
    """Raise ValueError unless the classes are whole numbers with a name each, and at most so many."""
    if classes.dtype.kind not in "biu":
        raise ValueError(f"classes are {classes.dtype}; expected whole numbers, -1 = not labelled")
    if classes.min() < -1 or classes.max() >= len(names):
        raise ValueError(f"there are classes {classes.min()} to {classes.max()}, and {len(names)} names for them")
    if len(names) > most:
        raise ValueError(f"there are {len(names)} classes; only {most} colours can be told apart: merge some")


def _scatter(
    panel: "Axes", points: np.ndarray, label: str, values: np.ndarray, names: Sequence[str] | None, explained: bool
) -> None:
    """Draw points (frames, 2) coloured by classes or numbers, with a legend or colour bar if `explained`."""
    from matplotlib.lines import Line2D

    options = {"s": np.clip(20_000 / len(points), 4, 45), "linewidths": 0, "rasterized": True}
    if names is None:
        known = np.isfinite(values)
        colours = {"c": values[known], "cmap": "cividis"}
        if known.any():
            colours["vmin"], colours["vmax"] = np.percentile(values[known], [1, 99])
    else:
        _check_classes(values, names)
        known = values != -1
        colours = {"c": np.array(COLOURS)[values[known].astype(int)]}
    panel.scatter(*points[~known].T, c=NOT_LABELLED, alpha=0.4, **options)
    drawn = panel.scatter(*points[known].T, alpha=0.6, **colours, **options)
    if explained and names is None:
        panel.figure.colorbar(drawn, cax=panel.inset_axes((1.05, 0.15, 0.05, 0.7)), label=label)
    elif explained:
        named = list(zip(names, COLOURS, strict=False))
        named += [] if known.all() else [("not labelled", NOT_LABELLED)]
        dots = [Line2D([], [], color=colour, marker="o", linestyle="", label=name) for name, colour in named]
        panel.legend(handles=dots, title=label, alignment="left", **_BESIDE)


def _times(panel: "Axes", frames: int, fps: float | None, first_frame: int) -> np.ndarray:
    """The frames' edges, (frames + 1,), in seconds or frames; the panel's x axis is set to them."""
    edges = (first_frame + np.arange(frames + 1)) / (fps or 1)
    panel.set(xlim=(edges[0], edges[-1]), xlabel="time (s)" if fps else "frame")
    return edges


def _draw_speed(panel: "Axes", keypoints: np.ndarray, edges: np.ndarray, fps: float | None, unit: str) -> None:
    """Speed of each keypoint of (T, K, d), and their median, between the frames' middles."""
    speed = np.linalg.norm(np.diff(keypoints, axis=0).astype(np.float64), axis=-1) * (fps or 1)
    known = np.isfinite(speed).any(axis=1)
    median = np.full(len(speed), np.nan)
    median[known] = np.nanmedian(speed[known], axis=1)
    panel.plot(edges[1:-1], speed, color="#9A9A9A", linewidth=0.5, alpha=0.6)
    panel.plot([], [], color="#9A9A9A", label="each keypoint")
    panel.plot(edges[1:-1], median, color=COLOURS[0], linewidth=1.2, label="median")
    # one jump of the tracker must not squash all else; the legend needs room
    top = np.nanpercentile(speed, 99) if known.any() else 0.0
    panel.set(ylabel=f"speed\n({unit} per {'s' if fps else 'frame'})", ylim=(0, 1.3 * top if top > 0 else 1.0))
    panel.legend(loc="upper right", ncols=2, edgecolor="none", borderaxespad=0)


def _bouts(on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frames of the runs of True in (T,) bool, and the frames after their last."""
    change = np.diff(on.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def _standardised_channels(embedding: np.ndarray) -> np.ndarray:
    """(T, C) with mean 0 and deviation 1 in each channel, ordered by its angle on the first two components."""
    known = np.isfinite(embedding).all(axis=1)
    centred = np.full(embedding.shape, np.nan)
    if not known.any():
        return centred
    rows = embedding[known].astype(np.float64)
    deviation = rows.std(axis=0)
    centred[known] = (rows - rows.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    *_, directions = np.linalg.svd(centred[known], full_matrices=False)
    first, second = directions[0], directions[min(1, len(directions) - 1)]
    return centred[:, np.argsort(np.arctan2(second, first))]
