"""Draw docs/overview.png, the figure of docs/method.md: `python docs/draw_overview.py`.

The animal and its numbers are invented. The receptive fields are real and drawn connection by connection: a block of
two convolutions (kernel 3, dilation d) sees 0, d, 2d, 3d, 4d frames back.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from PIL import Image  # matplotlib depends on it

WIDTH, HEIGHT, DPI = 1800, 700, 100
INK, QUIET, PALE = "#222222", "#595959", "#c8c8c8"
# Okabe and Ito's colours, which colour-blind people can tell apart
SHORT, LONG, GUESS = "#0072b2", "#d55e00", "#009e73"
KEYPOINTS = ["#cc79a7", "#56b4e9", "#e69f00"]
TITLE, TEXT = 18, 15

FRAMES, NOW, AHEAD = 1560, 1480, 30  # frames drawn, the frame t, the window W
SHORT_FIELD, LONG_FIELD = 61, 1365

# positions in pixels: left and width of the keypoints, heights of the two rows, left and width of the embeddings, box
# of the predictor
KEYPOINTS_LEFT, KEYPOINTS_WIDTH = 30, 400
ROWS = (560, 290)
STRIP = (945, 290)
BOX = (1325, 105, 60, 500)


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Smooth along the last axis with a Gaussian of `width` frames."""
    lags = np.arange(-int(3 * width), int(3 * width) + 1)
    kernel = np.exp(-0.5 * (lags / width) ** 2)
    kernel /= kernel.sum()
    pad = [(0, 0)] * (values.ndim - 1) + [(len(lags) // 2,) * 2]
    padded = np.pad(values, pad, mode="edge")
    return np.apply_along_axis(np.convolve, -1, padded, kernel, mode="valid")


def panel(fig: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes without frame at this position, in pixels of the figure."""
    axes = fig.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))
    axes.axis("off")
    return axes


def arrow(page: Axes, start: tuple, end: tuple, color: str = INK, **style: object) -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 18, "lw": 2, "shrinkA": 0, "shrinkB": 0} | style
    page.add_patch(FancyArrowPatch(start, end, color=color, **style))


def bracket(page: Axes, left: float, right: float, y: float, color: str) -> None:
    """Draw a horizontal line whose ends point up."""
    page.plot([left, left, right, right], [y + 8, y, y, y + 8], color=color, lw=2.2)


def animal_seen_from_above() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (8, 2), body outline and tail (..., 2) in body lengths; the nose is at +x."""
    keypoints = np.array(
        [(1, 0), (0.62, 0.27), (0.62, -0.27), (0.4, 0), (-0.3, 0.3), (-0.3, -0.3), (-0.68, 0), (-1.55, 0.1)]
    )
    along = 0.16 + 0.84 * np.cos(np.linspace(0, np.pi, 60))  # from the nose to the tail base
    half = 0.42 * np.sqrt(np.clip(along + 0.68, 0, None) * np.clip(1 - along, 0, None) / 0.71)
    half *= 1 - 0.42 * np.clip((along + 0.1) / 1.1, 0, 1) ** 2
    outline = np.r_[np.c_[along, half], np.c_[along, -half][::-1]]
    bend = np.linspace(0, 1, 30)
    tail = np.c_[-0.68 - 0.87 * bend, 0.16 * np.sin(4 * bend) * bend + 0.22 * bend**2]
    keypoints[-1] = tail[-1]
    return keypoints, outline, tail


def draw_animal(axes: Axes, xy: tuple[float, float], heading: float, size: float, ink: float) -> None:
    """Draw a pose at `xy`; a small `ink` fades it."""
    turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    keypoints, outline, tail = (size * part @ turn + xy for part in animal_seen_from_above())
    axes.plot(*tail.T, color=QUIET, lw=2.5, alpha=ink, zorder=2)
    axes.add_patch(Polygon(outline, fc="#e9e9e9", ec=QUIET, lw=1.5, alpha=ink, zorder=2))
    bones = [(0, 3), (1, 3), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6)]
    axes.add_collection(LineCollection(keypoints[bones], colors=QUIET, lw=1.3, alpha=ink, zorder=3))
    colors = [KEYPOINTS[0], *[INK] * 3, *[KEYPOINTS[1]] * 2, KEYPOINTS[2], INK]
    sizes = [90, *[36] * 3, *[90] * 2, 90, 36]
    axes.scatter(*keypoints.T, s=sizes, c=colors, alpha=ink, zorder=4, edgecolors="none")


def keypoint_series(rng: np.random.Generator) -> np.ndarray:
    """One coordinate of three keypoints, (3, FRAMES): bouts of walking, rest and scratching."""
    ends = [0, 230, 420, 560, 800, 930, 1130, 1250, 1420, FRAMES]
    speed = smooth(np.repeat([1, 0.1, 0.6, 0.05, 1, 0.1, 0.7, 0.05, 0.9], np.diff(ends)), 8)
    fast = np.cumsum(0.1 + 0.15 * speed)
    drift = smooth(np.cumsum(rng.normal(size=FRAMES)) * 0.05, 40)
    series = [drift + speed * np.sin(fast + phase) * 0.8 + rng.normal(size=FRAMES) * 0.05 for phase in (0, 2, 4)]
    return np.array(series)


def label(ha: str, color: str = INK, va: str = "center") -> dict:
    return {"ha": ha, "va": va, "color": color, "fontsize": TEXT}


def draw_keypoints(fig: Figure, page: Axes, rng: np.random.Generator) -> None:
    """Column 1: the animal, its keypoints over time, and the receptive field of each encoder."""
    left, width = KEYPOINTS_LEFT, KEYPOINTS_WIDTH
    scene = panel(fig, left, 405, width, 205)
    way = np.linspace(0, 1, 200)
    x, y = 60 + 315 * way, 55 + 75 * np.sin(4.4 * way) + 70 * way
    scene.plot(x, y, color=PALE, lw=2.5, ls=(0, (2, 2)), zorder=1)
    for at, ink in [(10, 0.35), (88, 0.55), (176, 1.0)]:
        heading = np.arctan2(y[at + 1] - y[at], x[at + 1] - x[at])
        draw_animal(scene, (x[at], y[at]), heading, 56, ink)
    scene.set(xlim=(0, width), ylim=(0, 205))

    plot = panel(fig, left, 190, width, 175)
    for row, (values, color) in enumerate(zip(keypoint_series(rng), KEYPOINTS, strict=True)):
        plot.plot(values - 3 * row, color=color, lw=1.1)
    plot.set(xlim=(0, FRAMES), ylim=(-8.2, 2.2))

    def pixel(frame: float) -> float:
        return left + width * frame / FRAMES

    now = pixel(NOW)
    page.plot([now, now], [118, 375], color=INK, lw=1.8)
    page.fill_between([now, pixel(NOW + AHEAD)], 190, 365, color=GUESS, alpha=0.45, lw=0)
    page.text(now, 380, "frame t", **label("center", va="bottom"))
    page.text(now + 8, 172, "next 30", **label("left", GUESS))
    bracket(page, pixel(NOW - SHORT_FIELD), now, 166, SHORT)
    page.text(pixel(NOW - SHORT_FIELD) - 10, 170, "61 frames", **label("right", SHORT))
    bracket(page, pixel(NOW - LONG_FIELD), now, 126, LONG)
    page.text(pixel(NOW - LONG_FIELD / 2), 118, "1365 frames", **label("center", LONG, "top"))


def draw_encoder(fig: Figure, box: tuple[float, float, float, float], dilations: list[int], color: str) -> None:
    """Draw all connections from the newest output frame (top right) to the past input (bottom)."""
    axes = panel(fig, *box)
    seen = np.array([0])
    for depth, dilation in enumerate(reversed(dilations)):
        below = seen[:, None] + dilation * np.arange(5)
        tops = np.broadcast_to(seen[:, None], below.shape)
        level = np.full(below.size, -depth)
        lines = np.stack([np.c_[-tops.ravel(), level], np.c_[-below.ravel(), level - 1]], axis=1)
        width, alpha = (1.1, 0.6) if len(lines) < 200 else (0.5, 0.2)
        axes.add_collection(LineCollection(lines, colors=color, lw=width, alpha=alpha))
        size = 48 if depth == 0 else 30 if len(seen) < 12 else 12 if len(seen) < 70 else 2
        axes.scatter(-seen, np.full(len(seen), -depth), s=size, color=color, zorder=3)
        seen = np.unique(below)
    bottom = -len(dilations)
    axes.scatter(-seen, np.full(len(seen), bottom), s=9 if len(seen) < 70 else 2, c=INK, zorder=3)
    axes.set(xlim=(-seen.max(), 0), ylim=(bottom, 0))
    for artist in axes.get_children():
        artist.set_clip_on(False)


def draw_encoders(fig: Figure, page: Axes) -> None:
    """Column 2: both encoders, with their tops at the height of their embeddings."""
    left, right = 520, 865
    for top, wide, high, color, dilations, field in [
        (ROWS[0], 150, 150, SHORT, [1, 2, 4, 8], SHORT_FIELD),
        (ROWS[1], right - left, 165, LONG, [1, 4, 16, 64, 256], LONG_FIELD),
    ]:
        draw_encoder(fig, (right - wide, top - high, wide, high), dilations, color)
        middle, y = right - wide / 2, top - high
        bracket(page, right - wide, right, y - 19, color)
        page.text(middle, y - 26, f"{field} frames", **label("center", color, "top"))
        arrow(page, (right + 14, top), (STRIP[0] - 8, top), color)
    page.text(left, ROWS[0], "short term", **label("left", SHORT), weight="bold")
    page.text(left, ROWS[0] - 28, "dilation × 2", **label("left", QUIET))
    page.text(left, ROWS[1] + 8, "long term", **label("left", LONG), weight="bold")
    page.text(left + 128, ROWS[1] + 8, "dilation × 4", **label("left", QUIET))


def draw_strip(fig: Figure, page: Axes, values: np.ndarray, middle: float, color: str, pair: tuple[int, int]) -> None:
    """Embeddings (C, T) as shades of one colour, and below them the two views of the bootstrap loss."""
    left, width, height = *STRIP, 84
    frames = values.shape[1]
    axes = panel(fig, left, middle - height / 2, width, height)
    shades = LinearSegmentedColormap.from_list("shades", ["#ffffff", color])
    axes.pcolormesh(values, cmap=shades, vmin=-2, vmax=2.4)
    axes.set(xlim=(0, frames), ylim=(0, len(values)))
    frame = Rectangle((0, 0), frames, len(values), fill=False, ec=color, lw=1.8, clip_on=False)
    axes.add_patch(frame)
    for view in pair:
        box = Rectangle((view, 0), 1, len(values), fill=False, ec=INK, lw=2.5, clip_on=False)
        axes.add_patch(box)
    cell, low = width / frames, middle - height / 2
    ends = [(left + (f + 0.5) * cell, low - 5) for f in pair]
    arrow(page, *ends, arrowstyle="<|-|>", mutation_scale=14, connectionstyle="arc3,rad=0.45")


def draw_embeddings(fig: Figure, page: Axes, rng: np.random.Generator) -> None:
    """Column 3: the embeddings of both encoders and their bootstrap losses."""
    for middle, color, frames, pace, pair, words in [
        (ROWS[0], SHORT, 28, 1.2, (12, 17), "0 to 5 frames away"),
        (ROWS[1], LONG, 56, 7, (14, 42), "anywhere in the same track"),
    ]:
        values = smooth(rng.normal(size=(6, frames)), pace)
        values = (values - values.mean()) / values.std()
        draw_strip(fig, page, values, middle, color, pair)
        center = STRIP[0] + STRIP[1] / 2
        page.text(center, middle - 106, "bootstrap loss", **label("center", color), weight="bold")
        page.text(center, middle - 133, "one view predicts another", **label("center", color))
        page.text(center, middle - 159, words, **label("center", color))
        arrow(page, (sum(STRIP) + 8, middle), (BOX[0] - 6, middle), color)


def draw_predictor(page: Axes) -> None:
    left, bottom, width, height = BOX
    box = FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=12")
    box.set(facecolor="#e5f5f0", edgecolor=GUESS, linewidth=2)
    page.add_patch(box)
    page.text(
        left + width / 2 - 2,
        bottom + height / 2,
        "action predictor",
        **label("center") | {"fontsize": TITLE, "rotation": 90},
    )
    now, x = KEYPOINTS_LEFT + KEYPOINTS_WIDTH * NOW / FRAMES, left + width / 2
    page.plot([now, now, x], [118, 38, 38], color=QUIET, lw=2, snap=False)
    arrow(page, (x, 37), (x, bottom - 5), QUIET)
    words = page.text(865, 38, "and the keypoint features of frame t", **label("center", QUIET))
    words.set_bbox({"fc": "white", "ec": "none", "pad": 6})


def draw_future(fig: Figure, page: Axes, rng: np.random.Generator) -> None:
    """Column 4: the actions of the next W frames, their histogram, and the distance of the prediction."""
    bins, left, right, bottom, height = 16, 1452, 1760, 395, 170
    actions = np.r_[rng.normal(4.5, 1.1, 18), rng.normal(11.5, 1.3, 12)]
    rng.shuffle(actions)
    target = np.histogram(actions, np.arange(bins + 1))[0] / AHEAD
    centers = np.arange(bins) + 0.5
    guess = np.exp(-0.5 * ((centers - 6) / 2) ** 2) + 0.8 * np.exp(-0.5 * ((centers - 12) / 1.6) ** 2)
    guess /= guess.sum()

    hist = panel(fig, left, bottom, 140, height)
    hist.barh(centers, target, height=0.84, color=PALE)
    hist.stairs(guess, np.arange(bins + 1), orientation="horizontal", color=GUESS, lw=3)
    hist.set(xlim=(0, target.max()), ylim=(0, bins))
    dots = panel(fig, right - 130, bottom, 130, height)
    dots.axis("on")
    dots.set(facecolor="#d9efe8", xticks=[], yticks=[], xlim=(-1.5, AHEAD + 0.5), ylim=(0, bins))
    dots.spines[:].set_visible(False)
    dots.scatter(np.arange(AHEAD), actions, s=26, color=QUIET)
    top = bottom + height
    arrow(page, (BOX[0] + BOX[2] + 6, ROWS[0] - 90), (left - 8, ROWS[0] - 90), GUESS)
    arrow(page, (right - 136, ROWS[0] - 90), (left + 146, ROWS[0] - 90), QUIET)
    page.text(left, top + 8, "histogram", **label("left", va="bottom"))
    page.text(right - 65, top + 8, "next 30 frames", **label("center", GUESS, "bottom"))
    page.text(right - 65, bottom - 8, "time", **label("center", QUIET, "top"))
    page.text(right + 18, bottom + height / 2, "action", **label("center", QUIET) | {"rotation": 90})

    page.plot([left, left], [bottom, top], color=INK, lw=1.5)
    page.plot([left, left, right], [285, 105, 105], color=INK, lw=1.5)
    sums = panel(fig, left, 105, right - left, 180)
    total, guessed = np.cumsum(target), np.cumsum(guess)
    sums.fill_between(centers, total, guessed, color="#f0e442", lw=0, step="mid")
    sums.step(centers, total, where="mid", color=QUIET, lw=3)
    sums.step(centers, guessed, where="mid", color=GUESS, lw=3)
    sums.set(xlim=(0, bins), ylim=(0, 1.02))
    page.text(left, 300, "cumulative", **label("left", va="bottom"))
    for y, color, words in [(165, GUESS, "predicted"), (137, QUIET, "what comes")]:
        page.text(right, y, words, **label("right", color))
    page.add_patch(Rectangle((left, 66), 30, 20, color="#f0e442"))
    page.text(left + 40, 76, "earth mover's distance", **label("left"))


def draw() -> Figure:
    mpl.rcdefaults()
    rng = np.random.default_rng(4)
    fig = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(fig)
    page = panel(fig, 0, 0, WIDTH, HEIGHT)
    page.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    for x, title, words in [
        (30, "Keypoints over time", "of one animal: one track"),
        (520, "Two causal encoders", "convolutions over the past only"),
        (STRIP[0], "Frame embeddings", "learnt without labels"),
        (BOX[0], "Which actions come next", "how often, not in which order"),
    ]:
        page.text(x, 662, title, fontsize=TITLE, weight="bold", color=INK)
        page.text(x, 634, words, fontsize=TEXT, color=QUIET)
    draw_keypoints(fig, page, rng)
    draw_encoders(fig, page)
    draw_embeddings(fig, page, rng)
    draw_predictor(page)
    draw_future(fig, page, rng)
    return fig


def save(fig: Figure, path: Path) -> None:
    """Save as a PNG without transparency; rounding colours to steps of 5 makes the file much smaller."""
    fig.canvas.draw()
    pixels = np.asarray(fig.canvas.buffer_rgba())[..., :3]
    rounded = 5 * np.round(pixels / 5).astype(np.uint8)
    Image.fromarray(rounded).save(path, optimize=True)


if __name__ == "__main__":
    save(draw(), Path(__file__).with_name("overview.png"))
