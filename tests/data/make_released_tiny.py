"""Makes released_tiny.pt and released_tiny.npz: weights as the released code of the paper saves them, and what
that network computes from them.

The network is written here a second time, frame by frame in float64 numpy, from the description of the released
architecture and without anything of `bams`, so that the two can be held against each other. Run this file to
make both files anew (they come out the same).
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

Weights = Mapping[str, np.ndarray]
INPUT_SIZE, ACTIONS, BINS, KERNEL = 5, 2, 6, 2
CHANNELS = {"short_term": (6, 3), "long_term": (5, 5, 4)}
HIDDEN = (9, 11)
DILATIONS = {"short_term": 2, "long_term": 4}  # the defaults of the paper
OTHER_DILATIONS = {"short_term": 3, "long_term": 5}


def causal_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dilation: int) -> np.ndarray:
    """(T, C_in), (C_out, C_in, kernel), (C_out,) -> (T, C_out); frames before the first are 0."""
    kernel = weight.shape[2]
    out = np.zeros((len(x), len(bias)))
    for t in range(len(x)):
        out[t] = bias
        for k in range(kernel):
            source = t - (kernel - 1 - k) * dilation
            if source >= 0:
                out[t] += weight[:, :, k] @ x[source]
    return out


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, slope[0] * x)


def normed_weight(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Weight norm: each output channel's weights point along v and are g long."""
    return np.stack([g[i].item() * v[i] / np.sqrt((v[i] ** 2).sum()) for i in range(len(v))])


def block(x: np.ndarray, w: Weights, prefix: str, dilation: int) -> np.ndarray:
    y = prelu(causal_convolution(x, w[f"{prefix}conv1.weight"], w[f"{prefix}conv1.bias"], dilation),
              w[f"{prefix}relu1.weight"])  # fmt: skip
    second = normed_weight(w[f"{prefix}conv2.weight_g"], w[f"{prefix}conv2.weight_v"])
    y = prelu(causal_convolution(y, second, w[f"{prefix}conv2.bias"], dilation), w[f"{prefix}relu2.weight"])
    if f"{prefix}downsample.weight" in w:
        x = x @ w[f"{prefix}downsample.weight"][:, :, 0].T + w[f"{prefix}downsample.bias"]
    return prelu(x + y, w[f"{prefix}relu.weight"])


def released_outputs(weights: Weights, tracks: np.ndarray, dilations: Mapping[str, int]) -> dict[str, np.ndarray]:
    """What the released network gives in eval mode.

    Args:
        weights: by the released names.
        tracks: (B, T, F).
        dilations: base of the dilation by encoder name.

    Returns:
        `embs/NAME`, `hoa_pred` and `byol_preds/NAME`, each (B, T, ...) float64.
    """
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    outputs: dict[str, list[np.ndarray]] = {}
    for track in np.asarray(tracks, np.float64):
        joined = []
        for name, base in dilations.items():
            prefix, x, i = f"encoders.{name}.network.", track, 0
            while f"{prefix}{i}.conv1.weight" in w:
                x, i = block(x, w, f"{prefix}{i}.", base**i), i + 1
            joined.append(x)
            outputs.setdefault(f"embs/{name}", []).append(x)
            outputs.setdefault(f"byol_preds/{name}", []).append(bootstrap(x, w, f"byol_predictors.{name}."))
        y, i = np.concatenate([*joined, track], axis=1), 0
        while f"predictor.layers.{i}.weight" in w:
            if i > 0:
                y = prelu(y, w[f"predictor.layers.{i - 1}.weight"])
            y, i = y @ w[f"predictor.layers.{i}.weight"].T + w[f"predictor.layers.{i}.bias"], i + 2
        outputs.setdefault("hoa_pred", []).append(y)
    return {name: np.stack(value) for name, value in outputs.items()}


