"""The training loop: it learns, it can be stopped and taken up again, and it says what went wrong."""

import itertools
import math
import os
import re
import signal
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.optimizer import register_optimizer_step_pre_hook

import bams
import custom_dataset
from bams import checkpoint, losses
from bams.checkpoint import Checkpoint
from bams.data.dataset import Dataset
from bams.data.keypoints import KeypointsDataset
from bams.losses import HoALoss
from bams.models.bams import BAMS
from bams.training.batches import epoch_batches
from bams.training.config import TrainConfig
from bams.training.interrupts import Interrupted
from bams.training.loop import train, validate
from bams.training.run import ENOUGH_STEPS, learning_rate_factor, new_model, steps_and_epochs
from bams.training.step import TrainingStep

BINS = 6
QUICK = {"epochs": 3, "batch_size": 4, "hoa_window": 6, "skip_frames": 8, "hoa_frames": 0.5, "log_every_step": 1}
TINY = TrainConfig(**QUICK, lr_schedule="steps", lr_milestones=(2,), precision="float32", device="cpu")
TRAIN_NAMES = "hoa_loss hoa_skill byol_loss_short_term byol_loss_long_term total_loss lr frames_per_second"
SCALARS = {f"train/{name}" for name in TRAIN_NAMES.split()} | {"val/hoa_skill", "val/hoa_loss"}


