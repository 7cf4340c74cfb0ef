"""The same embeddings, frame by frame, for experiments that react to what the animals do.

Axes: A individuals, K keypoints, d coordinates, F features of a series, or input features, C channels.
"""

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from bams.checkpoint import Checkpoint, check_features, load, part_of, trained_features
from bams.embed.offline import carry_over
from bams.features.columns import Features
from bams.features.gaps import check_keypoints
from bams.features.recording import recording_features
from bams.models.tcn import TemporalConvNet
from bams.recordings.cleaning import CleaningConfig
from bams.statistics import known_inputs

MakeFeatures = Callable[[np.ndarray], Features]  # of a recording (A, T, K, d) or (A, T, F)


class Layer(NamedTuple):
    """A convolution."""

    weight: np.ndarray  # (kernel size * channels in, channels)
    bias: np.ndarray  # (channels,)
    slope: float  # of its PReLU


class Block(NamedTuple):
    """A `TemporalBlock`."""

    layers: list[Layer]
    dilation: int
    residual: tuple[np.ndarray, np.ndarray] | None  # weight and bias
    slope: float  # of its last PReLU


class StreamingEncoder:
    """Embeds a recording frame by frame; the embeddings equal those of the whole recording where that is not NaN.

    The work per frame does not depend on the length of the recording, and runs on the CPU. Later changes of the model
    have no effect. An encoder can be copied and pickled at any time, also in the middle of a recording.

    Args:
        checkpoint: a trained model, or its file.
        features: (A, T, K, d) or (A, T, F) float32 -> `Features`. Each frame may depend on itself, the frame before
            and the last observed positions. Needed only where the checkpoint, of a version before 0.2, does not say.
        keypoint_names: K names of the keypoints of a frame, in their order; those of training unless given.
        body_length: of the animals, in the unit of the frames, whose positions are divided by it. Needed where the
            model was trained on positions in body lengths (`unit="body"`), and only there.

    If other cleaning was used in training, or its rate is known, stderr says what the frames must be like.

    Raises FileNotFoundError or ValueError as `bams.checkpoint.load`, or ValueError if the features are not known.
    """

    def __init__(
        self,
        checkpoint: str | Path | Checkpoint,
        features: MakeFeatures | None = None,
        keypoint_names: Sequence[str] | None = None,
        body_length: float | None = None,
    ):
        self._source = "the checkpoint" if isinstance(checkpoint, Checkpoint) else str(checkpoint)
        trained = checkpoint if isinstance(checkpoint, Checkpoint) else load(checkpoint)
        if features is not None and keypoint_names is not None:
            raise ValueError("give either features= or keypoint_names=, not both")
        names = trained.keypoint_names if keypoint_names is None else [str(name) for name in keypoint_names]
        self._make_features = features or partial(recording_features, source=trained_features(trained), names=names)
        self._feature_names, self._statistics = trained.features, trained.statistics
        self._length = self._checked_length(part_of(trained.settings, CleaningConfig), body_length)
        self._scale = deepcopy(trained.model.scale).cpu()
        self._encoders = {name: _read_blocks(encoder) for name, encoder in trained.model.encoders.items()}
        self.reset()
        if expected := _expected_frames(trained):
            print(f"frames are expected {', '.join(expected)}, as in training", file=sys.stderr)

    def reset(self) -> None:
        """Forget all frames; the next one begins another recording, with any number of individuals."""
        self._frame = 0
        self._before: np.ndarray | None = None  # see `carry_over`
        self._windows: dict[str, list[list[np.ndarray]]] = {}

    def embed(self, keypoints: np.ndarray) -> dict[str, np.ndarray]:
        """Embed the next frame (A, K, d) or (A, F) float32: (A, C) float32 by encoder name.

        NaN = not tracked, also for an individual that is absent. ValueError if the frame does not fit the earlier
        frames or the model, or has infinite values; it is then skipped.
        """
        frame = self._checked(keypoints)[:, None]
        frames = frame if self._before is None else np.concatenate([self._before, frame], axis=1)
        try:
            found = self._make_features(frames)
        except (ValueError, LookupError) as error:
            axes = np.shape(keypoints)
            raise ValueError(f"a frame with axes {axes} does not fit the features: {error}") from error
        if self._before is None and "inputs" in self._feature_names:
            check_features(self._feature_names, {"inputs": list(found.input_names)}, self._source)
        inputs = known_inputs(found.inputs[:, -1], self._statistics)
        x = self._scale(torch.from_numpy(inputs)).numpy()
        if self._before is None:
            self._windows = {name: _begin(blocks, len(x)) for name, blocks in self._encoders.items()}
        embs = {name: _encode(blocks, self._windows[name], x, self._frame) for name, blocks in self._encoders.items()}
        self._before = carry_over(frames)
        self._frame += 1
        return embs

    def _checked(self, keypoints: np.ndarray) -> np.ndarray:
        axes = np.shape(keypoints)
        if len(axes) not in (2, 3) or 0 in axes:
            expected = "(individuals, keypoints, coordinates) or (individuals, features), none of them 0"
            raise ValueError(f"a frame has axes {axes}; expected {expected}")
        if self._before is not None and axes != (first := (len(self._before), *self._before.shape[2:])):
            advice = "give NaN for absent individuals, and call reset() before another recording"
            raise ValueError(f"a frame has axes {axes}, the frames before it {first}: {advice}")
        frame = check_keypoints(keypoints)
        return frame if self._length is None else frame / self._length

    def _checked_length(self, cleaning: CleaningConfig, given: float | None) -> float | None:
        """The length to divide positions by; ValueError if it is missing, of no use, or not a length."""
        if cleaning.unit != "body" and given is not None:
            raise ValueError(f"{self._source} was trained on positions in the unit of the files: leave body_length out")
        if cleaning.unit == "body" and not (given is not None and 0 < given < float("inf")):
            said = "give body_length=, the length of the animals in the unit of the frames, above 0 and finite"
            raise ValueError(f"{self._source} was trained on positions in body lengths: {said}, not {given}")
        return None if given is None else float(given)


