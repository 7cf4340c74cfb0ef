"""The table and the figure of benchmarks/readout.py, from its finished rows."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from bams.storage import files
from benchmarks.yardstick import Yardstick

RECIPE = "the recipe"
SHORT_RECIPE = "recipe, 250 steps"  # what the ablations change


def write(folder: Path, yardstick: Yardstick) -> str:
    """Write scores.txt and curve.png of all finished rows into their folder, and return the tables."""
    by_hand = json.loads((folder / "by hand.json").read_text())
    runs: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*-[0-9]*.json")):
        runs.setdefault(re.sub(r"-\d+$", "", path.stem), []).append(json.loads(path.read_text()))
    tables = [_table(task.name, by_hand, runs) for task in yardstick.tasks]
    tables += [_changes(task.name, runs) for task in yardstick.tasks if len(runs.get(SHORT_RECIPE, ())) > 0]
    text = "\n\n".join(tables)
    files.write_text(folder / "scores.txt", text + "\n")
    if RECIPE in runs:
        _draw(folder / "curve.png", yardstick.tasks[0].name, by_hand, runs[RECIPE])
    return text


def _table(task: str, by_hand: dict[str, Any], runs: dict[str, list[dict[str, Any]]]) -> str:
    """Mean F1 / macro F1 on all recordings and on both halves; ± standard deviation if there are several seeds."""
    lines = [f"{task}, mean F1 / macro F1"]
    heads = ("all", "choose", "confirm", "width", "minutes", "skill", "seeds")
    lines.append(f"{'':42s}" + "".join(f"{head:>{27 if head == 'all' else 15}s}" for head in heads))
    for name, found in by_hand.items():
        if task in found:
            lines.append(_line(name, [found], task))
    for row in sorted(runs, key=lambda name: name != RECIPE):
        found = runs[row]
        if row == RECIPE and task in found[0]["curve"][0]["scores"]:
            lines.append(_line("random weights", [run["curve"][0]["scores"] for run in found], task))
        parts = found[0]["scores"] if row == RECIPE else ("both",)
        for part in parts:
            title = row if part == "both" else f"{row}, {part} alone"
            lines.append(_line(title, [run["scores"][part] for run in found], task, found))
    return "\n".join(lines)


def _line(name: str, scores: list[dict[str, Any]], task: str, runs: list[dict[str, Any]] | None = None) -> str:
    cells = []
    for part in ("all", "choose", "confirm"):
        if part not in scores[0][task]:
            cells.append(f"{'':15s}")
            continue
        values = np.array([[s[task][part]["mean_f1"], s[task][part]["macro_f1"]] for s in scores])
        text = " / ".join(f"{mean:.3f}" for mean in values.mean(axis=0))
        if part == "all" and len(values) > 1:
            text = " / ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(values.mean(0), values.std(0, ddof=1), strict=True))
        cells.append(f"{text:>{27 if part == 'all' else 15}s}")
    cells.append(f"{scores[0][task]['width']:>15d}")
    for key in ("minutes", "skill"):
        cells.append(f"{np.mean([run[key] for run in runs]):15.3g}" if runs else f"{'':15s}")
    return f"{name:42s}" + "".join(cells) + f"{len(scores):15d}"


def _changes(task: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    """Change of scores from the recipe with the same seed and number of steps, for each row; ± standard deviation."""
    reference = {run["settings"]["seed"]: run for run in runs[SHORT_RECIPE]}
    lines = [f"{task}, against {SHORT_RECIPE}: change of mean F1 / macro F1"]
    for row, found in runs.items():
        pairs = [(run, reference.get(run["settings"]["seed"])) for run in found]
        values = np.array([_f1(run, task) - _f1(other, task) for run, other in pairs if other is not None])
        if row in (RECIPE, SHORT_RECIPE) or not len(values):
            continue
        text = " / ".join(f"{mean:+.3f}" for mean in values.mean(axis=0))
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            text = " / ".join(f"{m:+.3f} ± {s:.3f}" for m, s in zip(values.mean(axis=0), spread, strict=True))
        lines.append(f"{row:42s}{text:>31s}{len(values):4d} {'seeds' if len(values) > 1 else 'seed'}")
    return "\n".join(lines)


def _f1(run: dict[str, Any], task: str) -> np.ndarray:
    found = run["scores"]["both"][task]["all"]
    return np.array([found["mean_f1"], found["macro_f1"]])


def _draw(path: Path, task: str, by_hand: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """Draw both F1 scores over training steps, and those of hand-made features as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for ax, metric, title in zip(axes, ("mean_f1", "macro_f1"), ("mean F1", "macro F1"), strict=True):
        steps = [point["step"] for point in runs[0]["curve"]]
        values = np.array([[point["scores"][task]["all"][metric] for point in run["curve"]] for run in runs])
        ax.fill_between(steps, values.min(axis=0), values.max(axis=0), alpha=0.2)
        label = f"embedding, {runs[0]['curve'][0]['scores'][task]['width']} numbers"
        ax.plot(steps, values.mean(axis=0), marker="o", label=label)
        for (name, found), style in zip(list(by_hand.items())[-2:], ("--", ":"), strict=True):
            if task in found:
                label = f"{name}, {found[task]['width']} numbers"
                ax.axhline(found[task]["all"][metric], color="0.4", linestyle=style, label=label)
        ax.set(xlabel="training step", title=f"{task}, {title}")
    axes[0].legend(fontsize=6, frameon=False)
    with files.atomic_write(path) as file:
        figure.savefig(file, dpi=120, format="png")
