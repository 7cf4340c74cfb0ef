"""Figures; each function returns a matplotlib Figure, to save or to show."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


def plot_latents(
    embeddings: Mapping[str, np.ndarray],
    labels: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    *,
    most_points: int = 6000,
    seed: int = 0,
) -> "Figure":
    """The first two principal components of several embeddings side by side, coloured by label.

    Args:
        embeddings: by name, (frames, C) float, finite; one column of panels each.
        labels: by name, (frames,) int classes and the names of the classes, at most 8; one row each.
        most_points: a random choice of so many frames is drawn.
        seed: of that choice.
    """
    from matplotlib.figure import Figure

    (frames, _), *_ = (emb.shape for emb in embeddings.values())
    shown = np.random.default_rng(seed).permutation(frames)[:most_points]
    figure = Figure(figsize=(4.6 * len(embeddings) + 1.6, 4.2 * len(labels)), layout="constrained")
    axes = figure.subplots(len(labels), len(embeddings), squeeze=False)
    for column, (name, emb) in enumerate(embeddings.items()):
        pca = PCA(n_components=2, random_state=0).fit(emb)
        points, shares = pca.transform(emb[shown]), pca.explained_variance_ratio_
        for row, (label, (classes, class_names)) in enumerate(labels.items()):
            panel = axes[row, column]
            colours = np.array(COLOURS)[classes[shown]]
            panel.scatter(*points.T, c=colours, s=4, alpha=0.5, linewidths=0, rasterized=True)
            panel.set(xticks=[], yticks=[])
            panel.set_xlabel(f"component 1 ({shares[0]:.0%} of the variance)")
            panel.set_ylabel(f"component 2 ({shares[1]:.0%})")
            if row == 0:
                panel.set_title(name)
            if column == len(embeddings) - 1:
                for colour, class_name in zip(COLOURS, class_names, strict=False):
                    panel.scatter([], [], color=colour, s=20, label=class_name)
                panel.legend(title=label, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


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
    from matplotlib.figure import Figure

    count = len(class_names)
    if axes is None:
        size = max(3.0, 1.4 + 0.7 * count)
        axes = Figure(figsize=(size + 0.6, size), layout="constrained").subplots()
    axes.imshow(confusion, vmin=0, vmax=1, cmap="Blues")
    for true, predicted in zip(*np.nonzero(np.isfinite(confusion)), strict=True):
        share = confusion[true, predicted]
        colour = "white" if share > 0.5 else "black"
        axes.text(predicted, true, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(count), class_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), class_names)
    axes.set(xlabel="read out", ylabel="true", title=title)
    axes.title.set_fontsize(9)
    return axes.figure
