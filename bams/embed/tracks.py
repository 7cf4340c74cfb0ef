"""Embeddings of the individuals of recordings."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from bams.checkpoint import Checkpoint
from bams.embed.offline import embed_recording
from bams.embed.pooled import pool_individuals
from bams.features.gaps import tracked_presence
from bams.recordings.recording import Recording

GROUP = "group"  # name of the pooled embedding of a recording's individuals
ABOUT = ("recording", "individual", "frame", "time_s")  # columns of a table before those of the embeddings
NO_ENCODERS = {*ABOUT, "individuals", "fps"}  # other names in a file of embeddings


@dataclass(frozen=True)
class TrackEmbedding:
    """Embeddings of an individual in a recording, or in a part of it; ValueError if these do not fit each other."""

    recording: str  #: name
    individual: str  #: name; `GROUP` = the individuals pooled, as `bams.pool_individuals` does
    embs: dict[str, np.ndarray]  #: by encoder name, (T, C) float32, also in mapped files; NaN = there is no embedding
    first_frame: int = 0  #: number, in the recording, of the frame at index 0
    fps: float | None = None  #: frames per second, None = not known

    def __post_init__(self):
        whose = f"the embeddings of {self.individual!r} in {self.recording!r}"
        found = ", ".join(f"{name} {emb.dtype} {emb.shape}" for name, emb in self.embs.items()) or "none"
        fit = all(emb.ndim == 2 and emb.dtype == np.float32 for emb in self.embs.values())
        if not fit or len({len(emb) for emb in self.embs.values()}) != 1:
            raise ValueError(f"{whose} are {found}; expected float32 of axes (frames, channels), of the same frames")
        if taken := NO_ENCODERS & set(self.embs):
            raise ValueError(f"{whose} have an encoder named {taken.pop()}, as something else is in the files")
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"{whose} have {self.fps} frames per second; expected a number above 0, or None")

    def __len__(self) -> int:
        return len(next(iter(self.embs.values())))

    def __getitem__(self, encoder: str) -> np.ndarray:
        return self.embs[encoder]

    @property
    def frame(self) -> np.ndarray:
        """(T,) int64, numbers of the frames in the recording."""
        return np.arange(self.first_frame, self.first_frame + len(self))

    @property
    def time_s(self) -> np.ndarray:
        """(T,) float64, seconds from the recording's frame 0; NaN where `fps` is not known."""
        return self.frame / (self.fps or np.nan)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `table`, such as `short_0` of the encoder `short_term`."""
        names = [name.removesuffix("_term") for name in self.embs]
        if len(set(names)) < len(names):  # there are, say, both short and short_term
            names = list(self.embs)
        return [f"{name}_{i}" for name, emb in zip(names, self.embs.values(), strict=True) for i in range(emb.shape[1])]

    def table(self, rows: slice = slice(None)) -> np.ndarray:
        """Embeddings of all encoders joined, (T, sum of C) float32; of some of the frames if so asked."""
        return np.concatenate([emb[rows] for emb in self.embs.values()], axis=1)


def embed(
    trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu", pooled: bool = False
) -> Iterator[list[TrackEmbedding]]:
    """Embeddings of recordings, cleaned as those in training were, for each its individuals in their order.

    If `pooled`, that of the group follows where there are several individuals; NaN where nobody is present. ValueError
    if the recordings have other features than those in training.
    """
    for recording in recordings:
        (individuals, frames), sizes = recording.keypoints.shape[:2], trained.model.sizes
        embs = {name: np.empty((individuals, frames, size), np.float32) for name, size in sizes.items()}
        tracks = [(one, {name: embs[name][i] for name in embs}) for i, one in enumerate(recording.individuals)]
        groups: dict[str, np.ndarray] = {}
        if pooled and individuals > 1:
            groups = {name: np.empty((frames, 2 * size), np.float32) for name, size in sizes.items()}
            tracks.append((GROUP, groups))
        present = tracked_presence(recording.keypoints)
        make_inputs = partial(trained.inputs, names=recording.keypoint_names or None)
        for span, block in embed_recording(trained.model, recording.keypoints, make_inputs, device):
            for name, values in block.items():
                embs[name][:, span] = values
                if groups:
                    groups[name][span] = pool_individuals(values, present[:, span])
        yield [TrackEmbedding(recording.name, *track, recording.first_frame, recording.fps) for track in tracks]
