"""What the properties are tried on: arrays of any kind and size, recordings, names, settings."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

import bams
from bams import BAMS, FeatureConfig, KeypointsDataset, Recording
from bams.checkpoint import CUSTOM, Checkpoint

COUNTS = {"tried": 0, "refused": 0}
LIBRARY = Path(bams.__file__).parent

SCALES = (1e-30, 1e-3, 1.0, 640.0, 1e30)
KINDS = ("walk", "noise", "whole", "constant", "zeros", "jumps")
GAPS = (0.0, 0.0, 0.3, 0.9, 1.0)


@dataclass(frozen=True)
class Refusal:
    """The sentence of a documented error, in place of a result."""

    sentence: str


def outcome(call: Callable[[], Any], *, refused: bool | None = None) -> Any:
    """The result of a call, or a `Refusal` where the library itself raised a ValueError with one sentence.

    refused: whether it must be refused; None: it may.
    """
    COUNTS["tried"] += 1
    try:
        found = call()
    except ValueError as error:
        if type(error) is not ValueError or not _from_library(error):
            raise
        sentence = str(error)
        assert len(sentence.split()) >= 3 and "\n" not in sentence, f"no sentence: {sentence!r}"
        assert refused is not False, f"refused: {sentence}"
        COUNTS["refused"] += 1
        return Refusal(sentence)
    assert not refused, "not refused"
    return found


def _from_library(error: BaseException) -> bool:
    """Whether the library raised the error, and not numpy or torch beneath it."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return LIBRARY in Path(frame.f_code.co_filename).parents


def share_of_examples(share: float) -> settings:
    """Fewer examples than the profile has, for a property that takes long."""
    return settings(max_examples=max(2, round(settings().max_examples * share)))


def numbers(shape: tuple[int, ...], seed: int, kind: str = "walk", scale: float = 1.0, gaps: float = 0.0) -> np.ndarray:
    """(..., T, K, d) float32, or other axes, of which the third last is time; gaps: share of the last that are NaN."""
    rng = np.random.default_rng(seed)
    found = {
        "walk": lambda: rng.normal(size=shape).cumsum(axis=max(len(shape) - 3, 0)),
        "noise": lambda: rng.normal(size=shape),
        "whole": lambda: rng.integers(-3, 4, shape).astype(float),
        "constant": lambda: np.full(shape, rng.normal()),
        "zeros": lambda: np.zeros(shape),
        "jumps": lambda: rng.normal(size=shape) * 1000.0 ** rng.integers(0, 2, shape),
    }[kind]()
    found = (found * min(scale, 1e27)).astype(np.float32)  # jumps and walks stay within 1e30
    found[rng.random(shape[:-1]) < gaps] = np.nan
    return found


def seeds() -> st.SearchStrategy[int]:
    """Seeds of random numbers."""
    return st.integers(0, 2**16)


def any_numbers(shape: tuple[int, ...], gaps: Sequence[float] = GAPS) -> st.SearchStrategy[np.ndarray]:
    """`numbers` of every kind, scale and share of gaps."""
    kinds, scales = st.sampled_from(KINDS), st.sampled_from(SCALES)
    return st.builds(numbers, st.just(shape), seeds(), kinds, scales, st.sampled_from(gaps))


def layouts() -> st.SearchStrategy[Callable[[np.ndarray], np.ndarray]]:
    """Functions that store an array otherwise, with the same values."""
    return st.sampled_from(
        (
            np.ascontiguousarray,
            np.asfortranarray,
            lambda array: np.flip(np.ascontiguousarray(np.flip(array))),
            lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
            lambda array: array.astype(np.float64),
        )
    )


HOSTILE = ("..", "../../up", "/etc/x", "a/b", "a\\b", "CON", "nul.txt", " ", ".", "", "x\0y", "\ud800", "ß", "SS")


def names() -> st.SearchStrategy[str]:
    """Names of recordings, individuals and keypoints: any text, also what no file system takes."""
    text = st.text(st.characters(exclude_characters="\r\n"), max_size=8)
    return st.one_of(st.sampled_from(HOSTILE), text, st.integers(120, 300).map(lambda count: "ü" * count))


@st.composite
def feature_configs(draw: st.DrawFn, count: int, dims: int = 2) -> FeatureConfig:
    """Every choice of features for the keypoints keypoint0, keypoint1, ..."""
    kinds = ("movement", "observed", "lengths")[: 3 if count > 1 else 2]
    social = draw(st.lists(st.sampled_from(("distances", "approach")), unique=True))
    features = draw(st.sampled_from(("own", "raw")))
    heading = features == "own" and count > 1 and dims > 1 and draw(st.booleans())
    return FeatureConfig(
        features=features,
        heading=f"keypoint{count - 1}:keypoint0" if heading else "",
        others=draw(st.integers(0, 3)),
        predict=(draw(st.sampled_from(kinds)), *social),
    )


@st.composite
def recordings(draw: st.DrawFn, count: int | None = None, dims: int | None = None, **about: Any) -> Recording:
    """A recording, perhaps of one frame, one keypoint or nobody, with or without confidences and a rate."""
    individuals, frames = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 3, 20, 60)))
    count = draw(st.integers(1, 8)) if count is None else count
    dims = draw(st.integers(1, 3)) if dims is None else dims
    keypoints = draw(any_numbers((individuals, frames, count, dims)))
    confidence = None
    if draw(st.booleans()):
        confidence = np.random.default_rng(draw(seeds())).random(keypoints.shape[:3]).astype(np.float32)
        confidence[np.isnan(keypoints).any(axis=-1)] = draw(st.sampled_from((0.0, np.nan)))
    drawn = {
        "name": "clip",
        "keypoints": keypoints,
        "confidence": confidence,
        "individuals": [f"individual{i}" for i in range(individuals)],
        "keypoint_names": [f"keypoint{i}" for i in range(count)],
        "fps": draw(st.sampled_from((None, 1.0, 29.97, 1000.0))),
        "first_frame": draw(st.sampled_from((0, 7, -3))),
    }
    return Recording(**drawn | about)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Check that arrays are the same to the last bit, NaN where NaN is."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


ROUNDING = 2e-6  # of float32 sums of embeddings, which are of the order of 1


def make_model(size: int, actions: int = 2, seed: int = 0) -> BAMS:
    """A small network with random weights."""
    torch.manual_seed(seed)
    encoders = {"short_term": {"num_channels": (4, 3)}, "long_term": {"num_channels": (4, 2), "dilation": 4}}
    return BAMS(size, predictor={"hidden_layers": (-1, 4, actions)}, **encoders).eval()


def make_checkpoint(dataset: KeypointsDataset, seed: int = 0) -> Checkpoint:
    """A network with random weights for the features of a data set."""
    model, statistics = make_model(dataset.input_size, seed=seed), dataset.statistics
    model.scale.set(torch.from_numpy(statistics.centre), torch.from_numpy(statistics.scale))
    marginal = np.ones(dataset.target_size, np.float32)
    return Checkpoint(model, CUSTOM, statistics, marginal, dataset.feature_names, asdict(dataset.config))
