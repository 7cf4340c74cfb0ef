"""The network against plain loops, closed forms and the footprint of its gradient."""

import numpy as np
import pytest
import torch

from bams.models.bams import BAMS, MLP, InputScale
from bams.models.pointwise import Dropout, PReLU
from bams.models.tcn import TemporalBlock, TemporalConvNet

PAPER_SHORT = {"num_channels": (64, 64, 32, 32), "kernel_size": 3}
PAPER_LONG = {"num_channels": (64, 64, 64, 32, 32), "kernel_size": 3, "dilation": 4}
KINDS = {"short_term": "near", "long_term": "far"}


def tiny_model(input_size: int = 4, target_size: int = 3, bins: int = 5, **options) -> BAMS:
    torch.manual_seed(0)
    encoders = {
        "short_term": dict(num_channels=(6, 4), kernel_size=3, **options),
        "long_term": dict(num_channels=(5, 5, 3), kernel_size=2, dilation=3, **options),
    }
    return BAMS(input_size, **encoders, predictor={"hidden_layers": (-1, 8, 9, target_size * bins)})


def earliest_frame_that_matters(network: TemporalConvNet, frames: int) -> int:
    """By the gradient of the last frame's output with respect to every frame of the input."""
    x = torch.randn(1, frames, network.blocks[0].convs[0].in_channels, dtype=torch.float64, requires_grad=True)
    network.double().eval()(x)[0, -1].sum().backward()
    return int(torch.nonzero(x.grad[0].abs().sum(-1))[0])


def test_call_of_the_papers_scripts_unpacks_as_a_triple():
    predictor = {"hidden_layers": (-1, 256, 512, 512, 5 * 32)}
    model = BAMS(29, short_term=PAPER_SHORT, long_term=PAPER_LONG, predictor=predictor)
    embs, hoa_pred, byol_preds = model(torch.randn(2, 40, 29))
    for found in (embs, byol_preds):
        assert {name: part.shape for name, part in found.items()} == dict.fromkeys(KINDS, (2, 40, 32))
    assert hoa_pred.shape == (2, 40, 5 * 32)
    assert hoa_pred.dtype == embs["short_term"].dtype == byol_preds["long_term"].dtype == torch.float32
    assert model.bootstrap_kinds == KINDS
    short, long = map(str(model).index, ("(short_term)", "(long_term)"))
    assert "receptive_field=61 frames" in str(model)[short:long]
    assert "receptive_field=1365 frames" in str(model)[long:]


def test_any_number_of_encoders_with_any_names_and_kinds():
    encoder = {"num_channels": (3, 2)}
    model = BAMS(
        4,
        minutes=encoder,
        short_term={**encoder, "bootstrap": "far"},
        hours={**encoder, "bootstrap": "near"},
        long_term={**encoder, "bootstrap": "none"},
        predictor={"hidden_layers": (-1, 6)},
    )
    assert model.bootstrap_kinds == {"minutes": "none", "short_term": "far", "hours": "near", "long_term": "none"}
    embs, hoa_pred, byol_preds = model.eval()(torch.zeros(1, 5, 4))
    assert list(embs) == ["minutes", "short_term", "hours", "long_term"]
    assert list(byol_preds) == ["short_term", "hours"]
    assert hoa_pred.shape == (1, 5, 6)


def test_the_predictors_input_size_is_found_or_must_fit():
    model = tiny_model()
    joined = 4 + 4 + 3
    assert model.predictor.layers[0].in_features == joined
    assert model.config["predictor"]["hidden_layers"] == [joined, 8, 9, 15]
    with pytest.raises(ValueError, match="6 numbers, not 7"):
        BAMS(4, a={"num_channels": (3, 2)}, predictor={"hidden_layers": (7, 5)})


@pytest.mark.parametrize("size", [4, np.int64(4)])
def test_the_config_rebuilds_the_model(size):
    model = tiny_model(input_size=size)
    again = BAMS(**model.config)
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 9, 4)
    assert torch.equal(model.eval()(x).hoa_pred, again.eval()(x).hoa_pred)