def _expected_frames(trained: Checkpoint) -> list[str]:
    """What frames must be like because of the cleaning and the rate of the training recordings."""
    cleaning, names = part_of(trained.settings, CleaningConfig), trained.keypoint_names
    rate = cleaning.resample or trained.settings.get("fps") or trained.reference.get("fps")
    kept = names or cleaning.kept
    skeleton = f"with the keypoints {', '.join(kept)}" if kept else f"with keypoints renamed as {cleaning.rename}"
    said = {
        f"at {rate or 0:g} per second": rate,
        skeleton: cleaning.rename or cleaning.keypoints,
        f"with NaN for positions of a confidence below {cleaning.min_confidence:g}": cleaning.min_confidence,
        f"with NaN for jumps of more than {cleaning.max_jump:g} body lengths per frame": cleaning.max_jump,
        f"with gaps of up to {cleaning.interpolate} frames filled": cleaning.interpolate,
    }
    return [words for words, applies in said.items() if applies]


def _read_blocks(encoder: TemporalConvNet) -> list[Block]:
    """The weights of an encoder, as one matrix for each convolution."""
    blocks = []
    for block in encoder.blocks:
        pairs = zip(block.convs, block.activations, strict=True)
        layers = [Layer(*_as_matrix(conv), activation.weight.item()) for conv, activation in pairs]
        residual = _as_matrix(block.residual) if isinstance(block.residual, nn.Conv1d) else None
        blocks.append(Block(layers, block.convs[0].dilation[0], residual, block.activation.weight.item()))
    return blocks


def _as_matrix(conv: nn.Conv1d) -> tuple[np.ndarray, np.ndarray]:
    weight = conv.weight.permute(2, 1, 0).flatten(0, 1)  # rows of the oldest frame come first
    return tuple(values.detach().cpu().numpy().copy() for values in (weight, conv.bias))


def _begin(blocks: Sequence[Block], tracks: int) -> list[list[np.ndarray]]:
    """The frames that each convolution joins, oldest first, all 0 before the first frame, as the network pads."""
    # a convolution of dilation n is n convolutions without dilation that take turns
    return [[np.zeros((b.dilation, tracks, len(layer.weight)), np.float32) for layer in b.layers] for b in blocks]


def _encode(blocks: Sequence[Block], windows: Sequence[Sequence[np.ndarray]], x: np.ndarray, frame: int) -> np.ndarray:
    """Embed scaled inputs (tracks, F) -> (tracks, C) of one frame, and move the windows on by it."""
    for block, block_windows in zip(blocks, windows, strict=True):
        y = x
        for layer, layer_windows in zip(block.layers, block_windows, strict=True):
            window = layer_windows[frame % block.dilation]
            channels = y.shape[1]
            window[:, :-channels] = window[:, channels:]
            window[:, -channels:] = y
            y = _prelu(window @ layer.weight + layer.bias, layer.slope)
        if block.residual is not None:
            weight, bias = block.residual
            x = x @ weight + bias
        x = _prelu(y + x, block.slope)
    return x


def _prelu(x: np.ndarray, slope: float) -> np.ndarray:
    # equals x above 0 and slope * x below, and is faster than np.where
    return np.maximum(x, slope * x) if slope <= 1 else np.minimum(x, slope * x)