def bootstrap(x: np.ndarray, w: Weights, prefix: str) -> np.ndarray:
    """Linear without bias, BatchNorm by its running statistics, ReLU, Linear."""
    y = x @ w[f"{prefix}0.weight"].T
    y = (y - w[f"{prefix}1.running_mean"]) / np.sqrt(w[f"{prefix}1.running_var"] + 1e-5)
    y = np.maximum(y * w[f"{prefix}1.weight"] + w[f"{prefix}1.bias"], 0)
    return y @ w[f"{prefix}3.weight"].T + w[f"{prefix}3.bias"]


def random_weights(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """By the released names, float32; each convolution and activation stands there twice, as the same array."""
    w: dict[str, np.ndarray] = {}

    def draw(*shape: int, scale: float = 0.3) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    def slope() -> np.ndarray:
        return rng.uniform(0.05, 0.4, 1).astype(np.float32)

    for name, channels in CHANNELS.items():
        size_in = INPUT_SIZE
        for i, size in enumerate(channels):
            p = f"encoders.{name}.network.{i}."
            w[f"{p}conv1.weight"], w[f"{p}conv1.bias"] = draw(size, size_in, KERNEL), draw(size)
            w[f"{p}relu1.weight"] = slope()
            w[f"{p}conv2.bias"] = draw(size)
            w[f"{p}conv2.weight_g"] = 0.5 + np.abs(draw(size, 1, 1))
            w[f"{p}conv2.weight_v"] = draw(size, size, KERNEL)
            w[f"{p}relu2.weight"] = slope()
            twice = {"conv1.weight": "net.0.weight", "conv1.bias": "net.0.bias", "relu1.weight": "net.2.weight",
                     "conv2.bias": "net.4.bias", "conv2.weight_g": "net.4.weight_g",
                     "conv2.weight_v": "net.4.weight_v", "relu2.weight": "net.6.weight"}  # fmt: skip
            w |= {p + copy: w[p + original] for original, copy in twice.items()}
            if size != size_in:
                w[f"{p}downsample.weight"], w[f"{p}downsample.bias"] = draw(size, size_in, 1), draw(size)
            w[f"{p}relu.weight"] = slope()
            size_in = size
    sizes = (INPUT_SIZE + sum(c[-1] for c in CHANNELS.values()), *HIDDEN, ACTIONS * BINS)
    for i, (size_in, size) in enumerate(pairwise(sizes)):
        w[f"predictor.layers.{2 * i}.weight"] = draw(size, size_in)
        w[f"predictor.layers.{2 * i}.bias"] = draw(size)
        if i < len(sizes) - 2:
            w[f"predictor.layers.{2 * i + 1}.weight"] = slope()
    for name, channels in CHANNELS.items():
        p, size = f"byol_predictors.{name}.", channels[-1]
        w[f"{p}0.weight"] = draw(4 * size, size)
        w[f"{p}1.weight"], w[f"{p}1.bias"] = 1 + draw(4 * size, scale=0.2), draw(4 * size)
        w[f"{p}1.running_mean"] = draw(4 * size)
        w[f"{p}1.running_var"] = 0.5 + np.abs(draw(4 * size))
        w[f"{p}1.num_batches_tracked"] = np.array(7)
        w[f"{p}3.weight"], w[f"{p}3.bias"] = draw(size, 4 * size), draw(size)
    return w


def main() -> None:
    import torch

    rng = np.random.default_rng(2023)
    weights = random_weights(rng)
    tracks = rng.standard_normal((2, 80, INPUT_SIZE)).astype(np.float32)
    folder = Path(__file__).parent
    tensors = {id(value): torch.from_numpy(value) for value in weights.values()}
    torch.save({name: tensors[id(value)] for name, value in weights.items()}, folder / "released_tiny.pt")
    outputs = released_outputs(weights, tracks, DILATIONS)
    other = {f"other/{name}": value for name, value in released_outputs(weights, tracks, OTHER_DILATIONS).items()}
    arrays = {name: value.astype(np.float32) for name, value in {**outputs, **other}.items()}
    np.savez_compressed(folder / "released_tiny.npz", input=tracks, **arrays)


if __name__ == "__main__":
    main()
