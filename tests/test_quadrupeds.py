"""The robots: their file in either order of axes, the read-outs, the simulation, and the script's jobs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import simulated_quadrupeds
from bams import BAMS
from bams.app.quadrupeds import Label, load_robots, read_out_labels, read_out_split, table_of, write_scores
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
        np.testing.assert_array_equal(getattr(other, name), getattr(robots, name))
        assert getattr(other, name).shape == (N, T, 12)


def test_labels_come_with_their_kinds(tmp_path, content):
    labels = load_robots(save(tmp_path, content)).labels
    assert {name: (label.values.shape, label.discrete) for name, label in labels.items()} == {
        "robot_type": ((N,), True),
        "terrain_type": ((N, T), True),
        **{f"command_vel_{i}": ((N,), False) for i in range(3)},
        "terrain_slope": ((N, T), False),
        "terrain_difficulty": ((N, T), False),
    }
    np.testing.assert_array_equal(labels["robot_type"].values, content["robot_type"])
    np.testing.assert_array_equal(labels["command_vel_1"].values, content["command_vel"][:, 1])


def test_words_and_one_column_and_missing_labels_are_read(tmp_path, content):
    words = np.array(["a1", "anymal"])[content["robot_type"] % 2]
    terrain = content["terrain_type"].astype(float)
    terrain[0, :7] = np.nan
    terrain[1, :3] = -1
    for robot in (words, words.astype(object), words[:, None]):
        changed = {
            "robot_type": robot,
            "terrain_type": terrain[:, None],
            "command_vel": content["command_vel"][:, 0],
        }
        labels = load_robots(save(tmp_path, content | changed)).labels
        np.testing.assert_array_equal(labels["robot_type"].values, content["robot_type"] % 2)
        assert labels["command_vel"].values.shape == (N,)
        expected = content["terrain_type"].copy()
        expected[0, :7], expected[1, :3] = -1, -1
        np.testing.assert_array_equal(labels["terrain_type"].values, expected)


def without(name: str) -> Callable[[dict], dict]:
    return lambda content: {key: value for key, value in content.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("dof_vel"), "lacks dof_vel"),
        (without("terrain_type"), "lacks terrain_type"),
        (lambda c: {}, "it has nothing"),
        (lambda c: c | {"dof_pos": c["dof_pos"][..., :11]}, r"dof_pos has axes \(24, 120, 11\)"),
        (lambda c: c | {"dof_pos": c["dof_pos"][0]}, r"dof_pos has axes \(120, 12\)"),
        (lambda c: c | {"dof_pos": c["dof_pos"][:, :12]}, "which of them is time cannot be told"),
        (lambda c: c | {"dof_vel": c["dof_vel"].swapaxes(1, 2)}, "must be the same"),
        (lambda c: c | {"dof_vel": c["dof_vel"][:, :-1]}, "must be the same"),
        (lambda c: c | {"dof_pos": np.where(c["dof_pos"] > 1, np.inf, c["dof_pos"])}, "NaN or infinite"),
        (lambda c: c | {"robot_type": c["robot_type"][:-1]}, "robot_type has axes"),
        (lambda c: c | {"terrain_slope": c["terrain_slope"][:, :-1]}, "terrain_slope has axes"),
        (lambda c: c | {"terrain_slope": c["terrain_slope"].astype(str)}, "expected numbers"),
        (lambda c: c | {"robot_type": c["robot_type"] * 1j}, "numbers or words"),
    ],
)
def test_what_is_no_file_of_robots_is_refused(tmp_path, content, change, message):
    path = save(tmp_path, change(content))
    with pytest.raises(ValueError, match=message) as error:
        load_robots(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# --- read-outs ---------------------------------------------------------------------------------


def test_the_split_is_that_of_the_paper():
    train, test = read_out_split(57)
    expected = train_test_split(np.arange(57), test_size=0.8, random_state=42)
    np.testing.assert_array_equal(train, expected[0])
    np.testing.assert_array_equal(test, expected[1])
    assert (len(train), len(test)) == (11, 46)
    with pytest.raises(ValueError, match="9 sequences are too few"):
        read_out_split(9)


def test_scores_equal_a_plain_run_of_scikit_learn():
    rng = np.random.default_rng(0)
    emb = rng.normal(0, 1, (40, 30, 5)).astype(np.float32)
    classes = (emb[..., 0] + rng.normal(0, 1, emb.shape[:2]) > 0).astype(np.int64) + (emb[..., 1] > 1)
    numbers = (emb[..., 2] + rng.normal(0, 1, emb.shape[:2])).astype(np.float32)
    classes[3, 5:20] = -1
    numbers[7, ::2] = np.nan
    kinds = (emb.mean(1)[:, 3] > 0).astype(np.int64)
    labels = {"c": Label(classes, True), "n": Label(numbers, False), "k": Label(kinds, True)}
    found = {score.label: score for score in read_out_labels({"e": emb}, labels, step=3)}

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
        score = found[name]
        assert score.score == pytest.approx(expected, abs=1e-4)
        assert (score.train, score.test) == (len(y), len(y_test))
        assert (score.level, score.metric) == (
            "sequence" if name == "k" else "frame",
            "R2" if name == "n" else "F1",
        )


def test_labels_that_cannot_be_read_out_are_named():
    emb = {"e": np.zeros((20, 4, 2), np.float32)}
    with pytest.raises(ValueError, match="label gone has no value"):
        read_out_labels(emb, {"gone": Label(np.full((20, 4), np.nan, np.float32), False)})
    with pytest.raises(ValueError, match="label same has fewer than two classes"):
        read_out_labels(emb, {"same": Label(np.zeros(20, np.int64), True)})


def test_table_and_csv_hold_every_score(tmp_path, content):
    robots = load_robots(save(tmp_path, content))
    scores = read_out_labels({"positions": robots.positions, "twice": robots.positions}, robots.labels, step=4)
    assert len(scores) == 2 * len(robots.labels)
    lines = table_of(scores).splitlines()
    assert len(lines) == 1 + len(robots.labels)
    assert all(line.split()[-1] == line.split()[-2] for line in lines[1:])
    rows = [line.split(",") for line in write_scores(tmp_path / "s.csv", scores).read_text().splitlines()]
    assert rows[0] == ["label", "level", "metric", "embedding", "score", "train", "test"]
    assert [float(row[4]) for row in rows[1:]] == [score.score for score in scores]


# --- simulation --------------------------------------------------------------------------------


def test_the_seed_decides_everything(content):
    same, other = (simulate_quadrupeds(N, frames=T, seed=seed) for seed in (2, 3))
    for name, array in content.items():
        np.testing.assert_array_equal(same[name], array)
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
    rows = [line.split(",") for line in tables[0].splitlines()[1:]]
    assert {row[3] for row in rows} == {"recent_past", "short_term", "long_term", "joined", "positions"}
    assert len(rows) == 5 * 7
    assert all(re.fullmatch(r"-?\d+\.\d+(e-\d+)?", row[4]) for row in rows)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["dof_pos", "terrain_slope"])
def test_numbers_beyond_float32_are_refused_without_a_warning(tmp_path, name):
    content = {"dof_pos": np.zeros((12, 20, 12)), "dof_vel": np.zeros((12, 20, 12)), "robot_type": np.zeros(12)}
    content |= {"terrain_type": np.zeros((12, 20)), "command_vel": np.zeros(12)}
    content |= {"terrain_slope": np.zeros((12, 20)), "terrain_difficulty": np.zeros((12, 20))}
    content[name][0, 0] = 1e300
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=f"{name} holds .*infinite"):
        load_robots(tmp_path / "a.npy")
