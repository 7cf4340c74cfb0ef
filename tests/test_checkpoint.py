"""A checkpoint rebuilds its model, opens without running code, and says in one sentence what is wrong with it."""

import copy
import runpy
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import bams
from bams import checkpoint
from bams.checkpoint import Checkpoint
from bams.models.bams import BAMS
from bams.statistics import Statistics
from bams.storage import tensors

TINY = Path(__file__).parent / "data" / "released_tiny.pt"
GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "released_small.pt"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files of ../shared are not here")
MADE = np.load(TINY.with_suffix(".npz"))  # outputs of the released code with the weights of TINY
STATISTICS = Statistics(
    centre=np.arange(4, dtype=np.float32),
    scale=np.ones(4, np.float32),
    edges=np.array([[0.1, 0.2, 0.3, 0.4]] * 2, np.float32),
    counts=np.arange(10).reshape(2, 5),
)
plain = runpy.run_path(str(TINY.with_name("make_released_tiny.py")))


def tiny_model(input_size: int = 4) -> BAMS:
    torch.manual_seed(0)
    model = BAMS(
        input_size,
        short_term={"num_channels": (4, 3)},
        pace={"num_channels": (3,), "kernel_size": 2, "dilation": 3, "num_layers_per_block": 1, "dropout": 0.1},
        predictor={"hidden_layers": (-1, 6, 10)},
    )
    model.scale.set(torch.tensor([1.0, -2.0, 0.0, 3.0]), torch.tensor([2.0, 1.0, 0.5, 4.0]))
    model(torch.randn(2, 30, 4) * 3)  # so that BatchNorm has statistics of its own
    return model


def tiny_checkpoint(model: BAMS | None = None, **changes) -> Checkpoint:
    model = model or tiny_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model(torch.randn(2, 30, 4)).hoa_pred.square().sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7])
    content = {
        "dataset": "mice",
        "statistics": STATISTICS,
        "marginal_loss": np.array([0.1, 0.2], np.float32),
        "features": {"inputs": ("x", "y"), "actions": ["speed"], "keypoints": None},
        "settings": {"epochs": 3, "lr": 1e-3, "lr_milestones": (1, 2), "ckpt_path": Path("a") / "b.pt"},
        "progress": {"epoch": 2, "step": 11, "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()},
        "versions": {"torch": torch.__version__.split("+")[0]},
    }
    return Checkpoint(model=model, **{**content, **changes})


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return checkpoint.save(tmp_path_factory.mktemp("checkpoint") / "tiny.pt", tiny_checkpoint())


def outputs(model: BAMS) -> list[torch.Tensor]:
    x = torch.randn(2, 40, model.config["input_size"], generator=torch.Generator().manual_seed(1)) * 3
    with torch.no_grad():
        embs, hoa_pred, byol_preds = model(x)
    return [hoa_pred, *embs.values(), *byol_preds.values()]


def assert_same(found, expected) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def assert_one_sentence(error: BaseException, path: Path) -> None:
    message = str(error)
    assert str(path) in message, "the message does not name the file"
    assert "\n" not in message, message
    assert len(message) - len(str(path)) < 400, message


@contextmanager
def one_sentence(path: Path, match: str | None = None, error=ValueError):
    """What is done must be refused with one sentence about the file."""
    with pytest.raises(error, match=match) as refused:
        yield
    assert_one_sentence(refused.value, path)


# --- round trip ---


def test_a_saved_model_comes_back_bit_for_bit_and_is_not_changed_itself(tmp_path):
    given = tiny_checkpoint()
    given.model.train()
    before = copy.deepcopy(given.model.state_dict())
    loaded = checkpoint.load(checkpoint.save(tmp_path / "a.pt", given))
    assert given.model.training and isinstance(given.statistics.centre, np.ndarray)
    assert not loaded.model.training
    assert loaded.model.config == given.model.config and loaded.model.bootstrap_kinds == given.model.bootstrap_kinds
    assert_same(given.model.state_dict(), before)
    assert_same(loaded.model.state_dict(), before)
    assert_same(outputs(loaded.model), outputs(given.model.eval()))


def test_all_that_travels_with_the_model_comes_back(tmp_path):
    given = tiny_checkpoint()
    loaded = checkpoint.load(checkpoint.save(tmp_path / "a.pt", given))
    assert loaded.dataset == "mice"
    assert isinstance(loaded.statistics, Statistics)
    for name, value in vars(given.statistics).items():
        assert getattr(loaded.statistics, name).dtype == value.dtype
        np.testing.assert_array_equal(getattr(loaded.statistics, name), value)
    np.testing.assert_array_equal(loaded.marginal_loss, given.marginal_loss)
    assert loaded.features == {"inputs": ["x", "y"], "actions": ["speed"], "keypoints": None}
    assert loaded.settings == {"epochs": 3, "lr": 1e-3, "lr_milestones": [1, 2], "ckpt_path": str(Path("a") / "b.pt")}
    assert loaded.versions == given.versions
    assert (loaded.progress["epoch"], loaded.progress["step"]) == (2, 11)


def test_optimiser_and_scheduler_can_go_on_from_the_file(tmp_path):
    given = tiny_checkpoint()
    loaded = checkpoint.load(checkpoint.save(tmp_path / "a.pt", given))
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=5.0)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1])
    optimizer.load_state_dict(loaded.progress["optimizer"])
    scheduler.load_state_dict(loaded.progress["scheduler"])
    assert len(optimizer.state_dict()["state"]) > 10
    assert_same(optimizer.state_dict()["state"], given.progress["optimizer"]["state"])
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-3] * 3 + [1e-4] * 4 + [1e-5])