def sines(tracks: int = 9, frames: int = 40, seed: int = 0) -> np.ndarray:
    """(N, T, 2): sine and cosine of any phase, so that what comes next can be known."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, (tracks, 1)) + 0.35 * np.arange(frames)
    return np.stack([np.sin(phase), np.cos(phase)], axis=-1).astype(np.float32)


def sine_dataset(tracks: int = 9, frames: int = 40, seed: int = 0, **options) -> Dataset:
    """Nine tracks in batches of four are three steps per epoch, the last with one track."""
    x = sines(tracks, frames, seed)
    if "statistics" not in options:
        options["hoa_bins"] = BINS
    return Dataset(x, x, None, **options)


def tiny_model(dataset: Dataset, seed: int = 0, **options) -> BAMS:
    torch.manual_seed(seed)
    return BAMS(
        dataset.input_size,
        short_term={"num_channels": (6, 4), **options},
        long_term={"num_channels": (6, 4), "dilation": 3, **options},
        predictor={"hidden_layers": (-1, 12, dataset.target_size * dataset.statistics.bins)},
    )


def run(folder: Path, config: TrainConfig = TINY, dataset: Dataset | None = None, model=None, **options) -> Checkpoint:
    """A training run whose files are folder/a.pt and folder/log."""
    dataset = dataset or sine_dataset()
    return train(
        model or tiny_model(dataset), dataset, config, ckpt_path=folder / "a.pt", log_dir=folder / "log", **options
    )


def event_file(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "log"), size_guidance={"scalars": 0}).Reload()


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """By tag, (step, value) as TensorBoard shows them."""
    found = event_file(folder)
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return bams.load_checkpoint(folder / "a.pt").state_dict()


def assert_same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def assert_same_run(first: Path, second: Path) -> None:
    """The weights and all curves but the speed are the same."""
    assert_same_weights(final_weights(first), final_weights(second))
    one, two = curves(first), curves(second)
    speed = "train/frames_per_second"
    assert [step for step, _ in one.pop(speed)] == [step for step, _ in two.pop(speed)]
    assert one == two


def whole_batch(dataset: Dataset) -> dict[str, torch.Tensor]:
    return torch.utils.data.default_collate([dataset[i] for i in range(len(dataset))])


def scores_at_every_frame(model: BAMS, hoa: HoALoss, batch: dict[str, torch.Tensor]):
    """Scores of 40 frames, predicted wherever there are 8 of context and a future."""
    frames = torch.arange(8, 39)
    predicted = model(batch["input"]).hoa_pred[:, frames].detach()
    return hoa.scores(hoa.sums(predicted, batch["actions"], batch["valid"], frames))


def at_training_step(model: BAMS, step: int, act) -> None:
    """Call `act` in the middle of the given training step, counted from 1 in this process."""
    steps = itertools.count(1)

    def count(module: torch.nn.Module, _) -> None:
        if module.training and next(steps) == step:
            act()

    model.predictor.register_forward_pre_hook(count)


def watch(model: BAMS, epoch: int):
    """Draws of its own, a change of mode, and what there is to log."""
    model.eval()
    torch.rand(epoch)
    weight = next(model.parameters()).detach().abs().mean()
    return {"epoch": epoch, "weight": float(weight)}, {"picture": Figure()} if epoch == 2 else {}


def test_an_evaluation_is_logged_after_each_epoch(uninterrupted):
    found = curves(uninterrupted)
    assert found["test/epoch"] == [(3, 1), (6, 2), (9, 3)]
    assert [event.step for event in event_file(uninterrupted).Images("test/picture")] == [6]
    assert found.keys() == SCALARS | {"test/epoch", "test/weight"}


# --- learning ---


def test_training_learns_what_can_be_learnt(tmp_path):
    config = replace(TINY, epochs=30, hoa_frames=1.0, lr=5e-3, lr_milestones=(), checkpoint_every=100)
    dataset = sine_dataset(16)
    held_out = sine_dataset(5, seed=1, statistics=dataset.statistics)
    run(tmp_path, config, dataset, val_dataset=held_out)
    found = curves(tmp_path)
    early = {tag: np.mean([value for _, value in curve[:4]]) for tag, curve in found.items()}
    late = {tag: np.mean([value for _, value in curve[-4:]]) for tag, curve in found.items()}
    assert abs(early["train/hoa_skill"]) < 0.3
    assert late["train/hoa_skill"] > 0.6
    assert late["train/total_loss"] < 0.5 * early["train/total_loss"]
    assert late["train/hoa_loss"] < 0.5 * early["train/hoa_loss"]
    assert late["train/byol_loss_short_term"] < early["train/byol_loss_short_term"]
    assert found["val/hoa_skill"][-1][1] > 0.6 > 0.4 > found["val/hoa_skill"][0][1]


def test_curves_have_the_names_and_steps_of_the_issue_and_the_configuration_as_text(tmp_path):
    run(tmp_path, replace(TINY, log_every_step=2, weight_decay=0.0375), val_dataset=sine_dataset(3, seed=1))
    found = curves(tmp_path)
    assert set(found) == SCALARS
    for tag, curve in found.items():
        expected = [3, 6, 9] if tag.startswith("val/") else [1, 2, 4, 6, 8]
        assert [step for step, _ in curve] == expected, tag
        assert all(math.isfinite(value) for _, value in curve)
    (tag,) = event_file(tmp_path).Tags()["tensors"]
    text = event_file(tmp_path).Tensors(tag)[0].tensor_proto.string_val[0].decode()
    assert tag.startswith("config") and all(f'"{name}"' in text for name in asdict(TINY)) and "0.0375" in text


def test_held_out_scores_are_those_of_all_tracks_at_all_frames():
    dataset = sine_dataset(7)
    model = tiny_model(dataset).train()
    hoa = HoALoss(BINS, 6, 8, torch.tensor([0.05, 0.02]))
    found = validate(model, dataset, hoa, TINY, torch.device("cpu"))
    scores = scores_at_every_frame(model.eval(), hoa, whole_batch(dataset))
    assert found["hoa_skill"] == pytest.approx(float(scores.skill), rel=1e-5)
    assert found["hoa_loss"] == pytest.approx(float(scores.distance), rel=1e-5)


def test_the_checkpoint_holds_the_whole_run_and_the_data_stay_as_they_were(tmp_path):
    dataset = sine_dataset()
    before = [x.copy() for x in (dataset.inputs, dataset.actions, dataset.valid)]
    about = {"dataset": "sines", "features": {"inputs": ["sin", "cos"]}, "settings": {"data_root": "here"}}
    returned = run(tmp_path, dataset=dataset, about=about)
    assert not returned.model.training, "its embeddings would be noisy with dropout"
    np.testing.assert_equal([dataset.inputs, dataset.actions, dataset.valid], before)
    kept = checkpoint.load(tmp_path / "a.pt")
    assert kept.dataset == "sines" and kept.features == {"inputs": ["sin", "cos"]}
    assert kept.settings == {
        "data_root": "here",
        **asdict(TINY),
        "lr_milestones": [2],
        "threads": torch.get_num_threads(),
    }
    assert (kept.progress["epoch"], kept.progress["step"]) == (3, 9)
    assert set(kept.versions) >= {"bams", "torch", "numpy", "python"}
    np.testing.assert_equal(vars(kept.statistics), vars(dataset.statistics))
    np.testing.assert_array_equal(kept.model.scale.centre.numpy(), dataset.statistics.centre)
    np.testing.assert_array_equal(kept.model.scale.scale.numpy(), dataset.statistics.scale)
    assert kept.marginal_loss.shape == (2,) and (kept.marginal_loss > 0).all()
    assert_same_weights(returned.model.state_dict(), kept.model.state_dict())


# --- same seed, same run ---


@pytest.mark.parametrize("changes", [{}, {"num_workers": 2}])
def test_same_seed_same_run_however_many_workers_read(tmp_path, uninterrupted, changes):
    torch.rand(3)
    run(tmp_path, replace(TINY, **changes), **scored())
    assert_same_run(tmp_path, uninterrupted)


def test_other_seed_other_weights(tmp_path, uninterrupted):
    run(tmp_path, replace(TINY, seed=1))
    first, other = final_weights(uninterrupted), final_weights(tmp_path)
    assert any(name.startswith("encoders.") and not torch.equal(first[name], other[name]) for name in first)


def test_draws_do_not_depend_on_what_else_draws(tmp_path, uninterrupted):
    """Neither validation nor an evaluation nor a caller's draws between two steps change the run."""
    model = tiny_model(sine_dataset())
    for step in (2, 5):
        at_training_step(model, step, lambda: torch.rand(5))
    run(tmp_path, model=model)
    assert_same_weights(final_weights(tmp_path), final_weights(uninterrupted))


