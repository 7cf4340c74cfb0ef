"""What the properties are tried on: arrays of any kind, lie and size, recordings, names, settings."""

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

SCALES = (1e-30, 1e-9, 1e-3, 1.0, 640.0, 1e9, 1e30)
KINDS = ("walk", "noise", "whole", "constant", "zeros", "jumps")
GAPS = (0.0, 0.0, 0.3, 0.9, 1.0)


@dataclass(frozen=True)
class Refusal:
    """The documented error in place of a result."""

    sentence: str


def outcome(call: Callable[[], Any], *, refused: bool | None = None, errors: Sequence[type] = (ValueError,)) -> Any:
    """The result of a call, or a `Refusal` where it raised a documented error, in a sentence of the library's own.

    Args:
        call: one call of a public function.
        refused: whether it must be refused; None: it may.
        errors: the documented ones; those derived from them, such as numpy's LinAlgError, are not.
    """
    COUNTS["tried"] += 1
    try:
        found = call()
    except tuple(errors) as error:
        if type(error) not in errors or not _from_library(error):
            raise
        sentence = str(error)
        assert len(sentence.split()) >= 3 and "\n" not in sentence, f"no sentence: {sentence!r}"
        assert refused is not False, f"refused: {sentence}"
        COUNTS["refused"] += 1
        return Refusal(sentence)
    assert not refused, "taken, and not refused"
    return found


def _from_library(error: BaseException) -> bool:
    """Whether the library raised the error itself, and not numpy or torch beneath it."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return LIBRARY in Path(trace.tb_frame.f_code.co_filename).parents


def share_of_examples(share: float) -> settings:
    """Fewer examples than the profile has, for a property that takes long."""
    return settings(max_examples=max(2, round(settings().max_examples * share)))


def numbers(shape: tuple[int, ...], seed: int, kind: str = "walk", scale: float = 1.0, gaps: float = 0.0) -> np.ndarray:
    """(..., T, K, d), or other axes, of which the third last is time; float32, NaN in whole last axes = a gap.

    Args:
        kind: of `KINDS`.
        scale: of the numbers.
        gaps: share of the rows that are NaN.
    """
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


def any_numbers(shape: tuple[int, ...], gaps: Sequence[float] = GAPS) -> st.SearchStrategy[np.ndarray]:
    """`numbers` of every kind, scale and share of gaps."""
    return st.builds(
        numbers,
        st.just(shape),
        st.integers(0, 2**16),
        st.sampled_from(KINDS),
        st.sampled_from(SCALES),
        st.sampled_from(gaps),
    )


def seeds() -> st.SearchStrategy[int]:
    """Seeds of random numbers."""
    return st.integers(0, 2**16)


def _every_second(array: np.ndarray) -> np.ndarray:
    room = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7, array.dtype)
    room[..., ::2] = array
    return room[..., ::2]


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every second": _every_second,
    "backwards": lambda array: np.flip(np.ascontiguousarray(np.flip(array))),
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "read-only": _read_only,
    "float64": lambda array: array.astype(np.float64),
}


def layouts() -> st.SearchStrategy[Callable[[np.ndarray], np.ndarray]]:
    """Functions that lay out an array otherwise in memory; its values stay."""
    return st.sampled_from(sorted(LAYOUTS)).map(LAYOUTS.__getitem__)


HOSTILE = ("..", "../../up", "/etc/x", "a/b", "a\\b", "CON", "nul.txt", " ", ".", "", "x\0y", "\ud800", "ß", "SS")


def names() -> st.SearchStrategy[str]:
    """Names of recordings, individuals and keypoints: any text, also such as no file system takes."""
    text = st.characters(exclude_characters="\r\n")
    return st.one_of(
        st.sampled_from(HOSTILE), st.text(text, max_size=8), st.integers(120, 300).map(lambda count: "ü" * count)
    )


@st.composite
def feature_configs(draw: st.DrawFn, count: int, dims: int = 2, **fixed: Any) -> FeatureConfig:
    """Every choice of features that fits keypoints of this number, keypoint0, keypoint1, ..."""
    chosen = {
        "features": draw(st.sampled_from(("own", "raw"))),
        "others": draw(st.integers(0, 3)),
        "predict": (
            draw(st.sampled_from(("movement", "observed", "lengths")[: 3 if count > 1 else 2])),
            *draw(st.lists(st.sampled_from(("distances", "approach")), unique=True)),
        ),
    } | fixed
    if chosen["features"] != "raw" and count > 1 and dims > 1 and draw(st.booleans()):
        chosen["heading"] = f"keypoint{count - 1}:keypoint0"
    return FeatureConfig(**chosen)


@st.composite
def recordings(draw: st.DrawFn, count: int | None = None, dims: int | None = None, **about: Any) -> Recording:
    """A recording, perhaps of one frame, one keypoint, or nobody; with or without confidences and a rate."""
    individuals, frames = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 3, 20, 60)))
    count = draw(st.integers(1, 8)) if count is None else count
    dims = draw(st.integers(1, 3)) if dims is None else dims
    keypoints = draw(any_numbers((individuals, frames, count, dims)))
    confidence = None
    if draw(st.booleans()):
        confidence = np.random.default_rng(draw(seeds())).random(keypoints.shape[:3]).astype(np.float32)
        confidence[np.isnan(keypoints).any(axis=-1)] = draw(st.sampled_from((0.0, np.nan)))
    return Recording(
        **{
            "name": "clip",
            "keypoints": keypoints,
            "confidence": confidence,
            "individuals": [f"individual{i}" for i in range(individuals)],
            "keypoint_names": [f"keypoint{i}" for i in range(count)],
            "fps": draw(st.sampled_from((None, 1.0, 29.97, 1000.0))),
            "first_frame": draw(st.sampled_from((0, 7, -3))),
        }
        | about
    )


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Check that arrays are the same to the last bit, NaN where NaN is."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


# --- networks ---

ENCODERS = {
    "short_term": {"num_channels": (4, 3)},
    "long_term": {"num_channels": (4, 2), "dilation": 4},
}
ROUNDING = 2e-6  # of float32 sums of embeddings, which are of the order of 1


def make_model(size: int, actions: int = 2, seed: int = 0) -> BAMS:
    torch.manual_seed(seed)
    return BAMS(size, predictor={"hidden_layers": (-1, 4, actions)}, **ENCODERS).eval()


def make_checkpoint(dataset: KeypointsDataset, seed: int = 0) -> Checkpoint:
    """A network with random weights for the features of a data set."""
    model, statistics = make_model(dataset.input_size, seed=seed), dataset.statistics
    model.scale.set(torch.from_numpy(statistics.centre), torch.from_numpy(statistics.scale))
    marginal = np.ones(dataset.target_size, np.float32)
    return Checkpoint(model, CUSTOM, statistics, marginal, dataset.feature_names, asdict(dataset.config))