# --- refusals ---


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 6, 5), r"axes \(1, 6, 5\) .*; expected \(tracks, frames, 4\)"),
        (torch.zeros(6, 4), r"axes \(6, 4\) .*; expected \(tracks, frames, 4\)"),
        (torch.zeros(1, 0, 4), r"axes \(1, 0, 4\).*none of them 0"),
        (torch.zeros(1, 6, 4, dtype=torch.float64), r"float64; expected .* of torch.float32"),
        *(
            (torch.zeros(1, 6, 4).index_fill(2, torch.tensor(3), value), r"NaN or infinite.*fill_gaps")
            for value in (np.nan, -np.inf)
        ),
    ],
)
def test_input_that_does_not_fit_is_refused_with_the_way_out(x, message):
    with pytest.raises(ValueError, match=message):
        tiny_model()(x)


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        ({"a": {"num_channels": (3,), "channel": 3}}, "a: .*channel"),
        ({"a": {"kernel_size": 3}}, "a: .*num_channels"),
        ({"a": {"num_channels": (3,), "bootstrap": "close"}}, "a: .*'close'.*near, far, none"),
        ({"a": {"num_channels": ()}}, "at least 1"),
        ({}, "at least one encoder"),
        ({"half": {"num_channels": (3,)}}, "half"),
        ({"0.5s": {"num_channels": (3,)}}, "0.5s"),
    ],
)
def test_encoders_that_make_no_network_are_refused(encoders, message):
    with pytest.raises(ValueError, match=message):
        BAMS(4, **encoders, predictor={"hidden_layers": (-1, 6)})


def test_layers_of_one_size_are_no_network():
    with pytest.raises(ValueError, match=r"hidden_layers must be two or more sizes, not \(3,\)"):
        MLP((3,))


@pytest.mark.parametrize("predictor", [{}, {"hidden_layers": (-1,)}, {"hidden_layers": (-1, 5), "dropout": 0.1}])
def test_a_predictor_of_other_keys_or_sizes_is_refused(predictor):
    with pytest.raises(ValueError, match="hidden_layers"):
        BAMS(4, a={"num_channels": (3,)}, predictor=predictor)


# --- time ---


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (PAPER_SHORT, 61),
        (PAPER_LONG, 1365),
        ({"num_channels": (16, 16), "kernel_size": 2, "num_layers_per_block": 1}, 4),
        ({"num_channels": (32, 32, 32)}, 29),
    ],
)
def test_receptive_field_is_the_gradients_footprint(options, expected):
    torch.manual_seed(0)
    network = TemporalConvNet(3, **options)
    assert network.receptive_field == expected
    assert earliest_frame_that_matters(network, expected + 8) == 8


def test_changing_the_future_changes_nothing_before():
    model = tiny_model().eval()
    x = torch.randn(2, 50, 4)
    changed = x.clone()
    changed[:, 30:] += 5
    before, after = ([o.hoa_pred, *o.embs.values(), *o.byol_preds.values()] for o in (model(x), model(changed)))
    assert len(before) == 5
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[:, :30], new[:, :30])
        assert not torch.equal(old[:, 30], new[:, 30])


# --- structure, recomputed plainly ---