def test_each_epoch_sees_every_window_once_in_an_order_of_its_own(tmp_path):
    class Watched(Dataset):
        def __getitem__(self, index: int):
            seen.append(index)
            return super().__getitem__(index)

    seen: list[int] = []
    dataset = Watched(sines(), sines(), None, hoa_bins=BINS)
    model = tiny_model(dataset)
    at_training_step(model, 1, lambda: seen.__delitem__(slice(0, -4)))  # what was read to begin with
    run(tmp_path, dataset=dataset, model=model)
    epochs = [seen[i : i + 9] for i in (0, 9, 18)]
    assert len(seen) == 27 and all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(9)]}) == 4


# --- stop and go on ---


def scored() -> dict:
    """Options of a run with held-out recordings and an evaluation."""
    return {"val_dataset": sine_dataset(3, seed=1), "evaluate": watch}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(folder, **scored())
    return folder


def go_on(folder: Path, config: TrainConfig = TINY, step: int | None = None) -> Checkpoint:
    """Resume; interrupted again at a step, if one is given."""
    for path in (folder / "log").iterdir():  # TensorBoard orders event files by their names, which begin with a time
        path.rename(path.with_name(path.name.replace("tfevents.", "tfevents.0")))
    resume = checkpoint.load(folder / "a.pt")
    if step:
        at_training_step(resume.model, step, lambda: os.kill(os.getpid(), signal.SIGINT))
    return run(folder, config, model=resume.model, resume=resume, **scored())


