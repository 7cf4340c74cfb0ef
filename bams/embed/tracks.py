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
from bams.features.gaps import observed, tracked_presence
from bams.recordings.recording import Recording

GROUP = "group"  # name of the pooled embedding of a recording's individuals
ABOUT = ("recording", "individual", "frame", "time_s", "tracked")  # columns of a table before those of the embeddings
NO_ENCODERS = {*ABOUT, "individuals", "fps", "frame_step"}  # other names in a file of embeddings


@dataclass(frozen=True)
class TrackEmbedding:
    """Embeddings of an individual in a recording, or in a part of it; ValueError if these do not fit each other."""

    recording: str  #: name
    individual: str  #: name; `GROUP` = the individuals pooled, as `bams.pool_individuals` does
    embs: dict[str, np.ndarray]  #: by encoder name, (T, C) float32, also in mapped files; NaN = there is no embedding
    first_frame: int = 0  #: number, in the recording, of the frame at index 0
    fps: float | None = None  #: embedded frames per second, None = not known
    tracked: np.ndarray | None = None  #: (T,) float32, share of the keypoints observed, see `tracked_share`
    frame_step: float = 1.0  #: frames of the recording's file from one embedded frame to the next

    def __post_init__(self):
        whose = f"the embeddings of {self.individual!r} in {self.recording!r}"
        found = ", ".join(f"{name} {emb.dtype} {emb.shape}" for name, emb in self.embs.items()) or "none"
        fit = all(emb.ndim == 2 and emb.dtype == np.float32 for emb in self.embs.values())
        if not fit or len({len(emb) for emb in self.embs.values()}) != 1:
            raise ValueError(f"{whose} are {found}; expected float32 of axes (frames, channels), of the same frames")
        if taken := NO_ENCODERS & set(self.embs):
            raise ValueError(f"{whose} have an encoder named {taken.pop()}, as something else is in the files")
        if self.tracked is not None and np.shape(self.tracked) != (len(self),):
            axes = np.shape(self.tracked)
            raise ValueError(f"{whose} have tracked of axes {axes}; expected ({len(self)},), the frames")
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"{whose} have {self.fps} frames per second; expected a number above 0, or None")
        if not (math.isfinite(self.frame_step) and self.frame_step > 0):
            raise ValueError(f"{whose} have a frame_step of {self.frame_step}; expected a number above 0")

    def __len__(self) -> int:
        return len(next(iter(self.embs.values())))

    def __getitem__(self, encoder: str) -> np.ndarray:
        return self.embs[encoder]

    @property
    def frame(self) -> np.ndarray:
        """(T,) int64, numbers of the frames in the file; float64, to 6 digits, where resampled frames lie between."""
        numbers = (self.first_frame + np.arange(len(self)) * self.frame_step).round(6)
        whole = numbers.astype(np.int64)
        return whole if (whole == numbers).all() else numbers

    @property
    def time_s(self) -> np.ndarray:
        """(T,) float64, seconds from the file's frame 0; NaN where `fps` is not known."""
        return self.frame / ((self.fps or np.nan) * self.frame_step)

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


def tracked_share(recording: np.ndarray) -> np.ndarray:
    """Keypoints (A, T, K, d) or series (A, T, F) -> (A, T) float32, the share that is observed in each frame."""
    seen = observed(recording) if recording.ndim == 4 else np.isfinite(recording)
    return seen.mean(axis=-1, dtype=np.float32)


def embed(
    trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu", pooled: bool = False
) -> Iterator[list[TrackEmbedding]]:
    """Embeddings of recordings, cleaned as those in training were, for each its individuals in their order.

    NaN before an individual's first and after its last tracked frame. If `pooled`, the embedding of the group follows,
    also that of a single individual; NaN where nobody is present, and `tracked` is the mean over all individuals.
    ValueError if the recordings have other features than those in training.
    """
    for recording in recordings:
        (individuals, frames), sizes = recording.keypoints.shape[:2], trained.model.sizes
        embs = {name: np.empty((individuals, frames, size), np.float32) for name, size in sizes.items()}
        groups = {name: np.empty((frames, 2 * size), np.float32) for name, size in sizes.items()} if pooled else {}
        present, tracked = tracked_presence(recording.keypoints), tracked_share(recording.keypoints)
        make_inputs = partial(trained.inputs, names=recording.keypoint_names or None)
        for span, block in embed_recording(trained.model, recording.keypoints, make_inputs, device):
            for name, values in block.items():
                embs[name][:, span] = np.where(present[:, span, None], values, np.nan)
                if pooled:
                    groups[name][span] = pool_individuals(values, present[:, span])
        about = {"first_frame": recording.first_frame, "fps": recording.fps, "frame_step": recording.frame_step}
        found = [
            TrackEmbedding(recording.name, one, {name: embs[name][i] for name in embs}, tracked=tracked[i], **about)
            for i, one in enumerate(recording.individuals)
        ]
        if pooled:
            found.append(TrackEmbedding(recording.name, GROUP, groups, tracked=tracked.mean(axis=0), **about))
        yield found
