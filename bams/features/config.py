"""What the network sees and predicts of recordings of any skeleton."""

from dataclasses import dataclass, field
from typing import Literal

FEATURES = ("own", "raw")
PREDICT = ("movement", "lengths", "observed", "distances", "approach")


@dataclass(frozen=True)
class FeatureConfig:
    """What the network sees and predicts of recordings of one's own, of any skeleton."""

    features: Literal["own", "raw"] = field(default="own", metadata={"fixed": True})
    """own: posture and movement in the animal's own frame, along its heading, and distances to other animals;
    raw: position, posture and displacement of each animal alone, in the directions of the camera, and the displacement
    is predicted"""
    heading: str = field(default="", metadata={"fixed": True})
    """two keypoints as back:front that give the heading; the principal axis of the body unless given"""
    others: int = 1
    """number of other animals, nearest first, whose distances are inputs; fewer if there are fewer"""
    predict: tuple[Literal["movement", "lengths", "observed", "distances", "approach"], ...] = field(
        default=("movement", "distances"), metadata={"fixed": True}
    )
    """what is predicted of the frames to come, as a distribution: displacement of each keypoint; lengths between points
    of the body; whether each keypoint is observed; distances to the other animals; the change of these distances"""

    def __post_init__(self):
        # files and scripts give a list, or one word
        predict = (self.predict,) if isinstance(self.predict, str) else tuple(self.predict)
        object.__setattr__(self, "predict", predict)
        for name, given, known in (("features", (self.features,), FEATURES), ("predict", predict, PREDICT)):
            for value in given:
                if value not in known:
                    raise ValueError(f"{name} has {value!r}; it must be one of {', '.join(known)}")
        if not set(self.predict) - {"distances", "approach"}:
            raise ValueError("predict must have movement, lengths or observed, as there may be one animal alone")
        if self.features == "raw" and self.heading:
            raise ValueError("heading has no use with features raw, which have no direction; leave one of them out")
        if self.others < 0:
            raise ValueError(f"others is {self.others}; it must be at least 0")