def interrupt(folder: Path, step: int, number: int = signal.SIGINT, config: TrainConfig = TINY) -> Interrupted:
    model = tiny_model(sine_dataset())
    at_training_step(model, step, lambda: os.kill(os.getpid(), number))
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted) as stop:
        run(folder, config, model=model, **scored())
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert checkpoint.load(folder / "a.pt").progress["step"] == step
    return stop.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 6, 9])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, uninterrupted, step, number):
    """At the first step, in an epoch, at the end of an epoch, and at the last step."""
    stop = interrupt(tmp_path, step, number)
    assert stop.exit_status == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert f"step {step}" in str(stop) and f"--resume {tmp_path / 'a.pt'}" in str(stop)
    go_on(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


def test_interrupted_twice_and_resumed_equals_uninterrupted(tmp_path, uninterrupted):
    interrupt(tmp_path, 2)
    with pytest.raises(Interrupted):
        go_on(tmp_path, step=3)
    assert checkpoint.load(tmp_path / "a.pt").progress["step"] == 5
    go_on(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


def test_a_crash_after_the_last_checkpoint_leaves_no_doubled_steps(tmp_path, uninterrupted):
    model = tiny_model(sine_dataset())
    at_training_step(model, 6, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, model=model, **scored())
    assert curves(tmp_path)["train/total_loss"][-1][0] == 5
    assert checkpoint.load(tmp_path / "a.pt").progress["step"] == 3
    go_on(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


def test_resuming_a_finished_run_changes_nothing_and_for_more_epochs_equals_one_long_run(tmp_path, uninterrupted):
    shorter = replace(TINY, epochs=2)
    run(tmp_path, shorter, **scored())
    before, weights = curves(tmp_path), final_weights(tmp_path)
    go_on(tmp_path, shorter)
    assert_same_weights(final_weights(tmp_path), weights)
    assert curves(tmp_path) == before
    go_on(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    ("change", "tracks", "message"),
    [
        ({}, 4, "9 training windows.*4"),
        ({"batch_size": 2}, 9, "batch_size 4, not 2"),  # steps per epoch follow from it
        ({"hoa_window": 3}, 9, "hoa_window 6, not 3"),  # the marginal loss in the checkpoint follows from it
    ],
)
def test_resuming_with_other_data_or_settings_is_refused(tmp_path, change, tracks, message):
    run(tmp_path, replace(TINY, epochs=1))
    resume = checkpoint.load(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message):
        run(tmp_path, replace(TINY, **change), sine_dataset(tracks), resume.model, resume=resume)


# what may change when a run goes on after 3 of its 9 steps, and what of it changes the weights
CHANGES = {"epochs": 4, "lr": 3e-3, "bootstrap_lr": 3e-2, "weight_decay": 0.3, "lr_schedule": "cosine"}
CHANGES |= {"lr_milestones": (1,), "hoa_frames": 1.0, "hide_parts": 0.0, "loss": "paper", "bootstrap_weight": 2.0}
CHANGES |= {"views": 40, "near_frames": 1, "far_frames": 3, "precision": "bfloat16"}
WITHOUT_EFFECT = {"device": "auto", "num_workers": 1, "threads": 1, "log_every_step": 2, "checkpoint_every": 2}


def go_on_by_hand(resume: Checkpoint, dataset: Dataset, config: TrainConfig) -> dict[str, torch.Tensor]:
    """The weights after the rest of a run, with an optimiser of its own that takes over the moments."""
    model, (per_epoch, epochs) = resume.model.train(), steps_and_epochs(config, len(dataset))
    heads = list(model.bootstrap.parameters())
    others = [p for p in model.parameters() if not any(p is head for head in heads)]
    optimizer = torch.optim.AdamW([{"params": others}, {"params": heads}], weight_decay=config.weight_decay)
    for i, p in enumerate([*others, *heads]):
        optimizer.state[p] = {name: one.clone() for name, one in resume.progress["optimizer"]["state"][i].items()}
    hoa = HoALoss(BINS, 6, 8, torch.from_numpy(resume.marginal_loss), config.loss == "normalised")
    for step in range(resume.progress["step"], per_epoch * epochs):
        windows, batch = next(epoch_batches(dataset, config, step, torch.device("cpu")))
        factor = learning_rate_factor(config, per_epoch, epochs, step)
        for group, rate in zip(optimizer.param_groups, (config.lr, config.bootstrap_lr), strict=True):
            group["lr"] = rate * factor
        optimizer.zero_grad()
        TrainingStep(model, hoa, config)(batch, step, len(windows))["total_loss"].backward()
        optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("name", [*CHANGES, *WITHOUT_EFFECT])
def test_a_run_goes_on_with_the_settings_given_anew(tmp_path, uninterrupted, name):
    run(tmp_path, replace(TINY, epochs=1))
    path, value = tmp_path / "a.pt", (CHANGES | WITHOUT_EFFECT)[name]
    config, resume = replace(TINY, **{name: value}), checkpoint.load(path)
    done = run(tmp_path / "on", config, model=resume.model, resume=resume)
    assert done.settings[name] == value
    assert_same_weights(done.model.state_dict(), go_on_by_hand(checkpoint.load(path), sine_dataset(), config))
    one, other = final_weights(tmp_path / "on"), final_weights(uninterrupted)
    assert any(not torch.equal(one[key], other[key]) for key in one) == (name in CHANGES)


def test_flags_given_anew_hold_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keypoints = np.random.default_rng(0).normal(size=(4, 150, 3, 2)).cumsum(axis=1).astype(np.float32)
    np.savez("k.npz", keypoints=keypoints)
    data = ["--data_root", "k.npz", "--sequence_length", "80", "--views", "3", "--threads", "1"]
    custom_dataset.main([*data, "--ckpt_path", "a.pt", "--epochs", "1"])
    custom_dataset.main([*data[:2], "--resume", "a.pt", "--epochs", "2", "--lr", "1e-6", "--lr_schedule", "steps"])
    done = checkpoint.load("a.pt")
    assert [done.settings[name] for name in ("lr", "lr_schedule", "views", "threads")] == [1e-6, "steps", 3, 1]
    assert [group["lr"] for group in done.progress["optimizer"]["param_groups"]] == [1e-6, 1e-2]


def test_all_settings_that_may_change_are_tried():
    assert {f.name for f in fields(TrainConfig) if not f.metadata.get("fixed")} == {*CHANGES, *WITHOUT_EFFECT}


def test_global_generators_are_left_as_they_were(tmp_path, uninterrupted):
    dataset, model = sine_dataset(), tiny_model(sine_dataset())
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    run(tmp_path, TINY, dataset, model, **(scored() | {"evaluate": None}))
    new_model(dataset, {"short_term": {"num_channels": (3,)}, "hidden_layers": ()}, 3)
    assert torch.equal(torch.get_rng_state(), states[0]) and (np.random.get_state()[1] == states[1]).all()
    assert_same_weights(final_weights(tmp_path), final_weights(uninterrupted))


def test_without_paths_nothing_is_written_and_the_model_is_the_same(tmp_path, uninterrupted, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = sine_dataset()
    done = train(tiny_model(dataset), dataset, TINY, ckpt_path=None, log_dir=None)
    assert_same_weights(done.model.state_dict(), final_weights(uninterrupted))
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_written_every_so_many_epochs_and_at_the_end(tmp_path):
    steps, path = [], tmp_path / "a.pt"
    model = tiny_model(sine_dataset(4))
    for step in range(1, 6):
        look = lambda: steps.append(checkpoint.load(path).progress["step"] if path.exists() else None)  # noqa: E731
        at_training_step(model, step, look)
    run(tmp_path, replace(TINY, epochs=5, checkpoint_every=2), sine_dataset(4), model)
    assert [*steps, checkpoint.load(path).progress["step"]] == [None, None, 2, 2, 4, 5]


# --- data at the edge and losses that are not finite ---


def assert_trains_with_finite_losses(folder: Path, dataset: Dataset, config: TrainConfig = TINY) -> dict:
    run(folder, config, dataset, val_dataset=dataset)
    found = curves(folder)
    assert set(found) == SCALARS
    assert all(math.isfinite(value) for curve in found.values() for _, value in curve)
    assert all(torch.isfinite(value).all() for name, value in final_weights(folder).items() if name != "scale.limit")
    return found


def walks(*missing, unit: float = 1.0) -> Dataset:
    keypoints = np.cumsum(np.random.default_rng(0).standard_normal((5, 40, 3, 2)), axis=1).astype(np.float32) * unit
    for at in missing:
        keypoints[at] = np.nan
    return KeypointsDataset(keypoints, hoa_bins=BINS)


ALL = slice(None)
CONSTANT = np.concatenate([sines(1), np.full((1, 40, 1), 7, np.float32)], axis=-1)
EDGES = {
    "padding, a gap, a keypoint and a track missing": walks((0, slice(15, None)), (1, slice(10, 20)), (2, ALL, 0), 3),
    "a keypoint that no track has": walks((ALL, ALL, 1)),
    "tiny": walks(unit=1e-4),
    "huge": walks(unit=1e4),
    "one track, a constant channel": Dataset(CONSTANT, CONSTANT, None, hoa_bins=BINS),
    "a batch larger than the data": sine_dataset(3),
}


@pytest.mark.parametrize("loss", ["normalised", "paper"])
@pytest.mark.parametrize("kind", EDGES)
def test_data_at_the_edge_train_with_finite_losses(tmp_path, kind, loss):
    found = assert_trains_with_finite_losses(tmp_path, EDGES[kind], replace(TINY, loss=loss))
    assert found["train/byol_loss_short_term"][0][1] > 0
    assert found["train/total_loss"][-1][0] == 3 * -(-len(EDGES[kind]) // 4)


@pytest.mark.parametrize("tracks", [4, 40])
def test_a_batch_in_which_only_one_track_has_views(tracks):
    """BatchNorm still sees enough pairs, however many tracks without an observation are in the batch."""
    valid = np.zeros((tracks, 40), bool)
    valid[2] = True
    dataset = Dataset(sines(tracks), sines(tracks), valid, hoa_bins=BINS)
    model, pairs = tiny_model(dataset).train(), []
    model.bootstrap["short_term"].register_forward_pre_hook(lambda _, args: pairs.append(len(args[0])))
    step = TrainingStep(model, HoALoss(BINS, 6, 8, torch.tensor([0.05, 0.05])), TINY)
    assert all(torch.isfinite(value) for value in step(whole_batch(dataset), 0, tracks).values())
    assert pairs[0] >= 32


def test_what_nobody_observed_changes_no_loss():
    """Nor does it get a gradient: only usable pairs of views are in BatchNorm."""
    valid = np.random.default_rng(0).random((5, 40)) < 0.5
    valid[[1, 3], 8:] = False  # before frame 8 there is no loss
    dataset = Dataset(sines(5), sines(5), valid, hoa_bins=BINS)
    batch, hoa = whole_batch(dataset), HoALoss(BINS, 6, 8, torch.tensor([0.05, 0.02]))
    batch["input"].requires_grad_()
    other = batch | {"input": batch["input"].detach().clone()}
    other["input"][[1, 3]] = 9
    model = tiny_model(dataset, dropout=0.0).train()
    found, same = (TrainingStep(model, hoa, TINY)(one, 0, 5) for one in (batch, other))
    torch.testing.assert_close(found, same, rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(found["total_loss"], batch["input"])
    assert (gradient.abs().amax((1, 2)) > 0).tolist() == [True, False, True, False, True]


def test_a_batch_that_nobody_observed_has_no_loss_and_leaves_batch_norm_as_it_is():
    valid = np.ones((5, 40), bool)
    valid[:4] = False
    dataset = Dataset(sines(5), sines(5), valid, hoa_bins=BINS)
    model, batch = tiny_model(dataset).train(), dataset.batch([0, 1, 2, 3])
    before = {name: value.clone() for name, value in model.bootstrap.named_buffers()}
    values = TrainingStep(model, HoALoss(BINS, 6, 8, torch.ones(2)), TINY)(batch, 0, 4)
    values["total_loss"].backward()
    assert values["byol_loss_short_term"] == values["byol_loss_long_term"] == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.bootstrap.named_buffers())


def test_windows_without_context_have_no_loss_and_no_skill(tmp_path):
    found = assert_trains_with_finite_losses(tmp_path, sine_dataset(frames=8))
    assert {value for tag in ("train/hoa_loss", "train/hoa_skill", "val/hoa_skill") for _, value in found[tag]} == {0}


def test_encoders_without_bootstrap(tmp_path):
    kept = run(tmp_path, model=tiny_model(sine_dataset(), bootstrap="none")).model
    assert not [tag for tag in curves(tmp_path) if "byol" in tag]
    assert kept.bootstrap_kinds == {"short_term": "none", "long_term": "none"}


class Poisoned(Dataset):
    """A data set of which one track reads as NaN from the time when `poison` is set."""

    poison: int | None = None

    def __getitem__(self, index: int):
        item = super().__getitem__(index)
        if index == self.poison:
            item["input"][20:] = float("nan")
        return item


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    dataset = Poisoned(sines(), sines(), None, hoa_bins=BINS)
    dataset.poison = 7
    with pytest.raises(FloatingPointError, match="no checkpoint was written yet"):
        run(tmp_path, dataset=dataset)
    assert not (tmp_path / "a.pt").exists()
    dataset.poison = None
    model = tiny_model(dataset)
    at_training_step(model, 3, lambda: setattr(dataset, "poison", 7))
    with pytest.raises(FloatingPointError) as error:
        run(tmp_path, dataset=dataset, model=model)
    kept = checkpoint.load(tmp_path / "a.pt")
    assert kept.progress["step"] == 3
    assert all(torch.isfinite(value).all() for value in kept.model.state_dict().values())
    message = str(error.value)
    assert "hoa_loss" in message and "byol_loss_long_term" in message and "total_loss" in message
    tracks = re.search(r"tracks in the batch, counted from 0: ([\d, ]+)\)", message)[1].split(", ")
    assert "7" in tracks and len(tracks) in (1, 4)
    last = curves(tmp_path)["train/total_loss"][-1][0]
    assert f"step {last}" in message or f"step {last + 1}" in message
    assert "\n" not in message


@pytest.mark.parametrize(("factor", "epochs"), [("inf", 3), ("nan", 1)])
def test_weights_that_are_not_finite_never_become_the_checkpoint(tmp_path, factor, epochs):
    """A finite loss can have an infinite step: one step per epoch, and the checkpoint is written after it."""
    dataset = sine_dataset(4)
    model = tiny_model(dataset)
    model.predictor.layers[0].weight.register_hook(lambda gradient: gradient * float(factor))
    with pytest.raises(FloatingPointError, match="step"):
        run(tmp_path, replace(TINY, epochs=epochs), dataset, model)
    assert not (tmp_path / "a.pt").exists()


# --- settings ---


def one_step(tmp_path: Path, **changes) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Dataset]:
    """Parameters before and after a single step, and the data set."""
    dataset = sine_dataset(4)
    model = tiny_model(dataset)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run(tmp_path, replace(TINY, epochs=1, **changes), dataset, model)
    return before, {name: p.detach() for name, p in model.named_parameters()}, dataset


def test_bootstrap_predictors_have_their_own_learning_rate_and_weights_decay(tmp_path):
    """The first step of AdamW is as long as the learning rate, where there is a gradient."""
    before, after, _ = one_step(tmp_path, lr=1e-4, bootstrap_lr=3e-2, loss="paper", weight_decay=0.0)
    steps = {name: float((after[name] - before[name]).abs().max()) for name in before}
    for name, step in steps.items():
        assert step == pytest.approx(3e-2 if name.startswith("bootstrap.") else 1e-4, rel=0.02), name
    assert any(name.startswith("bootstrap.long_term") for name in steps)
    before, after, _ = one_step(tmp_path / "decay", lr=1e-3, weight_decay=100.0, loss="paper", bootstrap_lr=0.0)
    name = "predictor.layers.0.weight"
    torch.testing.assert_close(after[name], before[name] * 0.9, atol=1.1e-3, rtol=0)
    assert torch.equal(after["bootstrap.short_term.0.weight"], before["bootstrap.short_term.0.weight"])


def test_the_normalised_start_is_the_log_of_the_histogram_and_the_papers_is_random(tmp_path):
    """So that the normalised skill starts at 0, nothing learnt yet, and the paper's below it."""
    frozen = {"lr": 0.0, "bootstrap_lr": 0.0, "hoa_frames": 1.0}
    before, after, dataset = one_step(tmp_path / "normalised", **frozen)
    counts = dataset.statistics.counts + 1.0
    expected = np.log(counts / counts.sum(1, keepdims=True)).ravel()
    np.testing.assert_allclose(after["predictor.layers.2.bias"].numpy(), expected, rtol=1e-5)
    assert after["predictor.layers.2.weight"].std() < 0.1 * before["predictor.layers.2.weight"].std()
    assert curves(tmp_path / "normalised")["train/hoa_skill"][0][1] == pytest.approx(0, abs=0.02)
    before, after, _ = one_step(tmp_path / "paper", loss="paper", **frozen)
    assert_same_weights(before, after)
    assert curves(tmp_path / "paper")["train/hoa_skill"][0][1] < -0.05


@pytest.mark.parametrize(("loss", "weight"), [("normalised", 5), ("paper", 500)])
def test_the_losses_of_a_step_are_those_put_together_by_hand(loss, weight):
    """Every frame is predicted, nothing hidden and dropout off, so that only the views are drawn."""
    dataset = sine_dataset(4)
    model, batch = tiny_model(dataset, dropout=0.0).train(), whole_batch(dataset)
    hoa = HoALoss(BINS, 6, 8, torch.tensor([0.05, 0.02]), loss == "normalised")
    scores = scores_at_every_frame(model, hoa, batch)
    config = replace(TINY, loss=loss, bootstrap_weight=0.25, hoa_frames=1.0, hide_parts=0.0)
    values = {name: value.detach() for name, value in TrainingStep(model, hoa, config)(batch, 0, 4).items()}
    torch.testing.assert_close(values["hoa_skill"], scores.skill)
    torch.testing.assert_close(values["hoa_loss"], scores.distance)
    term = 1 - values["hoa_skill"] if loss == "normalised" else values["hoa_loss"]
    bootstrap = values["byol_loss_short_term"] + values["byol_loss_long_term"]
    assert float(values["total_loss"]) == pytest.approx(float(weight * term + 0.25 * bootstrap), rel=1e-5)
    assert bootstrap > 0.1


def test_views_have_context_and_an_observation_and_are_enough_for_batch_norm(monkeypatch):
    valid = np.ones((4, 40), bool)
    valid[1, 20:30] = False
    dataset = Dataset(sines(4), sines(4), valid, hoa_bins=BINS)
    batch = whole_batch(dataset)
    kinds = {}

    def watched(admissible, *options):
        kinds[options[:2]] = [admissible.clone(), original(admissible, *options)]
        return kinds[options[:2]][1]

    original = losses.sample_views
    monkeypatch.setattr(losses, "sample_views", watched)
    TrainingStep(tiny_model(dataset), HoALoss(BINS, 6, 8, torch.ones(2)), TINY)(batch, 0, 4)
    expected = torch.from_numpy(valid.copy())
    expected[:, :8] = False
    assert set(kinds) == {(0, 5), (40, 40)}, "near views, and any two frames of the window"
    for admissible, (track, first, second, usable) in kinds.values():
        assert torch.equal(admissible, expected)
        assert len(track) >= 32 and usable.all()
        assert expected[track, first].all() and expected[track, second].all()


def test_learning_rates_fall_at_the_milestones_in_epochs(tmp_path):
    used: list[list[float]] = []
    with register_optimizer_step_pre_hook(lambda o, *_: used.append([g["lr"] for g in o.param_groups])):
        run(tmp_path, replace(TINY, epochs=4, lr=1e-3, bootstrap_lr=1e-2, lr_milestones=(1, 3)))
    main = np.array([1e-3] * 3 + [1e-4] * 6 + [1e-5] * 3)
    np.testing.assert_allclose(used, np.stack([main, 10 * main], axis=1), rtol=1e-6)
    logged = [value for _, value in curves(tmp_path)["train/lr"]]
    assert logged == pytest.approx(main), "train/lr is not the rate that the step used"


def test_learning_rates_rise_and_fall_along_a_cosine():
    config = replace(TINY, lr_schedule="cosine")
    factors = [learning_rate_factor(config, 50, 4, step) for step in range(201)]
    assert factors[:3] == pytest.approx([1 / 30, 2 / 30, 3 / 30], rel=1e-3)
    plain = [0.02 + 0.98 * (1 + math.cos(math.pi * step / 200)) / 2 for step in range(201)]
    assert factors[29:] == pytest.approx(plain[29:])
    assert factors[200] == pytest.approx(0.02)


def test_no_number_of_epochs_is_as_many_as_make_enough_steps(tmp_path, monkeypatch):
    assert steps_and_epochs(replace(TINY, epochs=0), 9) == (3, ENOUGH_STEPS // 3)
    assert steps_and_epochs(replace(TINY, epochs=7), 9) == (3, 7)
    monkeypatch.setattr("bams.training.run.ENOUGH_STEPS", 7)
    assert run(tmp_path, replace(TINY, epochs=0)).progress["step"] == 9


def test_training_in_bfloat16_goes_on_as_if_never_stopped_and_is_near_float32(tmp_path, uninterrupted):
    low = replace(TINY, precision="bfloat16")
    run(tmp_path / "bfloat16", low, **scored())
    pairs = list(zip(*(final_weights(f).values() for f in (tmp_path / "bfloat16", uninterrupted)), strict=True))
    assert all(torch.allclose(a, b, atol=0.05) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in pairs)
    interrupt(tmp_path / "part", 4, config=low)
    go_on(tmp_path / "part", low)
    assert_same_run(tmp_path / "part", tmp_path / "bfloat16")
