"""Draw docs/result.png, the picture in the README: `python docs/draw_result.py` (about 4 minutes on 2 CPU cores).

A model is trained on simulated mice without labels. The picture shows one minute of a mouse that it has never seen:
what the mouse did, both embeddings, and the speed of its keypoints.
"""

from pathlib import Path

import matplotlib.pyplot as plt

from bams import BAMSEmbedder, plots
from bams.simulate import ACTIONS, MODES, simulate_mice

FPS = 30
CLIP, MOUSE = 2, 2  # the first in which a mouse rests, explores and is social within the minute
HEIGHTS = {"action": 1.5, "mode": 0.9, "short term": 1.7, "long term": 1.7, "speed": 1.1}


def main() -> None:
    """Train, embed and draw."""
    embedder = BAMSEmbedder(epochs=30).fit(list(simulate_mice(60, seed=0).keypoints))
    unseen = simulate_mice(1, seed=CLIP)
    track = embedder.transform(list(unseen.keypoints))[MOUSE]
    embeddings = {"short term": track["short_term"], "long term": track["long_term"]}

    figure = plt.figure(figsize=(11, sum(HEIGHTS.values()) + 0.8), dpi=80, layout="constrained")
    axes = figure.subplots(len(HEIGHTS), 1, height_ratios=list(HEIGHTS.values()))
    causes = {"action": (unseen.actions, ACTIONS), "mode": (unseen.modes, MODES)}
    for panel, (name, (classes, class_names)) in zip(axes, causes.items(), strict=False):
        plots.plot_ethogram(classes[0, MOUSE], class_names, fps=FPS, axes=panel)
        panel.set(ylabel=name, xlabel="")
        panel.tick_params(labelbottom=False)
    plots.plot_recording(embeddings, unseen.keypoints[0, MOUSE], fps=FPS, unit="px", axes=axes[len(causes) :])
    figure.savefig(Path(__file__).with_name("result.png"))


if __name__ == "__main__":
    main()