def as_numpy(x: torch.Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def numpy_prelu(x: np.ndarray, module: torch.nn.PReLU) -> np.ndarray:
    assert module.weight.numel() == 1
    return np.where(x > 0, x, module.weight.item() * x)


def numpy_block(block: TemporalBlock, x: np.ndarray, dilation: int) -> np.ndarray:
    """(channels_in, T) -> (channels, T): the block of the design, frame by frame in float64."""
    state = {name: as_numpy(value) for name, value in block.state_dict().items()}
    y = x
    for layer in range(len(block.convs)):
        if layer == 0:
            weight = state["convs.0.weight"]
        else:
            length, direction = (state[f"convs.{layer}.parametrizations.weight.original{i}"] for i in (0, 1))
            weight = length * direction / np.sqrt((direction**2).sum((1, 2), keepdims=True))
        kernel, out = weight.shape[2], np.zeros((len(weight), x.shape[1]))
        for t in range(x.shape[1]):
            out[:, t] = state[f"convs.{layer}.bias"]
            for k in range(kernel):
                if t - k * dilation >= 0:
                    out[:, t] += weight[:, :, kernel - 1 - k] @ y[:, t - k * dilation]
        y = numpy_prelu(out, block.activations[layer])
    if "residual.weight" in state:
        x = state["residual.weight"][:, :, 0] @ x + state["residual.bias"][:, None]
    return numpy_prelu(y + x, block.activation)


@pytest.mark.parametrize(
    ("channels_in", "channels", "kernel", "dilation", "layers"),
    [(3, 3, 3, 1, 2), (3, 5, 3, 2, 2), (4, 2, 2, 5, 1), (2, 2, 4, 3, 3)],
)
def test_block_equals_a_plain_recomputation(channels_in, channels, kernel, dilation, layers):
    torch.manual_seed(1)
    sizes = {"kernel_size": kernel, "dilation": dilation, "layers": layers}
    block = TemporalBlock(channels_in, channels, **sizes, dropout=0.2).eval()
    with torch.no_grad():
        for parameter in block.parameters():  # slopes and lengths of their own
            parameter.copy_(torch.randn(parameter.shape) * 0.5)
    x = torch.randn(1, channels_in, 37)
    expected = numpy_block(block, as_numpy(x[0]), dilation)
    np.testing.assert_allclose(as_numpy(block(x[:, :, None])[0, :, 0]), expected, rtol=1e-5, atol=1e-5)


def test_activations_start_at_a_slope_of_a_tenth():
    slopes = [m.weight for m in tiny_model().modules() if isinstance(m, torch.nn.PReLU)]
    assert len(slopes) == 3 * (2 + 3) + 2  # three in a block, one between two layers of the predictor
    assert all(slope.tolist() == [pytest.approx(0.1)] for slope in slopes)


def test_mlp_equals_a_plain_recomputation():
    torch.manual_seed(0)
    mlp = MLP((3, 5, 4, 2))
    with torch.no_grad():
        mlp.layers[1].weight.fill_(0.3)
        mlp.layers[3].weight.fill_(-0.2)
    x = torch.randn(6, 3)
    y = as_numpy(x)
    for i in (0, 2, 4):
        y = y @ as_numpy(mlp.layers[i].weight).T + as_numpy(mlp.layers[i].bias)
        if i < 4:
            y = np.where(y > 0, y, {0: 0.3, 2: -0.2}[i] * y)
    np.testing.assert_allclose(as_numpy(mlp(x)), y, atol=1e-6)


def test_actions_are_predicted_from_all_embeddings_and_the_input_at_the_same_frame():
    model = tiny_model().eval()
    x = torch.randn(2, 12, 4)
    embs, hoa_pred, _ = model(x)
    joined = torch.cat([embs["short_term"], embs["long_term"], x], dim=-1)
    torch.testing.assert_close(hoa_pred, model.predictor(joined))
    some = {name: emb[:, 3:5] for name, emb in embs.items()}
    torch.testing.assert_close(model.predict_actions(some, x[:, 3:5]), hoa_pred[:, 3:5])


@pytest.mark.parametrize("training", [False, True])
def test_bootstrap_predictor_equals_a_plain_recomputation(training):
    model = tiny_model(dropout=0.0).train(training)
    linear, norm, _, last = model.bootstrap["short_term"]
    assert linear.weight.shape == (16, 4) and linear.bias is None and last.weight.shape == (4, 16)
    with torch.no_grad():
        norm.running_mean.copy_(torch.randn(16) * 0.1)
        norm.running_var.copy_(torch.rand(16) + 0.5)
        norm.weight.copy_(torch.rand(16) + 0.5)
        norm.bias.copy_(torch.randn(16) * 0.1)
    mean, variance = as_numpy(norm.running_mean), as_numpy(norm.running_var)
    embs, _, byol_preds = model(torch.randn(3, 11, 4))
    y = as_numpy(embs["short_term"]).reshape(33, 4) @ as_numpy(linear.weight).T
    if training:
        mean, variance = y.mean(0), y.var(0)
    y = (y - mean) / np.sqrt(variance + 1e-5) * as_numpy(norm.weight) + as_numpy(norm.bias)
    y = np.maximum(y, 0) @ as_numpy(last.weight).T + as_numpy(last.bias)
    np.testing.assert_allclose(as_numpy(byol_preds["short_term"]), y.reshape(3, 11, 4), atol=2e-5)


# --- scale, dropout, start ---


def test_input_scale_centres_scales_and_clips():
    scale = InputScale(2)
    far = torch.randn(50, 2) * 1e6
    assert torch.equal(scale(far), far)  # until it is set
    scale.set(torch.tensor([10.0, -1.0]), torch.tensor([2.0, 0.5]))
    x = torch.tensor([[10.0, -1.0], [12.0, -0.5], [16.5, -3.0], [-90.0, 90.0]])
    assert scale(x).tolist() == [[0, 0], [1, 1], [3, -3], [-3, 3]]
    assert InputScale(2).state_dict().keys() == {"centre", "scale", "limit"}


def test_the_model_scales_its_own_input_everywhere():
    model, other = tiny_model().eval(), tiny_model().eval()
    centre, scale = torch.tensor([5.0, 0, -2, 100]), torch.tensor([2.0, 1, 0.1, 30])
    model.scale.set(centre, scale)
    x = torch.randn(2, 30, 4).clamp(-2, 2)
    features = x * scale + centre
    before = features.clone()
    scaled, plain = model(features), other(x)
    torch.testing.assert_close(scaled.hoa_pred, plain.hoa_pred, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scaled.embs, plain.embs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.encode(features), scaled.embs)
    assert torch.equal(features, before), "the caller's tensor has changed"


def test_dropout_acts_in_training_only():
    model = tiny_model()
    x = torch.randn(2, 30, 4)
    with torch.no_grad():
        first, second = model.eval()(x), model(x)
        assert torch.equal(first.embs["short_term"], second.embs["short_term"])
        model.train()
        assert not torch.equal(model(x).embs["short_term"], model(x).embs["short_term"])
    without = tiny_model(dropout=0.0)
    without.load_state_dict(model.state_dict())
    torch.testing.assert_close(without.train()(x).embs["long_term"], first.embs["long_term"])


@pytest.mark.parametrize("probability", [0.05, 0.2, 0.5, 0.99])
def test_dropout_has_the_law_of_independent_draws(probability):
    """Mean and variance of what stays, and no correlation between elements, also of one random number."""
    torch.manual_seed(0)
    layer = Dropout(probability)
    out = layer(torch.ones(400, 1000))
    dropped = (out == 0).double()
    assert float(dropped.mean()) == pytest.approx(probability, abs=5 * (probability / 400_000) ** 0.5)
    assert float(out.max()) == pytest.approx(1 / (1 - probability), rel=2e-3)
    assert float(out.mean()) == pytest.approx(1, abs=5 * (probability / (1 - probability) / 400_000) ** 0.5)
    standard = (dropped.flatten() - probability) / (probability * (1 - probability)) ** 0.5
    for lag in (1, 2, 3, 4, 5, 8, 1000):
        assert abs(float((standard[lag:] * standard[:-lag]).mean())) < 5 / 400_000**0.5
    assert not torch.equal(layer(torch.ones(10, 10)), layer(torch.ones(10, 10)))


def test_dropout_of_channels_last_lies_in_memory_as_its_input():
    x = torch.ones(3, 40, 1, 50).contiguous(memory_format=torch.channels_last)
    out = Dropout(0.4)(x)
    assert out.is_contiguous(memory_format=torch.channels_last)
    dropped = (out == 0).double()
    for axis in range(4):
        others = [i for i in range(4) if i != axis]
        share, count = dropped.mean(others), x.numel() / x.shape[axis]
        assert ((share - 0.4).abs() < 5 * (0.24 / count) ** 0.5).all()


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("slope", [0.1, -0.3, 0.0, 1.7])
def test_prelu_equals_that_of_torch_in_double_precision(slope, dtype, close):
    torch.manual_seed(0)
    x = torch.randn(3, 4, 1, 50).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    ours, plain = PReLU(slope), torch.nn.PReLU(init=slope).double()
    twin = x.detach().double().requires_grad_()
    gradient = torch.randn(3, 4, 1, 50).to(dtype)
    out, expected = ours(x), plain(twin)
    out.backward(gradient)
    expected.backward(gradient.double())
    torch.testing.assert_close(out.double(), expected, rtol=close, atol=close)
    torch.testing.assert_close(x.grad.double(), twin.grad, rtol=close, atol=close)
    torch.testing.assert_close(ours.weight.grad.double(), plain.weight.grad, rtol=close, atol=10 * close)
    assert out.dtype == x.grad.dtype == dtype and ours.weight.grad.dtype == torch.float32
    assert list(ours.state_dict()) == list(plain.state_dict())


def test_dropout_takes_any_shape_and_lets_gradients_through_where_it_kept():
    torch.manual_seed(0)
    for shape in [(1,), (3, 5), (2, 3, 7), (0, 4)]:
        x = torch.randn(shape, requires_grad=True)
        out = Dropout(0.3)(x)
        out.sum().backward()
        assert out.shape == x.shape
        torch.testing.assert_close(x.grad * x, out)
    assert Dropout(0.3)(torch.ones(8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert Dropout(0.0)(x) is x and Dropout(0.9).eval()(x) is x


def test_start_at_makes_the_prediction_begin_at_the_given_histogram():
    model = tiny_model().eval()
    x = torch.randn(2, 30, 4)
    histogram = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(5), 3)).float()

    def furthest() -> float:
        predicted = torch.softmax(model(x).hoa_pred.view(2, 30, 3, 5), dim=-1)
        return float((predicted - histogram).abs().max().detach())

    assert furthest() > 0.1
    model.start_at(histogram.log().flatten())
    assert 0 < furthest() < 0.01
    assert all(p.requires_grad for p in model.parameters())


def test_a_hidden_part_does_not_matter_to_the_action_predictor_and_a_kept_one_does():
    model = tiny_model().eval()
    x = torch.randn(3, 12, 4)
    embs = model.encode(x)
    keep = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    there = model.predict_actions(embs, x, keep)
    torch.testing.assert_close(there[0], model.predict_actions(embs, x)[0])
    other = {**embs, "short_term": embs["short_term"] + 1}
    changed = model.predict_actions(other, x, keep)
    assert torch.equal(changed[1], there[1])
    assert not torch.equal(changed[2], there[2])
    assert torch.equal(model.predict_actions(embs, x + 1, keep)[2], there[2])
