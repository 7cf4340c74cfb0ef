"""Fruit fly groups of MABe 2022: train, write a submission, and score it.

python fruit_flies.py --job train --simulate --epochs 2
python fruit_flies.py --job compute_representations --simulate --ckpt_path bams-fly-group-DATE.pt
python fruit_flies.py --job evaluate --simulate --submission bams-fly-group-DATE_submission.npy
"""

from collections.abc import Sequence

import numpy as np

from bams.app import mabe as mabe_jobs
from bams.app.script import script
from bams.features import Features, Nearest, OrientedTable, recording_features
from bams.mabe.simulated import simulate_fly_files

TRAIN_FILE, TEST_FILE = "fly_group_train.npy", "fly_group_test.npy"

# The 24 pairs of a fly in the order of the files: 19 body points (mm), and five about the fly as a whole.
POINTS = tuple(f"point{i}" for i in range(19))
FEATURES = OrientedTable(
    points=POINTS,
    centre="centroid",
    orientation="orientation",
    measures={"axis_lengths": ("major", "minor"), "areas": ("body", "foreground"), "contrasts": ("first", "second")},
    order=(*POINTS, "centroid", "orientation", "axis_lengths", "areas", "contrasts"),
    nearest=Nearest(points=("centroid",), predict=("centroid-centroid_distance", "centroid-centroid_approach")),
)

SIZES = {
    "short_term": {"num_channels": (64, 64, 64, 64), "kernel_size": 3},
    "long_term": {"num_channels": (64, 64, 64, 64, 64), "kernel_size": 3, "dilation": 4},
    "hidden_layers": (256, 512, 512),
}


def features(flies: np.ndarray) -> Features:
    """Features of the flies of a clip, (A, T, K, 2)."""
    return recording_features(flies, FEATURES)


FLIES = mabe_jobs.Group(
    name="fly_group",
    download="flies",
    train_file=TRAIN_FILE,
    test_file=TEST_FILE,
    evaluator_files=("fly_groups_test_labels.npy", "flies_split.json", "fly_tasks.json"),
    frame_maps=("flies_frame_number_map.npy", "fly_group_frame_number_map.npy"),
    individuals=11,
    keypoints=len(FEATURES.order),
    zero_missing=False,
    features=FEATURES,
    sizes=SIZES,
    most_columns=256,
    simulate=simulate_fly_files,
)


@script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    # half a clip, so that many frames of a window have the long-term encoder's 1365 frames before them
    defaults = {"sequence_length": 2250, "skip_frames": 100, "simulated_clips": 20}
    mabe_jobs.run(argv, FLIES, {"data_root": "data/mabe", **defaults})


if __name__ == "__main__":
    main()
