"""Weights that the released code of the paper saved: which architecture they have, and how we name them."""

import re
from collections.abc import Mapping
from typing import Any

import torch


def is_released(content: Any) -> bool:
    """Whether the content of a file looks like such weights."""
    return isinstance(content, dict) and any(str(key).startswith("encoders.") for key in content)


def released_config(weights: Mapping[str, torch.Tensor], dilations: Mapping[str, int]) -> dict[str, Any]:
    """The arguments of `BAMS`, inferred from the names and shapes of weights; these do not tell the `dilations`."""
    config: dict[str, Any] = {}
    for name in dict.fromkeys(key.split(".")[1] for key in weights if key.startswith("encoders.")):
        prefix = f"encoders.{name}.network."
        blocks = 1 + max(int(key[len(prefix) :].split(".")[0]) for key in weights if key.startswith(prefix))
        first = [weights[f"{prefix}{i}.conv1.weight"] for i in range(blocks)]
        config["input_size"] = first[0].shape[1]
        config[name] = {
            "num_channels": [len(weight) for weight in first],
            "kernel_size": first[0].shape[2],
            "dilation": dilations.get(name, 2),
            "num_layers_per_block": sum(key.startswith(f"{prefix}0.conv") and key.endswith(".bias") for key in weights),
        }
        bootstrapped = any(key.startswith(f"byol_predictors.{name}.") for key in weights)
        config[name]["bootstrap"] = "none" if not bootstrapped else "far" if name == "long_term" else "near"
    linear = [w for key, w in weights.items() if re.fullmatch(r"predictor\.layers\.\d+\.weight", key)]
    sizes = [linear[0].shape[1]] + [len(weight) for weight in linear if weight.ndim == 2]
    return {**config, "predictor": {"hidden_layers": sizes}}


def own_name(key: str) -> str:
    """The name in `BAMS` of a weight, from its released name."""
    key = key.replace("byol_predictors.", "bootstrap.").replace(".network.", ".blocks.")
    key = key.replace(".downsample.", ".residual.").replace(".relu.", ".activation.")
    key = re.sub(r"\.relu(\d+)\.", lambda m: f".activations.{int(m[1]) - 1}.", key)
    key = re.sub(r"\.conv(\d+)\.", lambda m: f".convs.{int(m[1]) - 1}.", key)
    key = key.replace(".weight_g", ".parametrizations.weight.original0")
    return key.replace(".weight_v", ".parametrizations.weight.original1")
