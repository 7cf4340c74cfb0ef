"""Figures; each function draws and returns a matplotlib Figure, or draws into `axes`, one for each panel, row by row.

A class has the same colour in every figure, see `class_colours`; class -1 means not labelled.
"""

from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people can tell apart
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
NOT_LABELLED = "#D0D0D0"
CURVES = {  # panels of the training curves: beginnings of the scalars' names by title
    "skill at predicting future actions": ("train/hoa_skill", "val/hoa_skill"),
    "bootstrap loss": ("train/byol_loss_",),
    "total loss": ("train/total_loss",),
}
BESIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}  # place of a legend


def plot_latents(
    embeddings: Mapping[str, np.ndarray],
    labels: Mapping[str, tuple[np.ndarray, Sequence[str] | None]],
    *,
    projector: Any = None,
    most_points: int = 6000,
    seed: int = 0,
    axes: Any = None,
) -> "Figure":
    """Several embeddings in two dimensions side by side, coloured by label.

    Args:
        embeddings: by name, (frames, C) float, finite, C > 1; a column of panels each.
        labels: by name, a row of panels each: classes (frames,) int and their names; or numbers (frames,) and None.
        projector: a scikit-learn transformer to two columns, copied for each embedding; PCA by default.
        most_points: number of frames that are drawn, chosen at random by `seed`.
    """
    frames = _common_length({**embeddings} | {name: values for name, (values, _) in labels.items()})
    shown = np.random.default_rng(seed).permutation(frames)[:most_points]
    panels = _panels(axes, len(labels), len(embeddings), figsize=(3.6 * len(embeddings) + 1.3, 3.4 * len(labels)))
    for column, (name, embedding) in enumerate(embeddings.items()):
        if not np.isfinite(embedding[shown]).all():
            raise ValueError(f"embedding {name} has NaN or infinite values: leave out frames without an animal")
        fitted = PCA(n_components=2, random_state=0) if projector is None else clone(projector)
        with np.errstate(invalid="ignore"):  # a constant embedding has no variance to share out
            points = np.asarray(fitted.fit_transform(embedding[shown].astype(np.float64)))
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
    first_frame: float = 0,
    axes: Any = None,
) -> "Figure":
    """Who does what when: bouts as bars over time, which is in frames without `fps` (frames per second).

    `classes` are (T,) int of one track, drawn with a row for each class; or (N, T) int, with a row for each track,
    coloured by class. The first of the T frames has the number `first_frame` in the recording.
    """
    classes = np.asarray(classes)
    if classes.ndim not in (1, 2) or classes.size == 0:
        raise ValueError(f"classes have axes {classes.shape}; expected (frames,) or (tracks, frames), none 0")
    _check_classes(classes, class_names)
    by_class = classes.ndim == 1
    rows = class_names if by_class else track_names or range(1, len(classes) + 1)
    count = len(class_names if by_class else classes)
    panel = _panels(axes, 1, 1, figsize=(10, 0.7 + 0.3 * count))[0, 0]
    edges = _times(panel, classes.shape[-1], fps, first_frame)
    for k, colour in enumerate(class_colours(len(class_names))):
        for row, track in [(k, classes)] if by_class else enumerate(classes):
            begins, ends = edges[np.flatnonzero(np.diff(track == k, prepend=False, append=False))].reshape(-1, 2).T
            spans = np.stack([begins, ends - begins], axis=1)
            label = class_names[k] if row == 0 and (classes == k).any() else None
            panel.broken_barh(spans, (row - 0.4, 0.8), facecolors=colour, linewidth=0, label=label)
    panel.set(yticks=range(count), yticklabels=rows, ylim=(count - 0.4, -0.6))
    panel.tick_params(axis="y", length=0)
    if not by_class:
        panel.legend(ncols=1 + len(class_names) // (4 + count), **BESIDE)
    return panel.figure


def plot_recording(
    embeddings: Mapping[str, np.ndarray],
    keypoints: np.ndarray,
    *,
    fps: float | None = None,
    first_frame: float = 0,
    unit: str = "units",
    axes: Any = None,
) -> "Figure":
    """Embeddings (T, C) of one track as pictures over time, above the speed of its keypoints (T, K, d), in `unit`.

    Channels are standardised over the frames drawn, and sorted so that those that rise together are neighbours.
    """
    frames = _common_length({**embeddings, "keypoints": keypoints})
    heights = [1.8] * len(embeddings) + [1.3]
    panels = _panels(axes, len(heights), 1, figsize=(10, sum(heights) + 0.3), height_ratios=heights)[:, 0]
    for panel in panels:
        edges = _times(panel, frames, fps, first_frame)
    for panel, (name, embedding) in zip(panels, embeddings.items(), strict=False):
        channels = embedding.shape[1]
        place = {"extent": (edges[0], edges[-1], channels, 0), "aspect": "auto"}
        image = panel.imshow(_standardised_channels(embedding).T, cmap="PuOr_r", vmin=-2.5, vmax=2.5, **place)
        panel.set(yticks=[], ylabel=f"{name}\n{channels} channels", xlabel="")
        panel.tick_params(labelbottom=False)
    panels[0].figure.colorbar(image, ax=list(panels), label="deviations from the mean", aspect=40, pad=0.01)
    speed = np.linalg.norm(np.diff(keypoints, axis=0).astype(np.float64), axis=-1) * (fps or 1)
    median = np.ma.median(np.ma.masked_invalid(speed), axis=1).filled(np.nan)
    panel, middles = panels[-1], edges[1:-1]
    panel.plot(middles, speed, color="#9A9A9A", linewidth=0.5, alpha=0.6)
    panel.plot([], [], color="#9A9A9A", label="each keypoint")
    panel.plot(middles, median, color=COLOURS[0], linewidth=1.2, label="median")
    top = np.nanpercentile(speed, 99) if np.isfinite(speed).any() else 0.0  # the maximum may be a jump of the tracker
    panel.set(ylabel=f"speed\n({unit} per {'s' if fps else 'frame'})", ylim=(0, 1.3 * top if top > 0 else 1.0))
    panel.legend(loc="upper right", ncols=2, edgecolor="none", borderaxespad=0)
    return panel.figure


def plot_training_curves(run: str | Path, *, axes: Any = None) -> "Figure":
    """Skill, bootstrap losses and total loss over the steps of a run, whose folder of TensorBoard files is `run`."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run), size_guidance={"scalars": 0})
    tags = sorted(found.Reload().Tags()["scalars"]) if Path(run).is_dir() else []
    if not any(tag.startswith("train/") for tag in tags):
        raise FileNotFoundError(f"{run} holds no training curves: give the folder of one run, for example runs/NAME")
    panels = _panels(axes, 1, len(CURVES), figsize=(3.7 * len(CURVES), 2.9))[0]
    for panel, (title, starts) in zip(panels, CURVES.items(), strict=True):
        drawn = [tag for tag in tags if tag.startswith(starts)]
        for tag, colour in zip(drawn, class_colours(len(drawn)), strict=True):
            points = [(point.step, point.value) for point in found.Scalars(tag)]
            plain = tag.removeprefix("train/byol_loss_").replace("_", " ")
            name = {"train/hoa_skill": "training", "val/hoa_skill": "held out"}.get(tag, plain)
            marker = "o" if tag.startswith("val/") else None
            panel.plot(*np.transpose(points), color=colour, label=name, marker=marker, markersize=4)
        panel.set(title=title, xlabel="step")
        if len(drawn) > 1:
            panel.legend(frameon=False)
    panels[0].axhline(0, color=NOT_LABELLED, linewidth=1, zorder=0)
    return panels[0].figure


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str], *, title: str = "", axes: Any = None) -> "Figure":
    """A confusion matrix (K, K) float; rows are the true classes and sum to 1, or NaN if a class does not occur."""
    count = len(class_names)
    size = max(3.0, 1.4 + 0.7 * count)
    panel = _panels(axes, 1, 1, figsize=(size + 0.6, size))[0, 0]
    panel.imshow(confusion, vmin=0, vmax=1, cmap="Blues")
    for (true, predicted), share in np.ma.ndenumerate(np.ma.masked_invalid(confusion)):
        colour = "white" if share > 0.5 else "black"
        panel.text(predicted, true, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)
    panel.set_xticks(range(count), class_names, rotation=45, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(count), class_names)
    panel.set(xlabel="read out", ylabel="true", title=title)
    return panel.figure


def class_colours(count: int) -> list[Any]:
    """Colours of classes 0 to count - 1: those of `COLOURS`, then hues a golden angle apart."""
    return [*COLOURS[:count], *(hsv_to_rgb(0.618 * k % 1, 0.65, 0.8) for k in range(count - len(COLOURS)))]


def _panels(axes: Any, rows: int, columns: int, figsize: Any, **options: Any) -> np.ndarray:
    """The axes to draw into, (rows, columns): those given, or those of a new figure."""
    from matplotlib.figure import Figure

    if axes is None:
        axes = Figure(figsize=figsize, layout="constrained").subplots(rows, columns, **options)
    found = np.array(axes, dtype=object)
    if found.size != rows * columns:
        raise ValueError(f"there are {found.size} axes to draw into; expected {rows * columns}")
    for panel in found.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.title.set_fontsize("medium")
    return found.reshape(rows, columns)


def _common_length(arrays: Mapping[str, np.ndarray]) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(lengths) < 2 or 0 in lengths.values() or len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "nothing"
        raise ValueError(f"expected embeddings, and labels or keypoints, of the same length above 0; found {found}")
    return next(iter(lengths.values()))


def _check_classes(classes: np.ndarray, names: Sequence[str]) -> None:
    if not np.isin(classes, range(-1, len(names))).all():
        raise ValueError(f"classes are {np.unique(classes)}; expected 0 to {len(names) - 1}, or -1 = not labelled")


def _scatter(panel: Any, points: np.ndarray, label: str, values: np.ndarray, names: Sequence[str] | None, key: bool):
    """Draw points (frames, 2) coloured by classes or numbers; with `key`, also a legend or colour bar."""
    options = {"s": np.clip(20_000 / len(points), 4, 45), "linewidths": 0, "rasterized": True}
    if names is None:
        known = np.isfinite(values)
        low, high = np.percentile(values[known], (1, 99)) if known.any() else (0, 1)
        colours = {"c": values[known], "cmap": "cividis", "vmin": low, "vmax": high}
    else:
        _check_classes(values, names)
        known = values != -1
        of_class = class_colours(len(names))
        colours = {"c": [of_class[int(k)] for k in values[known]]}
    panel.scatter(*points[~known].T, c=NOT_LABELLED, alpha=0.4, **options)
    drawn = panel.scatter(*points[known].T, alpha=0.6, **colours, **options)
    if key and names is None:
        panel.figure.colorbar(drawn, cax=panel.inset_axes((1.05, 0.15, 0.05, 0.7)), label=label)
    elif key:
        if not known.all():
            names, of_class = [*names, "not labelled"], [*of_class, NOT_LABELLED]
        for name, colour in zip(names, of_class, strict=True):
            panel.plot([], [], color=colour, marker="o", linestyle="", label=name)
        panel.legend(title=label, alignment="left", ncols=1 + len(names) // 15, **BESIDE)


def _times(panel: Any, frames: int, fps: float | None, first_frame: float) -> np.ndarray:
    """The edges of the frames, (frames + 1,), in seconds or frames; also set as the panel's x axis."""
    edges = (first_frame + np.arange(frames + 1)) / (fps or 1)
    panel.set(xlim=(edges[0], edges[-1]), xlabel="time (s)" if fps else "frame")
    return edges


def _standardised_channels(embedding: np.ndarray) -> np.ndarray:
    """(T, C) with mean 0 and deviation 1 in each channel, sorted by the angle on the first two components."""
    known = np.isfinite(embedding).all(axis=1)
    centred = np.full(embedding.shape, np.nan)
    if not known.any():
        return centred
    centred[known] = StandardScaler().fit_transform(embedding[known].astype(np.float64))
    *_, directions = np.linalg.svd(centred[known], full_matrices=False)
    return centred[:, np.argsort(np.arctan2(directions[min(1, len(directions) - 1)], directions[0]))]
