"""The scripts as a user runs them, and what goes wrong (test_docs.py runs the commands of the pages)."""

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pose_writers import columns, write_csv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import custom_dataset
import custom_dataset_w_labels
import fruit_flies
import mouse_triplets
import simulated_quadrupeds
from bams import simulate
from bams.app import cli
from bams.mabe import files as mabe_files
from bams.mabe.simulated import simulate_mouse_files

ROOT = Path(__file__).parents[1]
MODULES = (mouse_triplets, fruit_flies, simulated_quadrupeds, custom_dataset, custom_dataset_w_labels)
SCRIPTS = {f"{module.__name__}.py": module.main for module in MODULES}
FLAGS = (
    "job data_root cache_path hoa_bins batch_size num_workers epochs lr weight_decay "
    "log_every_step ckpt_path seed device output_dir log_dir resume config print_config"
)
needs_data = pytest.mark.skipif(not (ROOT.parent / "shared").exists(), reason="needs the real recordings in ../shared")


def tracks(n: int = 6, frames: int = 300, seed: int = 0) -> np.ndarray:
    """(N, T, K, d) of simulated mice."""
    mice = simulate.simulate_mice(-(-n // 3), frames=frames, seed=seed)
    return mice.keypoints.reshape(-1, frames, 12, 2)[:n]


def write_deeplabcut(path: Path, keypoints: np.ndarray, first_frame: int = 0) -> None:
    """A CSV as DeepLabCut writes it of several animals, from (A, T, K, d) keypoints."""
    path.parent.mkdir(parents=True, exist_ok=True)
    animals, frames, count, _ = keypoints.shape
    names = columns(simulate.KEYPOINTS[:count], [f"mouse{a}" for a in range(animals)])
    points = np.moveaxis(keypoints, 1, 0).astype(float)
    confidence = np.where(np.isnan(points).any(axis=-1, keepdims=True), np.nan, 0.9)
    values = np.concatenate([np.where(np.isnan(confidence), np.nan, points), confidence], axis=-1).reshape(frames, -1)
    write_csv(path, names, range(first_frame, first_frame + frames), values)


def labels(keypoints: np.ndarray) -> dict[str, np.ndarray]:
    """Labels per frame and per track of (N, T, K, d): the speed, whether it is high, and a sort."""
    speed = np.linalg.norm(np.diff(keypoints[:, :, 0], axis=1, prepend=keypoints[:, :1, 0]), axis=-1)
    act = np.digitize(np.nan_to_num(speed), np.nanquantile(speed, [0.3, 0.7]))
    act[:, 17:20] = -1
    return {
        "labels_act": act.astype(np.int8),
        "labels_act_names": np.array(["rest", "walk", "run"]),
        "labels_speed": speed,
        "seq_labels_sort": np.arange(len(keypoints)) % 2,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> None:
    name, *argv = shlex.split(command)
    SCRIPTS[name](argv)


def refused(command: str, capsys: pytest.CaptureFixture) -> str:
    """The one sentence with which a command fails, without traceback and with status 2."""
    with pytest.raises(SystemExit) as stop:
        run(command)
    assert stop.value.code == 2
    said = capsys.readouterr().err.strip()
    last = said.splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in said
    return last


@pytest.mark.slow
def test_mouse_submission_fits_the_evaluator_and_a_real_shaped_file(folder: Path):
    """Files by another generator: float positions, own ids, the tests' clips in another order than the map."""
    rng = np.random.default_rng(0)
    walk = rng.normal(0, 3, (4, 1800, 3, 1, 2)).cumsum(1) + rng.normal(400, 40, (4, 1, 3, 12, 2))
    walk[rng.random(walk.shape[:-1]) < 0.02] = 0
    ids = ["ZZ", "B1", "C2", "A0"]
    content = {"sequences": {name: {"keypoints": clip} for name, clip in zip(ids, walk, strict=True)}}
    for name in (mouse_triplets.TRAIN_FILE, mouse_triplets.TEST_FILE):
        np.save(folder / name, content)
    order = {name: (1800 * i, 1800 * i + 1800) for i, name in enumerate(sorted(ids))}
    np.save(folder / "mouse_frame_number_map.npy", order)
    run("mouse_triplets.py --data_root . --epochs 1 --sequence_length 600 --batch_size 8 --ckpt_path m.pt")
    run("mouse_triplets.py --data_root . --job compute_representations --ckpt_path m.pt")
    submission = np.load("m_submission.npy", allow_pickle=True).item()
    assert submission["frame_number_map"] == order
    embeddings = submission["embeddings"]
    assert embeddings.dtype == np.float32 and embeddings.shape == (7200, 128)
    np.testing.assert_allclose(embeddings.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(embeddings.std(0), 1, atol=1e-3)
    mabe_files.check_submission(submission["frame_number_map"], embeddings, order, 128)
    # the rows of a clip are that clip's, wherever it stands in the file
    np.save(folder / "mouse_frame_number_map.npy", {name: (1800 * i, 1800 * i + 1800) for i, name in enumerate(ids)})
    run("mouse_triplets.py --data_root . --job compute_representations --ckpt_path m.pt")
    again = np.load("m_submission.npy", allow_pickle=True).item()
    for name in ids:
        here, there = (slice(*s["frame_number_map"][name]) for s in (submission, again))
        np.testing.assert_allclose(embeddings[here], again["embeddings"][there], atol=1e-4)


@pytest.mark.slow
def test_a_submission_is_scored_beside_its_baselines(folder: Path, capsys: pytest.CaptureFixture):
    common = "mouse_triplets.py --simulate --simulated_clips 8 --sequence_length 200 --batch_size 16"
    simulate_mouse_files("data/mabe/simulated", 8, frames=200)
    run(f"{common} --epochs 1 --ckpt_path m.pt")
    run(f"{common} --job compute_representations --ckpt_path m.pt")
    capsys.readouterr()
    run(f"{common} --job evaluate --submission m_submission.npy --ckpt_path m.pt --baselines")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Task ID")
    header, *tasks, private, public = lines[-10:]
    columns = ["private score", "metric", "m_submission.npy", "input", "PCA of the input", "random weights"]
    assert re.split("  +", header) == columns
    assert {line.split()[0] for line in tasks} >= {"strain", "close", "contact", "chases"}
    means = [line.split()[3:] for line in (private, public)]
    assert all(0 < float(mean) < 1 for row in means for mean in row)
    assert len(set(zip(*means, strict=True))) == 4
    assert Path("m_submission_scores.csv").read_text().count("\n") == 8


def test_custom_representations_of_groups_with_names_and_lengths(folder: Path):
    keypoints = tracks(6).reshape(2, 3, 300, 12, 2).copy()
    keypoints[1, :, 250:] = np.nan
    keypoints[0, 2] = np.nan
    np.savez("a file.npz", keypoints=keypoints, recording_ids=["x", "y"], lengths=[300, 260])
    run("custom_dataset.py --data_root 'a file.npz' --epochs 1 --sequence_length 150 --ckpt_path out/c.pt")
    run("custom_dataset.py --job compute_representations --data_root 'a file.npz' --ckpt_path out/c.pt")
    written = np.load("out/c_representations.npz")
    assert written["track_names"].tolist() == [f"{s}/individual{a}" for s in "xy" for a in range(3)]
    assert written["short_term"].shape == (6, 300, 32)
    assert written["group_short_term"].shape == (2, 300, 64)
    finite = np.isfinite(written["long_term"]).all(-1)
    # the third individual of x was never tracked: the group is made of the others
    assert finite[:2].all() and not finite[2].any() and finite[3:, :250].all() and not finite[3:, 250:].any()
    assert (np.nan_to_num(written["tracked"], nan=-1)[3] == [1] * 250 + [0] * 10 + [-1] * 40).all()
    both = written["short_term"][:2]
    np.testing.assert_allclose(written["group_short_term"][0, :, :32], both.mean(0), atol=1e-5)
    np.testing.assert_allclose(written["group_short_term"][0, :, 32:], np.ptp(both, axis=0), atol=1e-5)
    assert not np.isfinite(written["group_short_term"][1, 255:]).any()


def test_the_features_of_training_are_those_of_embedding(folder: Path):
    """Those of a pair, also where a new recording has one animal alone."""
    pairs = tracks(6).reshape(3, 2, 300, 12, 2)
    np.save("pairs.npy", pairs)
    np.save("alone.npy", pairs[:, :1])
    common = "--epochs 1 --sequence_length 150 --ckpt_path c.pt"
    names = "[movement,observed]"
    run(f"custom_dataset.py --data_root pairs.npy --heading keypoint1:keypoint0 --predict {names} {common}")
    kept = torch.load("c.pt", weights_only=True)
    assert (kept["settings"]["heading"], kept["settings"]["others"]) == ("keypoint1:keypoint0", 1)
    assert not any(name.endswith("distance") for name in kept["features"]["actions"])
    for data in ("pairs", "alone"):
        run(f"custom_dataset.py --job compute_representations --data_root {data}.npy --ckpt_path c.pt")
        written = np.load("c_representations.npz")
        assert np.isfinite(written["group_short_term" if data == "pairs" else "short_term"]).all()


def test_the_setting_of_the_paper_is_one_flag(folder: Path):
    paper = ROOT / "configs/paper.yaml"
    np.save("k.npy", tracks())
    own = "--features raw --skip_frames 60 --epochs 1 --sequence_length 150 --ckpt_path c.pt"
    run(f"custom_dataset.py --config {paper} --data_root k.npy {own}")
    kept = torch.load("c.pt", weights_only=True)
    expected = {"loss": "paper", "hoa_frames": 1.0, "hide_parts": 0.0, "views": 1, "near_frames": 5}
    expected |= {"far_frames": 0, "lr_schedule": "steps", "lr_milestones": [200], "lr": 1e-3, "hoa_window": 30}
    assert {name: kept["settings"][name] for name in expected} == expected
    assert kept["features"]["inputs"][:2] == ["centre_x", "centre_y"]


ODD = {
    "metres": tracks() / 1000,
    "constant channel": np.where(np.arange(12)[:, None] == 3, 5.0, np.nan_to_num(tracks())),
    "one track": tracks(1),
    "series": tracks()[..., 0],
    "3-D": np.concatenate([tracks(), tracks()[..., :1]], -1),
    "whole numbers, nothing missing": np.rint(np.nan_to_num(tracks())).astype(int),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_data_train_with_finite_losses(kind: str, folder: Path):
    np.save("k.npy", ODD[kind])
    run("custom_dataset.py --data_root k.npy --epochs 2 --sequence_length 150 --batch_size 64 --ckpt_path c.pt")
    weights = torch.load("c.pt", weights_only=True)["weights"]
    assert all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point() and w.ndim)


@pytest.mark.slow
def test_labelled_recordings_are_trained_on_and_read_out(folder: Path, capsys: pytest.CaptureFixture):
    keypoints = tracks(12).reshape(4, 3, 300, 12, 2)
    of_tracks = labels(keypoints.reshape(12, 300, 12, 2))
    first = labels(keypoints[:, 0])
    arrays = of_tracks | {name: first[name] for name in ("labels_act", "labels_act_names")}
    np.savez("l.npz", keypoints=keypoints, recording_ids=list("wxyz"), lengths=[300, 300, 290, 300], fps=20.0, **arrays)
    common = "custom_dataset_w_labels.py --data_root l.npz --sequence_length 150 --batch_size 8 --eval_frames 600"
    run(f"{common} --epochs 3 --eval_every 2 --ignore_classes act:walk --ckpt_path out/l.pt")
    said = capsys.readouterr().out
    with open("out/l_scores.csv") as file:
        scores = list(csv.DictReader(file))
    kinds = {"act": "classification frame", "sort": "classification sequence", "speed": "regression frame"}
    assert {row["label"]: f"{row['kind']} {row['level']}" for row in scores} == kinds
    rows = {"short_term", "long_term", "all embeddings", "raw input", "raw input and 1 s mean", "random weights"}
    rows |= {"chance"}
    assert {row["row"] for row in scores} == rows and all(row in said for row in rows)
    metrics = {"macro F1", "balanced accuracy", "F1 rest", "F1 run"}
    assert {row["metric"] for row in scores if row["label"] == "act"} == metrics
    by_key = {(row["label"], row["row"], row["metric"]): row for row in scores}
    assert by_key["speed", "raw input", "R2"]["groups"] == "4"
    assert by_key["sort", "chance", "F1 0"]["read_out"] == "12"
    accumulator = EventAccumulator("runs/l")
    accumulator.Reload()
    curves = [accumulator.Scalars(f"test/{name}") for name in ("speed/R2/short_term", "act/macro_F1/long_term")]
    for events in (*curves, accumulator.Images("test/act/confusion")):
        assert [event.step for event in events] == [6, 9]
    last = float(by_key["act", "long_term", "macro F1"]["value"])
    assert curves[1][-1].value == pytest.approx(last, rel=1e-4)
    run("custom_dataset_w_labels.py --job compute_representations --data_root l.npz --ckpt_path out/l.pt")
    assert np.load("out/l_representations.npz")["group_long_term"].shape == (4, 300, 64)


@pytest.mark.slow
def test_labels_change_nothing_in_training_and_a_resumed_run_equals_a_whole_one(folder: Path):
    np.savez("l.npz", keypoints=tracks(), **labels(tracks()))
    common = "--data_root l.npz --sequence_length 150 --batch_size 4 --lr_schedule steps --hoa_window 20 --features raw"
    run(f"custom_dataset_w_labels.py {common} --epochs 2 --eval_every 1 --ckpt_path whole.pt")
    run(f"custom_dataset.py {common} --epochs 2 --ckpt_path plain.pt")
    run(f"custom_dataset_w_labels.py {common} --epochs 1 --eval_every 1 --ckpt_path part.pt")
    run("custom_dataset_w_labels.py --data_root l.npz --resume part.pt --epochs 2")
    whole, plain, part = (torch.load(f"{n}.pt", weights_only=True) for n in ("whole", "plain", "part"))
    assert part["settings"] == whole["settings"]
    for name, weight in whole["weights"].items():
        assert torch.equal(weight, plain["weights"][name]) and torch.equal(weight, part["weights"][name]), name
    assert Path("part_scores.csv").read_text() == Path("whole_scores.csv").read_text()


def test_some_short_recordings_are_skipped_with_a_notice(folder: Path, capsys: pytest.CaptureFixture):
    keypoints = tracks()
    keypoints[2, 40:] = np.nan
    np.save("k.npy", keypoints)
    run("custom_dataset.py --data_root k.npy --epochs 1 --sequence_length 150 --ckpt_path c.pt")
    assert "skipped 1 recording" in capsys.readouterr().err


def test_settings_come_from_flags_then_yaml_then_defaults(folder: Path):
    Path("run.yaml").write_text("epochs: 7\nlr_milestones: [3, 5]\nhoa_window: 15\n")
    found = cli.parse(["--config", "run.yaml", "--epochs", "9"], "", "custom", defaults={"skip_frames": 60}).train
    assert (found.epochs, found.lr_milestones, found.hoa_window) == (9, (3, 5), 15)
    assert (found.skip_frames, found.batch_size) == (60, 32)


def test_cache_path_is_used_and_gives_the_same_model(folder: Path):
    np.save("k.npy", tracks())
    for name in ("a", "b"):
        flags = f"--epochs 1 --sequence_length 150 --cache_path kept --ckpt_path {name}.pt"
        run(f"custom_dataset.py --data_root k.npy {flags}")
    assert len(list((folder / "kept").glob("*/statistics.npz"))) == 2
    first, second = (torch.load(f"{name}.pt", weights_only=True)["weights"] for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_help_and_print_config_of_every_script():
    def said(script: str, flag: str) -> str:
        return subprocess.run([sys.executable, ROOT / script, flag], capture_output=True, text=True, check=True).stdout

    for script in SCRIPTS:
        text = said(script, "--help")
        assert [flag for flag in FLAGS.split() if f"--{flag}" not in text] == []
        assert "passes over the training windows" in text
    assert "hoa_window: 30" in said("custom_dataset.py", "--print_config")


@needs_data
@pytest.mark.slow
def test_real_gestures_are_read_out_as_they_come(folder: Path, capsys: pytest.CaptureFixture):
    path = ROOT.parent / "shared/data/gesture_phase.npz"
    common = f"custom_dataset_w_labels.py --data_root {path} --epochs 1 --sequence_length 600 --ckpt_path g.pt"
    run(common)
    said, warned = capsys.readouterr()
    assert "left out a label: label story: class story2" in warned and "story: classification" not in said
    assert "F1 preparation" in said and "user: classification" in said and "7 groups in 5 folds" in said
