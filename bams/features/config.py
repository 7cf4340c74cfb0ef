"""What the network sees and predicts of recordings of any skeleton."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class FeatureConfig:
    """What the network sees and predicts of recordings of one's own, of any skeleton."""

    tracks: Literal["individual", "joint"] = field(default="individual", metadata={"fixed": True})
    """individual: one track per animal, pooled after embedding, free of order; joint: all animals in one track"""
    features: Literal["own", "camera", "raw"] = field(default="own", metadata={"fixed": True})
    """own: posture and movement in the animal's own frame, along its heading, and distances to other animals;
    camera: the same in the directions of the camera; raw: position, posture and displacement
    of each animal alone, and its displacement is what is predicted"""
    heading: str = field(default="", metadata={"fixed": True})
    """two keypoints as back:front that give the heading; the principal axis of the body unless given"""
    others: int = 1
    """of so many other animals, the nearest first, a track tells; fewer if there are fewer"""
    predict: tuple[Literal["movement", "lengths", "observed", "distances", "approach"], ...] = field(
        default=("movement", "distances"), metadata={"fixed": True}
    )
    """what of the frames to come is predicted, its distribution: displacement of each keypoint; lengths between
    points of the body; whether each keypoint is observed; distances to the other animals; the change of these"""

    def __post_init__(self):
        # of files and scripts it comes as a list, or as a word alone
        predict = (self.predict,) if isinstance(self.predict, str) else tuple(self.predict)
        object.__setattr__(self, "predict", predict)
        for name, known in CHOICES.items():
            values = getattr(self, name)
            for value in (values,) if isinstance(values, str) else values:
                if value not in known:
                    raise ValueError(f"{name} has {value!r}; it must be of {', '.join(known)}")
        if not set(self.predict) - {"distances", "approach"}:
            raise ValueError("predict must have movement, lengths or observed, as there may be one animal alone")
        if self.features == "raw" and self.heading:
            raise ValueError("heading has no use with features raw, which have no direction; leave one of them out")
        if self.others < 0:
            raise ValueError(f"others is {self.others}; it must be at least 0")


CHOICES = {
    "tracks": ("individual", "joint"),
    "features": ("own", "camera", "raw"),
    "predict": ("movement", "lengths", "observed", "distances", "approach"),
}
