"""The choice of features for recordings of any skeleton."""

from dataclasses import dataclass, field
from typing import Literal, get_args

FIXED = {"fixed": True}  # may not change when a run goes on
OWN = {"jobs": {"train": {"features": "own"}}}  # raw features have no use for it
Kind = Literal["own", "raw"]
Action = Literal["movement", "lengths", "observed", "distances", "approach"]


@dataclass(frozen=True)
class FeatureConfig:
    """Which features the network sees and predicts, of recordings of any skeleton."""

    features: Kind = field(default="own", metadata=FIXED)
    """own: posture and movement in the animal's own frame, along its heading, and distances to other animals;
    raw: position, posture and displacement of each animal alone, in the axes of the camera; the displacement is
    predicted"""
    heading: str = field(default="", metadata=FIXED)
    """two keypoints as back:front that give the heading; the principal axis of the body unless given"""
    others: int = field(default=1, metadata=OWN)
    """number of other animals, nearest first, whose distances are inputs; fewer if there are fewer"""
    predict: tuple[Action, ...] = field(default=("movement", "distances"), metadata=FIXED | OWN)
    """what is predicted of the frames to come, as a distribution: displacement of each keypoint; lengths between points
    of the body; whether each keypoint is observed; distances to the other animals; the change of these distances"""

    def __post_init__(self):
        # files and scripts give a list, or one word
        predict = (self.predict,) if isinstance(self.predict, str) else tuple(self.predict)
        object.__setattr__(self, "predict", predict)
        for name, value, known in (("features", self.features, Kind), *(("predict", one, Action) for one in predict)):
            if value not in get_args(known):
                raise ValueError(f"{name} has {value!r}; it must be one of {', '.join(get_args(known))}")
        if set(predict) <= {"distances", "approach"}:
            raise ValueError("predict must have movement, lengths or observed, as an animal may be alone")
        if self.features == "raw" and self.heading:
            raise ValueError("raw features have no heading; leave out heading, or take features own")
        if self.others < 0:
            raise ValueError(f"others is {self.others}; it must be at least 0")
