"""Wrong command lines of each script, and what the sentence must say; and odd ones that are good."""

from torture.command_rows import accepted, custom, labels, mabe, robots, shared
from torture.command_rows.row import Row

MICE = {"root": "mice", "others": "flies", "name": "mouse_triplet", "own": "mouse", "other": "fly"}
FLIES = {"root": "flies", "others": "mice", "name": "fly_group", "own": "fly", "other": "mouse"}
EMBED = "compute_representations"
WRONG = {
    "custom_dataset.py": [*shared.FLAGS, *shared.CONFIGS, *shared.targets("own", "robot", EMBED), *custom.ROWS],
    "custom_dataset_w_labels.py": labels.ROWS,
    "mouse_triplets.py": [*shared.targets("mouse", "fly", EMBED), *mabe.rows(**MICE)],
    "fruit_flies.py": mabe.rows(**FLIES),
    "simulated_quadrupeds.py": [*shared.targets("robot", "own", "evaluate"), *robots.ROWS],
}
ACCEPTED = {
    "custom_dataset.py": accepted.CUSTOM,
    "custom_dataset_w_labels.py": accepted.LABELLED,
    "mouse_triplets.py": accepted.MICE,
    "simulated_quadrupeds.py": accepted.ROBOTS,
}

__all__ = ["ACCEPTED", "WRONG", "Row"]
