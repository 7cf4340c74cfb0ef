"""What the figures draw: the numbers behind the artists, the legends, and bad input."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn.decomposition import PCA, FastICA
from torch.utils.tensorboard import SummaryWriter

from bams import plots
from bams.plots import COLOURS, NOT_LABELLED, plot_ethogram, plot_latents, plot_recording, plot_training_curves

RNG = np.random.default_rng(0)
EMBEDDINGS = {"short": RNG.normal(size=(50, 6)), "long": RNG.normal(size=(50, 4))}
CLASSES = RNG.integers(-1, 3, 50)
NAMES = ("sit", "walk", "run")


def dots(panel) -> dict[tuple[float, float], str]:
    """Colour of each point that is drawn."""
    found = {}
    for scatter in panel.collections:
        colours = scatter.get_facecolors()
        colours = np.broadcast_to(colours, (len(scatter.get_offsets()), 4)) if len(colours) else []
        found |= {tuple(p): to_hex(c) for p, c in zip(scatter.get_offsets().tolist(), colours, strict=True)}
    return found


def legend(panel) -> dict[str, str]:
    shown = panel.get_legend()
    return {t.get_text(): to_hex(h.get_color()) for t, h in zip(shown.texts, shown.legend_handles, strict=True)}


def bars(panel) -> list[tuple[float, float, float, str]]:
    """Begin, end, row and colour of each bar, by row and begin."""
    found = []
    for bouts in panel.collections:
        for path in bouts.get_paths():
            (x0, y0), (x1, y1) = path.vertices.min(0), path.vertices.max(0)
            found.append((x0, x1, round((y0 + y1) / 2, 6), to_hex(bouts.get_facecolors()[0])))
    return sorted(found, key=lambda bar: (bar[2], bar[0]))


def test_any_number_of_classes_has_different_colours():
    assert plots.class_colours(3) == list(COLOURS[:3])
    assert len({to_hex(colour) for colour in plots.class_colours(60)}) == 60
    names = [f"c{k}" for k in range(12)]
    panel = plot_latents({"a": EMBEDDINGS["short"]}, {"action": (np.arange(50) % 12, names)}).axes[0]
    assert len(set(dots(panel).values())) == len(set(legend(panel).values())) == 12
    (panel,) = plot_ethogram(np.arange(12)[None], names).axes
    assert len({colour for *_, colour in bars(panel)}) == 12


def test_latents_are_the_principal_components_coloured_by_class():
    figure = plot_latents(EMBEDDINGS, {"action": (CLASSES, NAMES)})
    for panel, (name, embedding) in zip(figure.axes, EMBEDDINGS.items(), strict=True):
        assert panel.get_title() == name
        fitted = PCA(2, random_state=0).fit(embedding[np.random.default_rng(0).permutation(50)])
        drawn = dots(panel)
        assert len(drawn) == 50
        for point, k in zip(fitted.transform(embedding), CLASSES, strict=True):
            nearest = min(drawn, key=lambda p: np.hypot(*(np.array(p) - point)))
            np.testing.assert_allclose(nearest, point, atol=1e-6)
            assert drawn[nearest] == (COLOURS[k] if k >= 0 else NOT_LABELLED).lower()
        share = f"{fitted.explained_variance_ratio_[0]:.0%}"
        assert panel.get_xlabel() == f"component 1 ({share} of the variance)"
    assert figure.axes[0].get_legend() is None
    colours = [*COLOURS[:3], NOT_LABELLED]
    assert legend(figure.axes[1]) == dict(zip((*NAMES, "not labelled"), map(str.lower, colours), strict=True))
    assert figure.axes[1].get_legend().get_title().get_text() == "action"


def test_latents_by_another_projector_coloured_by_a_number():
    values = np.where(np.arange(50) % 5 == 0, np.nan, np.arange(50.0))
    projector = FastICA(2, random_state=0)
    labels = {"speed": (values, None), "action": (np.abs(CLASSES), NAMES)}
    figure = plot_latents({"long": EMBEDDINGS["long"]}, labels, projector=projector, most_points=20)
    first, second = figure.axes
    unknown, known = first.collections
    shown = np.random.default_rng(0).permutation(50)[:20]
    np.testing.assert_array_equal(known.get_array(), values[shown][np.isfinite(values[shown])])
    assert len(unknown.get_offsets()) == np.isnan(values[shown]).sum() > 0
    (bar,) = first.child_axes
    assert (bar.get_ylabel(), second.get_xlabel()) == ("speed", "FastICA 1")
    assert "not labelled" not in legend(second)
    assert not hasattr(projector, "components_")  # a copy was fitted
    figure = plot_latents({"a": EMBEDDINGS["short"]}, {"speed": (np.full(50, np.nan), None)})
    assert len(figure.axes[0].collections[0].get_offsets()) == 50


@pytest.mark.parametrize(
    ("embeddings", "labels", "said"),
    [
        ({}, {}, "found nothing"),
        (EMBEDDINGS, {"action": (CLASSES[1:], NAMES)}, "same length above 0; found short 50, long 50, action 49"),
        ({"a": np.full((50, 3), np.nan)}, {"action": (CLASSES, NAMES)}, "embedding a has NaN"),
        (EMBEDDINGS, {"action": (CLASSES, NAMES[:2])}, r"classes are \[-1  0  1  2\]; expected 0 to 1"),
        (EMBEDDINGS, {"action": (CLASSES + 0.5, NAMES)}, "expected 0 to 2"),
    ],
)
def test_latents_of_bad_input(embeddings, labels, said):
    with pytest.raises(ValueError, match=said):
        plot_latents(embeddings, labels)


def test_ethogram_of_one_track_has_a_row_for_each_class():
    figure = plot_ethogram(np.array([0, 0, 1, -1, 2, 0]), NAMES, fps=2, first_frame=10)
    (panel,) = figure.axes
    blue, orange, green = (c.lower() for c in COLOURS[:3])
    assert bars(panel) == [(5.0, 6.0, 0, blue), (7.5, 8.0, 0, blue), (6.0, 6.5, 1, orange), (7.0, 7.5, 2, green)]
    assert [t.get_text() for t in panel.get_yticklabels()] == list(NAMES)
    assert (panel.get_xlim(), panel.get_xlabel()) == ((5.0, 8.0), "time (s)")
    assert panel.yaxis_inverted()


def test_ethogram_of_several_tracks_has_a_row_for_each():
    (panel,) = plot_ethogram(np.array([[0, 0, 1], [1, -1, 1]]), NAMES, track_names=("a", "b")).axes
    blue, orange = (c.lower() for c in COLOURS[:2])
    assert bars(panel) == [(0, 2, 0, blue), (2, 3, 0, orange), (0, 1, 1, orange), (2, 3, 1, orange)]
    assert [t.get_text() for t in panel.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in panel.get_legend().texts] == ["sit", "walk"]  # only those that occur
    assert panel.get_xlabel() == "frame"


def test_ethograms_and_recordings_of_bad_input():
    for classes, said in ((np.zeros((2, 3, 4), int), r"axes \(2, 3, 4\)"), (np.full(5, 3), r"\[3\]; expected 0 to 2")):
        with pytest.raises(ValueError, match=said):
            plot_ethogram(classes, NAMES)
    with pytest.raises(ValueError, match="found e 9, keypoints 8"):
        plot_recording({"e": np.zeros((9, 3))}, np.zeros((8, 2, 2)))
    with pytest.raises(ValueError, match="expected embeddings"):
        plot_recording({}, np.zeros((8, 2, 2)))


def test_recording_draws_standardised_channels_and_speeds():
    embedding = RNG.normal(3, 2, (40, 5))
    embedding[:, 2] = 7  # a constant channel
    embedding[:4] = np.nan
    keypoints = np.cumsum(np.full((40, 3, 2), [3.0, 4.0]), axis=0)
    keypoints[20, 0] = np.nan
    figure = plot_recording({"short term": embedding}, keypoints, fps=10, first_frame=100, unit="px")
    heat, speed, bar = figure.axes
    picture = heat.images[0].get_array()
    assert picture.shape == (5, 40) and np.ma.masked_invalid(picture)[:, :4].mask.all()
    known = embedding[4:]
    expected = (known - known.mean(0)) / np.where(known.std(0) > 0, known.std(0), 1)
    for channel in expected.T:
        assert np.abs(np.asarray(picture[:, 4:]) - channel).max(axis=1).min() < 1e-9
    assert heat.images[0].get_extent() == [10.0, 14.0, 5, 0]
    assert heat.get_ylabel() == "short term\n5 channels"
    assert bar.get_ylabel() == "deviations from the mean"
    (median,) = (line for line in speed.lines if line.get_label() == "median")
    first, second = speed.lines[:2]
    assert np.flatnonzero(np.isnan(first.get_ydata())).tolist() == [19, 20]
    np.testing.assert_allclose(second.get_ydata(), 50)  # 5 px per frame, 10 frames per second
    np.testing.assert_allclose(median.get_ydata(), 50)
    np.testing.assert_allclose(median.get_xdata(), 10 + np.arange(1, 40) / 10)
    assert speed.get_ylabel() == "speed\n(px per s)"
    assert heat.get_xlim() == speed.get_xlim() == (10.0, 14.0)


def test_recording_orders_channels_that_rise_together():
    wave, other = np.sin(np.arange(200) / 9), np.cos(np.arange(200) / 4)
    mixed = np.stack([wave, other, 2 * wave, 3 * other, wave, other], axis=1)
    picture = plot_recording({"e": mixed}, np.zeros((200, 1, 2))).axes[0].images[0].get_array()
    same = [np.corrcoef(a, b)[0, 1] > 0.9 for a, b in pairwise(picture)]
    assert sum(same) == 4


def test_recordings_without_data():
    figure = plot_recording({"e": np.full((9, 3), np.nan)}, np.full((9, 2, 2), np.nan))
    assert figure.axes[0].images[0].get_array().mask.all()
    assert figure.axes[1].get_ylim() == (0, 1)


def test_training_curves_are_those_of_the_event_file(tmp_path: Path):
    steps = np.arange(1, 40, 10)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in steps.tolist():
            for i, name in enumerate(("byol_loss_short_term", "byol_loss_long_term", "total_loss")):
                writer.add_scalar(f"train/{name}", (i + 1) / step, step)
            writer.add_scalar("train/hoa_skill", step / 100, step)
        writer.add_scalar("val/hoa_skill", 0.25, 40)
    skill, bootstrap, total = plot_training_curves(tmp_path).axes
    drawn = {line.get_label(): line for line in (*skill.lines, *bootstrap.lines)}
    np.testing.assert_allclose(drawn["training"].get_xydata(), np.stack([steps, steps / 100], 1), rtol=1e-6)
    np.testing.assert_allclose(drawn["held out"].get_xydata(), [[40, 0.25]])
    for i, line in enumerate((drawn["short term"], drawn["long term"], total.lines[0])):
        np.testing.assert_allclose(line.get_ydata(), (i + 1) / steps, rtol=1e-6)
    assert {t.get_text() for t in skill.get_legend().texts} == {"training", "held out"}
    assert skill.get_title() == "skill at predicting future actions"


def test_all_draw_into_given_axes(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match="no training curves"):
            plot_training_curves(folder)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("train/hoa_skill", 0.5, 1)
    figure = Figure(layout="constrained")
    axes = figure.subplots(3, 3)
    assert plot_latents(EMBEDDINGS, {"action": (CLASSES, NAMES)}, axes=axes[0, :2]) is figure
    assert plot_ethogram(CLASSES, NAMES, axes=axes[0, 2]) is figure
    assert plot_recording(EMBEDDINGS, np.zeros((50, 2, 2)), axes=axes[1]) is figure
    assert plot_training_curves(tmp_path, axes=list(axes[2])) is figure
    assert len(axes[0, 1].collections) == 2 and len(axes[1, 1].images) == 1
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match="9 axes to draw into; expected 1"):
        plot_ethogram(CLASSES, NAMES, axes=axes)