def test_the_file_opens_without_running_code(saved):
    content = torch.load(saved, weights_only=True)
    assert set(content) == {
        *("format", "model", "weights", "dataset", "statistics", "marginal_loss", "features", "settings"),
        *("progress", "versions", "reference"),
    }
    assert all(isinstance(value, torch.Tensor) for value in content["statistics"].values())
    assert BAMS(**content["model"]).state_dict().keys() == content["weights"].keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"model": tiny_model(np.int64(4))},
        {"settings": {"lr": np.float64(0.1), "epochs": np.int64(3), "yes": np.bool_(True)}},
        {"features": {"inputs": OrderedDict(mouse=("x", "y"))}},
        {"progress": {"step": np.int64(3)}},
    ],
)
def test_whatever_is_saved_without_complaint_can_be_loaded(tmp_path, changes):
    checkpoint.load(checkpoint.save(tmp_path / "a.pt", tiny_checkpoint(**changes)))


# --- damage ---


def test_a_missing_file_is_one_sentence(tmp_path):
    for load in (checkpoint.load, bams.load_checkpoint, bams.load_released):
        with one_sentence(tmp_path / "no.pt", error=FileNotFoundError):
            load(tmp_path / "no.pt")
    with one_sentence(tmp_path, error=(ValueError, FileNotFoundError)):
        checkpoint.load(tmp_path)


OTHERS = {
    "list": [1, 2],
    "dict": {"epoch": 3},
    "module": torch.nn.Linear(2, 2),
    "later format": {"format": "bams-checkpoint-99"},
    "only format": {"format": checkpoint.FORMAT},
}


