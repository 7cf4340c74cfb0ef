"""Mouse triplets of MABe 2022: train, write a submission, and score it.

python mouse_triplets.py --job train --simulate --epochs 2
python mouse_triplets.py --job compute_representations --simulate --ckpt_path bams-mouse-triplet-DATE.pt
python mouse_triplets.py --job evaluate --simulate --submission bams-mouse-triplet-DATE_submission.npy
"""

from collections.abc import Sequence

import numpy as np

from bams import simulate
from bams.app import mabe as mabe_jobs
from bams.app.script import script
from bams.features import Body, Features, Nearest, PoseTable, Segment, recording_features
from bams.mabe.simulated import simulate_mouse_files

TRAIN_FILE, TEST_FILE = "mouse_triplet_train.npy", "mouse_triplet_test.npy"

FEATURES = PoseTable(
    keypoints=simulate.KEYPOINTS,
    bodies=(Body("head", origin="neck", front="nose"), Body("rear", origin="tail_base", front="centre_back")),
    segments=(
        Segment("spine", start="tail_base", end="neck", body="rear"),
        Segment("left_forepaw", start="neck", end="left_forepaw", body="rear"),
        Segment("right_forepaw", start="neck", end="right_forepaw", body="rear"),
        Segment("left_hindpaw", start="tail_base", end="left_hindpaw", body="rear"),
        Segment("right_hindpaw", start="tail_base", end="right_hindpaw", body="rear"),
        Segment("tail", start="tail_base", end="tail_middle", body="rear"),
        Segment("tail_end", start="tail_middle", end="tail_tip", body="rear"),
        Segment("nose", start="neck", end="nose", body="rear"),
    ),
    moving_segments=("spine", "left_forepaw", "right_forepaw", "left_hindpaw", "right_hindpaw", "nose"),
    nearest=Nearest(
        points=("nose", "centre_back", "tail_base"),
        predict=("nose-nose_closeness", "nose-tail_base_closeness", "centre_back-centre_back_closeness"),
    ),
)

SIZES = {
    "short_term": {"num_channels": (64, 64, 32, 32), "kernel_size": 3},
    "long_term": {"num_channels": (64, 64, 64, 32, 32), "kernel_size": 3, "dilation": 4},
    "hidden_layers": (256, 512, 512),
}


def features(mice: np.ndarray) -> Features:
    """Features of the mice of a clip, (A, T, K, 2)."""
    return recording_features(mice, FEATURES)


MICE = mabe_jobs.Group(
    name="mouse_triplet",
    download="mice",
    train_file=TRAIN_FILE,
    test_file=TEST_FILE,
    evaluator_files=("mouse_triplets_test_labels.npy", "jax_split.json", "jax_tasks.json"),
    frame_maps=("mouse_triplet_frame_number_map.npy", "mouse_frame_number_map.npy"),
    individuals=3,
    keypoints=len(FEATURES.keypoints),
    zero_missing=True,
    features=FEATURES,
    sizes=SIZES,
    most_columns=128,
    simulate=simulate_mouse_files,
)


@script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    mabe_jobs.run(argv, MICE, {"data_root": "data/mabe", "skip_frames": 60})


if __name__ == "__main__":
    main()
