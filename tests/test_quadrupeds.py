"""The robots: their file in either order of axes, the read-outs, the simulation, and the script's jobs."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import simulated_quadrupeds
from bams import BAMS
from bams.app.quadrupeds import load_robots, read_out_labels, read_out_split, table_of
from bams.data.labels import Annotations, Label, as_annotations
from bams.simulate.quadrupeds import FPS, LEG_PHASE, simulate_quadrupeds
from bams.storage import files

N, T = 24, 120


@pytest.fixture(scope="module")
def content() -> dict[str, np.ndarray]:
    return simulate_quadrupeds(N, frames=T, seed=2)


def save(path: Path, content: dict) -> Path:
    return files.write_pickled_dict(path / "robot_dataset.npy", content)


# --- the file ----------------------------------------------------------------------------------


def test_either_order_of_axes_is_found_and_said(tmp_path, content):
    robots = load_robots(save(tmp_path, content))
    assert robots.axes == "sequence, time, feature"
    np.testing.assert_array_equal(robots.positions, content["dof_pos"])
    turned = {name: content[name].swapaxes(1, 2) for name in ("dof_pos", "dof_vel")}
    other = load_robots(save(tmp_path, content | turned))
    assert other.axes == "sequence, feature, time"
    for name in ("positions", "velocities"):
        np.testing.assert_array_equal(getattr(other, name), getattr(robots, name), strict=True)


def labels_of(path: Path, content: dict) -> dict[str, Label]:
    return {label.name: label for label in load_robots(save(path, content)).annotations.labels}


def test_labels_come_with_their_kinds(tmp_path, content):
    labels = labels_of(tmp_path, content)
    expected = {"robot_type": ((N,), True), "terrain_type": ((N, T), True)}
    expected |= {f"command_vel_{i}": ((N,), False) for i in range(3)}
    expected |= {"terrain_slope": ((N, T), False), "terrain_difficulty": ((N, T), False)}
    found = {name: (np.shape(label.values), label.class_names is not None) for name, label in labels.items()}
    assert found == expected
    np.testing.assert_array_equal(labels["robot_type"].values, content["robot_type"])
    np.testing.assert_array_equal(labels["command_vel_1"].values, content["command_vel"][:, 1])


def test_words_and_one_column_and_missing_labels_are_read(tmp_path, content):
    words = np.array(["a1", "anymal"])[content["robot_type"] % 2]
    terrain = content["terrain_type"].astype(float)
    terrain[0, :7] = np.nan
    terrain[1, :3] = -1
    for robot in (words, words.astype(object), words[:, None]):
        changed = {"robot_type": robot, "terrain_type": terrain[:, None], "command_vel": content["command_vel"][:, 0]}
        labels = labels_of(tmp_path, content | changed)
        np.testing.assert_array_equal(labels["robot_type"].values, content["robot_type"] % 2)
        assert labels["robot_type"].class_names == ["a1", "anymal"]
        assert np.shape(labels["command_vel"].values) == (N,)
        np.testing.assert_array_equal(labels["terrain_type"].values, np.nan_to_num(terrain, nan=-1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"dof_pos": c["dof_pos"]}, "lacks dof_vel"),
        (lambda c: {"dof_pos": c["dof_pos"], "dof_vel": c["dof_vel"]}, "lacks .*terrain_type"),
        (lambda c: {}, "it has nothing"),
        (lambda c: c | {"dof_pos": c["dof_pos"][..., :11]}, r"dof_pos has axes \(24, 120, 11\)"),
        (lambda c: c | {"dof_pos": c["dof_pos"][0]}, r"dof_pos has axes \(120, 12\)"),
        (lambda c: c | {"dof_pos": c["dof_pos"][:, :12]}, "which of them is time cannot be told"),
        (lambda c: c | {"dof_vel": c["dof_vel"].swapaxes(1, 2)}, "must be the same"),
        (lambda c: c | {"dof_vel": c["dof_vel"][:, :-1]}, "must be the same"),
        (lambda c: c | {"dof_pos": np.where(c["dof_pos"] > 1, np.inf, c["dof_pos"])}, "NaN or infinite"),
        (lambda c: c | {"robot_type": c["robot_type"][:-1]}, "robot_type has 23 entries"),
        (lambda c: c | {"terrain_slope": c["terrain_slope"][:, :-1]}, "terrain_slope has 119 frames"),
        (lambda c: c | {"terrain_slope": c["terrain_slope"].astype(str)}, "terrain_slope is of type"),
        (lambda c: c | {"dof_pos": c["dof_pos"].astype(float) * 1e300}, "dof_pos holds .*infinite"),
        (lambda c: c | {"terrain_slope": np.full((N, T), 1e300)}, "terrain_slope holds .*infinite"),
    ],
)
def test_what_is_no_file_of_robots_is_refused(tmp_path, content, change, message):
    path = save(tmp_path, change(content))
    with refused(message, path):
        load_robots(path)


# --- read-outs ---------------------------------------------------------------------------------


def test_the_split_is_that_of_the_paper():
    split, expected = read_out_split(57), train_test_split(np.arange(57), test_size=0.8, random_state=42)
    for found, part in zip(split, expected, strict=True):
        np.testing.assert_array_equal(found, part)
    assert [len(part) for part in split] == [11, 46]
    with refused("9 sequences are too few"):
        read_out_split(9)


def annotations(labels: dict[str, np.ndarray], classes: str, sequence_level: str = "") -> Annotations:
    """Labels named by one letter."""
    utils = {"classification_tags": list(classes), "regression_tags": [name for name in labels if name not in classes]}
    utils["sequence_level_dict"] = dict.fromkeys(sequence_level, True)
    frames = max((np.shape(values)[1] for values in labels.values() if np.ndim(values) == 2), default=4)
    return as_annotations(labels, utils, [frames] * len(next(iter(labels.values()))))


def test_scores_equal_a_plain_run_of_scikit_learn():
    rng = np.random.default_rng(0)
    emb = rng.normal(0, 1, (40, 30, 5)).astype(np.float32)
    classes = (emb[..., 0] + rng.normal(0, 1, emb.shape[:2]) > 0).astype(np.int64) + (emb[..., 1] > 1)
    numbers = (emb[..., 2] + rng.normal(0, 1, emb.shape[:2])).astype(np.float32)
    classes[3, 5:20] = -1
    numbers[7, ::2] = np.nan
    kinds = (emb.mean(1)[:, 3] > 0).astype(np.int64)
    given = {"c": classes, "n": numbers, "k": kinds}
    table = read_out_labels({"e": emb}, annotations(given, "ck", sequence_level="k"), step=3)

    train, test = train_test_split(np.arange(40), test_size=0.8, random_state=42)
    rows = {name: ([], []) for name in "cnk"}
    for side, part in enumerate((train, test)):
        for i in part:
            rows["k"][side].append((emb[i].mean(0), kinds[i]))
            for t in range(0, 30, 3):
                if classes[i, t] >= 0:
                    rows["c"][side].append((emb[i, t], classes[i, t]))
                if np.isfinite(numbers[i, t]):
                    rows["n"][side].append((emb[i, t], numbers[i, t]))
    for name, sides in rows.items():
        (x, y), (x_test, y_test) = (map(np.array, zip(*side, strict=True)) for side in sides)
        scaler = StandardScaler().fit(x)
        linear = Ridge() if name == "n" else RidgeClassifier(class_weight="balanced")
        predicted = linear.fit(scaler.transform(x), y).predict(scaler.transform(x_test))
        expected = r2_score(y_test, predicted) if name == "n" else f1_score(y_test, predicted, average="macro")
        found, metric = table[name], "R2" if name == "n" else "macro F1"
        assert found.rows["e"][metric].value == pytest.approx(expected, abs=1e-4)
        assert (found.level, found.read_out) == ("sequence" if name == "k" else "frame", len(y) + len(y_test))


def test_labels_that_cannot_be_read_out_are_named_before_embedding():
    with refused("label g has no value"):
        read_out_labels({}, annotations({"g": np.full((20, 4), np.nan)}, ""))
    with refused("label s has fewer than two classes"):
        read_out_labels({}, annotations({"s": np.zeros((20, 4))}, "s"))


def test_the_text_holds_every_score(tmp_path, content):
    robots = load_robots(save(tmp_path, content))
    table = read_out_labels({"positions": robots.positions, "twice": robots.positions}, robots.annotations, step=4)
    lines = table_of(table).splitlines()
    assert lines[0].split() == ["label", "level", "score", "positions", "twice"]
    for line, label in zip(lines[1:], table.labels, strict=True):
        metric = "macro F1" if label.kind == "classification" else "R2"
        value = f"{label.rows['twice'][metric].value:.3f}"
        assert line.split() == [label.label, label.level, *metric.split(), value, value]


# --- simulation --------------------------------------------------------------------------------


def test_the_seed_decides_everything(content):
    same, other = (simulate_quadrupeds(N, frames=T, seed=seed) for seed in (2, 3))
    np.testing.assert_equal(same, content)
    assert not np.array_equal(other["dof_pos"], content["dof_pos"])


def test_velocities_are_the_change_of_positions(content):
    change = np.gradient(content["dof_pos"].astype(float), 1 / FPS, axis=1)
    assert np.corrcoef(change.ravel(), content["dof_vel"].ravel())[0, 1] > 0.99


def test_legs_swing_in_the_phases_of_the_robot_and_faster_with_the_command():
    robots = simulate_quadrupeds(30, frames=400, seed=0)
    thighs = robots["dof_pos"][..., 1::3] - robots["dof_pos"][..., 1::3].mean(axis=1, keepdims=True)
    rates = []
    for sequence, kind in zip(thighs, robots["robot_type"], strict=True):
        together = np.corrcoef(sequence.T)[0] > 0  # with the front left leg
        np.testing.assert_array_equal(together, LEG_PHASE[kind] == 0)
        spectrum = np.abs(np.fft.rfft(sequence[:, 0]))
        rates.append(spectrum[5:].argmax())
    assert np.corrcoef(rates, robots["command_vel"][:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("arguments", [{"sequences": 0}, {"sequences": 1, "frames": 1}, {"sequences": 2.5}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ValueError, match="whole number"):
        simulate_quadrupeds(**arguments)


# --- the script --------------------------------------------------------------------------------


def test_receptive_fields_and_bootstraps_are_those_of_the_paper():
    sizes = {name: size for name, size in simulated_quadrupeds.SIZES.items() if name != "hidden_layers"}
    model = BAMS(12, predictor={"hidden_layers": (-1, 8)}, **sizes)
    fields = {name: encoder.receptive_field for name, encoder in model.encoders.items()}
    assert fields == {"recent_past": 4, "short_term": 29, "long_term": 1365}
    assert model.bootstrap_kinds == {"recent_past": "none", "short_term": "near", "long_term": "far"}


def test_a_file_of_either_axes_is_trained_on_and_scored_alike(tmp_path, monkeypatch, capsys, content):
    monkeypatch.chdir(tmp_path)
    save(tmp_path, content)
    quick = "--epochs 1 --batch_size 8 --device cpu --hoa_window 10"
    simulated_quadrupeds.main(f"--data_root robot_dataset.npy {quick} --ckpt_path q.pt".split())
    weights = torch.load("q.pt", weights_only=True)["weights"]
    assert all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point() and w.ndim)
    tables = []
    for order in ("sequence, time, feature", "sequence, feature, time"):
        simulated_quadrupeds.main(["--job", "evaluate", "--data_root", ".", "--ckpt_path", "q.pt", "--device", "cpu"])
        said = capsys.readouterr().out
        assert f"({order})" in said
        assert "trained on 4 sequences, scored on 20 others" in said
        tables.append(Path("q_scores.csv").read_text())
        save(tmp_path, content | {name: content[name].swapaxes(1, 2) for name in ("dof_pos", "dof_vel")})
    assert tables[0] == tables[1]
    rows = list(csv.DictReader(tables[0].splitlines()))
    assert {row["row"] for row in rows} == {"recent_past", "short_term", "long_term", "joined", "positions"}
    values = [float(row["value"]) for row in rows if row["metric"] in ("macro F1", "R2")]
    assert len(values) == 5 * 7 and np.isfinite(values).all()