@pytest.mark.parametrize("kind", ["empty", "text", "half", "one byte short", "arrays", *OTHERS])
def test_other_and_truncated_files_are_one_sentence_each(tmp_path, saved, kind):
    path, whole = tmp_path / "a.pt", saved.read_bytes()
    contents = {"empty": b"", "text": b"hello" * 50, "half": whole[: len(whole) // 2], "one byte short": whole[:-1]}
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "arrays":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(3))
    else:
        torch.save(OTHERS[kind], path)
    for load in (checkpoint.load, bams.load_released):
        with one_sentence(path):
            load(path)


@pytest.mark.parametrize("part", ["model", "weights", "statistics", "marginal_loss", "progress", "dataset"])
def test_a_missing_part_is_one_sentence(tmp_path, saved, part):
    content = torch.load(saved, weights_only=True)
    del content[part]
    torch.save(content, tmp_path / "a.pt")
    if part == "progress":  # a model can be used without
        assert checkpoint.load(tmp_path / "a.pt").progress == {}
    else:
        with one_sentence(tmp_path / "a.pt"):
            checkpoint.load(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "model",
    [
        {"input_size": 5, "short_term": {"num_channels": [4, 3]}, "predictor": {"hidden_layers": [-1, 6, 10]}},
        {"input_size": 4, "predictor": {"hidden_layers": [-1, 10]}},
        {"input_size": 4, "short_term": {"num_channels": 3}, "predictor": {"hidden_layers": [-1, 10]}},
        {"input_size": "four"},
        [1, 2],
    ],
)
def test_sizes_that_do_not_fit_the_weights_are_one_sentence(tmp_path, saved, model):
    torch.save({**torch.load(saved, weights_only=True), "model": model}, tmp_path / "a.pt")
    with one_sentence(tmp_path / "a.pt"):
        checkpoint.load(tmp_path / "a.pt")


def test_one_changed_byte_is_noticed_or_harmless(tmp_path, saved):
    path, whole, expected = tmp_path / "a.pt", saved.read_bytes(), outputs(bams.load_checkpoint(saved))
    rng, end, noticed = np.random.default_rng(0), len(whole), 0
    # also where zip keeps its list of contents, at the end, with the digest
    places = [0, 4, *rng.choice(end, 50, replace=False), *(end - 1 - rng.choice(3000, 50, replace=False))]
    for place in {*places, *range(end - 40, end)}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = outputs(bams.load_checkpoint(path))
        except ValueError as error:
            assert_one_sentence(error, path)
            noticed += 1
        else:
            assert_same(found, expected)
    assert noticed > 40


def test_a_file_that_was_written_without_a_digest_is_read(tmp_path, saved):
    torch.save(torch.load(saved, weights_only=True), tmp_path / "a.pt")
    assert tensors.MARK in saved.read_bytes() and tensors.MARK not in (tmp_path / "a.pt").read_bytes()
    assert_same(outputs(bams.load_checkpoint(tmp_path / "a.pt")), outputs(bams.load_checkpoint(saved)))


def test_a_changed_weight_is_noticed(tmp_path, saved):
    """Every byte of one tensor counts, and torch itself would not say."""
    whole = saved.read_bytes()
    weight = bams.load_checkpoint(saved).predictor.layers[0].weight.detach().numpy().tobytes()
    place = whole.index(weight) + 9
    (tmp_path / "a.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with one_sentence(tmp_path / "a.pt", "changed"):
        bams.load_checkpoint(tmp_path / "a.pt")


def test_an_error_while_saving_keeps_the_checkpoint_that_was_there(tmp_path, saved):
    path = tmp_path / "a.pt"
    path.write_bytes(saved.read_bytes())
    with pytest.raises(Exception, match=r"pickle|lambda"):
        checkpoint.save(path, tiny_checkpoint(settings={"f": lambda: 0}))
    assert path.read_bytes() == saved.read_bytes() and list(tmp_path.iterdir()) == [path]


# --- files of the released code ---


def compare(model: BAMS, expected=MADE, prefix: str = "") -> None:
    assert not model.training
    with torch.no_grad():
        embs, hoa_pred, byol_preds = model(torch.from_numpy(expected["input"]))
    assert set(embs) == set(byol_preds) == {"short_term", "long_term"}
    found = {"hoa_pred": hoa_pred, **{f"embs/{name}": emb for name, emb in embs.items()}}
    found |= {f"byol_preds/{name}": pred for name, pred in byol_preds.items()}
    for name, value in found.items():
        np.testing.assert_allclose(value.numpy(), expected[f"{prefix}{name}"], atol=1e-5, rtol=0)


def test_released_weights_give_the_outputs_of_the_released_code(tmp_path):
    model = bams.load_released(TINY)
    compare(model)
    assert model.bootstrap_kinds == {"short_term": "near", "long_term": "far"}
    given = Checkpoint(model=model, dataset="released", statistics=STATISTICS, marginal_loss=np.zeros(0, np.float32))
    compare(bams.load_checkpoint(checkpoint.save(tmp_path / "a.pt", given)))


def test_released_weights_with_other_dilations():
    model = bams.load_released(TINY, dilations={"short_term": 3, "long_term": 5})
    compare(model, prefix="other/")
    assert model.encoders["long_term"].receptive_field == 1 + 2 * (1 + 5 + 25)


@needs_golden
def test_golden_weights_give_the_golden_outputs():
    compare(bams.load_released(GOLDEN), np.load(GOLDEN.with_suffix(".npz")))


@needs_golden
def test_the_plain_network_behind_the_tiny_file_is_the_released_one():
    golden = np.load(GOLDEN.with_suffix(".npz"))
    weights = {name: value.numpy() for name, value in torch.load(GOLDEN, weights_only=True).items()}
    found = plain["released_outputs"](weights, golden["input"][:1, :80], plain["DILATIONS"])
    for name, value in found.items():
        np.testing.assert_allclose(value, golden[name][:1, :80], atol=1e-6)


def test_the_tiny_file_is_what_its_script_makes():
    made = plain["random_weights"](np.random.default_rng(2023))
    assert_same(
        {name: torch.from_numpy(value) for name, value in made.items()}, dict(torch.load(TINY, weights_only=True))
    )


def test_released_weights_without_a_bootstrap_predictor_can_be_loaded(tmp_path):
    weights = torch.load(TINY, weights_only=True)
    kept = {name: value for name, value in weights.items() if not name.startswith("byol_predictors.short_term")}
    torch.save(kept, tmp_path / "a.pt")
    embs, _, byol_preds = bams.load_released(tmp_path / "a.pt")(torch.from_numpy(MADE["input"]))
    assert set(embs) == {"short_term", "long_term"} and set(byol_preds) == {"long_term"}


def broken_released_weights() -> dict[str, dict]:
    weights = torch.load(TINY, weights_only=True)
    conv = "encoders.short_term.network.0.conv1.weight"

    def without(part: str) -> dict:
        return {name: value for name, value in weights.items() if part not in name}

    return {
        "no predictor": without("predictor.layers"),
        "a block missing": without(".network.1."),
        "a tensor missing": without(conv),
        "a tensor of another size": {**weights, "predictor.layers.2.bias": torch.zeros(3)},
        "a number for a tensor": {**weights, conv: 3.0},
        "a name too many": {**weights, "encoders.short_term.network.0.conv1.extra": torch.zeros(3)},
        "an encoder of another kind": {"encoders.image.layer.weight": torch.zeros(3, 3)},
        "other numbering": {"encoders.short_term.network.first.conv1.weight": torch.zeros(3, 3, 3)},
        "this library's own bare weights": tiny_model().state_dict(),
    }


@pytest.mark.parametrize("kind", list(broken_released_weights()))
def test_weights_that_are_not_the_released_ones_are_one_sentence(tmp_path, kind):
    torch.save(broken_released_weights()[kind], tmp_path / "a.pt")
    with one_sentence(tmp_path / "a.pt"):
        bams.load_released(tmp_path / "a.pt")


def test_released_weights_are_refused_with_the_way_out():
    with one_sentence(TINY, "longterm"):
        bams.load_released(TINY, dilations={"longterm": 3})
    with one_sentence(TINY, r"bare weights.*load_released"):
        checkpoint.load(TINY)
