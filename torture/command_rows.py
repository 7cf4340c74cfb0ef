"""Wrong command lines of each script, and odd ones that are right.

Each row stands behind a right command line (see `torture.commands.SCRIPTS`), of which it overrides a part.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A command line."""

    line: str
    names: str = ""  # what the sentence of a wrong one must mention
    hidden: str = ""  # a package that is not installed


EMBED = "--job compute_representations --ckpt_path"
FLAGS = [
    Row("--epohcs 3", "did you mean --epochs"),
    Row("--batch-size 3", "did you mean --batch_size"),
    Row("—epochs 3", "did you mean --epochs"),  # text editors turn two dashes into a long one
    Row("train", "'train'"),
    Row("--data_root a.csv b.csv c.csv", "'b.csv'"),  # a pattern without quotes, which the shell has filled in
    Row("--epochs", "--epochs"),
    Row("--epochs many", "--epochs is 'many'; expected a whole number"),
    Row("--epochs -1", "epochs is -1"),
    Row("--lr 0,001", "--lr is '0,001'; expected a number"),
    Row("--batch_size 0", "batch_size is 0"),
    Row("--loss huber", "--loss is 'huber'; expected"),
    Row("--job trian", "--job is 'trian'"),
    Row("--device cuda:77", "cuda:77"),
    Row("--hoa_window 5000", "frames"),
]
CONFIGS = [
    *(Row(f"--config {name}.yaml", name) for name in ("none", "empty", "broken", "list", "code")),
    Row("--config ''", "--config is empty"),
    Row("--config unknown.yaml", "did you mean epochs"),
    Row("--config twice.yaml", "twice in twice.yaml"),
    Row("--config null.yaml", "epochs in null.yaml"),
    Row("--config many.yaml", "epochs in many.yaml is 'many'; expected a whole number"),
]
CHECKPOINTS = [
    *(Row(f"{EMBED} {name}.pt", name) for name in ["none", "folder", "empty", "cut", "changed", "bare", "code"]),
    *(Row(f"--{flag} file", "file") for flag in ["output_dir", "log_dir", "cache_path"]),
    Row(f"{EMBED} robot.pt", "robot.pt"),
    Row("--ckpt_path own.pt", "own.pt exists already"),
    Row("--job compute_representations", "--ckpt_path"),
    Row("--resume cut.pt", "cut.pt"),
    Row("--resume own.pt", "own.pt"),  # its run has ended
    Row("--resume own.pt --epochs 2 --batch_size 4", "batch_size 32, not 4"),
    Row("--resume own.pt --epochs 2 --features raw", "features own, not raw"),
    Row("--resume own.pt --epochs 2 --data_root fewer_tracks.npy", "windows"),
]
RECORDINGS = [
    *(Row(f"--data_root {name}.npy", f"{name}.npy") for name in ["none", "empty", "cut", "code"]),
    *(Row(f"--data_root {name}", name) for name in ["empty", "notes.txt", "code.npz", "tracks/*.h5"]),
    *(Row(f"--data_root bad/{name}.csv", f"{name}.csv") for name in ["plain", "words", "no_y"]),
    Row("--data_root ''", "--data_root"),
    Row("--data_root film.mp4", "track it first"),
    Row("--data_root own.pt", "own.pt"),
    Row("--data_root no_keypoints.npz", "positions"),
    Row("--data_root mice/mouse_triplet_train.npy", "mouse_triplets.py"),
    Row("--data_root flat.npy", "(120, 2)"),
    Row("--data_root all_nan.npy", "tracked"),
    Row("--data_root infinite.npy", "infinite"),
    Row("--data_root words.npy", "not numbers"),
    Row("--data_root short.npy", "30 frames"),
    Row("--data_root same_names.npz", "nose"),
    Row("--data_root long_lengths.npz", "lengths"),
    Row("--data_root mixed", "keypoint"),
    Row("--data_root tracks/a.csv", "pandas", hidden="pandas"),
    Row("--segments segments_overlap.csv --data_root tracks", "overlap"),
    Row("--segments segments_outside.csv --data_root tracks", "500"),
    Row("--segments segments_seconds.csv --data_root tracks", "frame numbers"),
    Row(f"{EMBED} own.pt --data_root fewer.npy", "keypoint"),
    Row(f"{EMBED} own.pt --format parquet", "pyarrow", hidden="pyarrow"),
]
SETTINGS = [
    Row("--submission x.npy", "--submission"),
    Row("--predict movement", "--predict is 'movement'; expected a list"),
    Row("--predict [distances]", "predict"),
    Row("--heading tail:head --data_root named.npz", "tail"),
    Row("--keypoints nose,wing --data_root named.npz", "'wing'"),
    Row("--rename nose:neck --data_root named.npz", "'neck'"),
    Row("--min_confidence 0.5", "confidences"),
    Row("--fps 25 --data_root named.npz", "30 frames per second"),
    Row("--job report --data_root series.npy", "series"),
    Row("--job report --lr 0.1", "--lr"),
    Row("--output_dir out --ckpt_path new.pt", "--output_dir"),
    Row(f"{EMBED} own.pt --lr 0.1", "lr 0.002"),
    Row(f"{EMBED} own.pt --unit body", "unit file"),
    Row(f"{EMBED} own.pt --log_dir here", "--log_dir"),
    Row(f"{EMBED} own.pt --rename nose:snout --data_root named.npz", "keypoint0"),
    Row("--job all --ckpt_path own.pt", "own.pt exists already"),
]
LABELS = [
    Row("--data_root tracks", ".npz"),
    Row("--data_root l_none.npz", "labels_X"),
    Row("--data_root l_code.npz", "l_code.npz"),
    Row("--data_root l_frames.npz", "act has 70 frames"),
    Row("--data_root l_halves.npz", "act holds numbers that are not whole"),
    Row("--ignore_classes act:fly", "rest, walk, run"),
]
EVALUATE = "--job evaluate --submission submission"
MICE = [
    Row("--data_root nowhere", "download_mabe.sh mice"),
    Row("--data_root flies", "download_mabe.sh mice"),
    Row("--data_root mice_no_keypoints", "clip a"),
    Row("--data_root mice_short", "40 frames"),
    Row("--data_root mice_fewer", "5 keypoints"),
    Row("--data_root mice_code", "mouse_triplet_train.npy"),
    Row(f"{EMBED} mouse.pt --data_root mice_other_map", "clip"),
    Row(f"{EMBED} own.pt", "own.pt"),
    Row("--job evaluate", "--submission"),
    Row(f"{EVALUATE}_renamed.npy", "x"),
    Row(f"{EVALUATE}_holed.npy", "NaN"),
    Row(f"{EVALUATE}_code.npy", "submission_code.npy"),
    Row(f"{EVALUATE}_good.npy --labels submission_short_labels.npy", "submission_short_labels.npy"),
]
FLIES = [
    Row("--data_root nowhere", "download_mabe.sh flies"),
    Row("--data_root mice", "download_mabe.sh flies"),
    Row(f"{EMBED} mouse.pt", "mouse.pt"),
]
ROBOTS = [
    Row("--data_root nowhere", "robot_dataset.npy"),
    Row("--data_root good.npy", "good.npy"),
    Row("--data_root r_half.npy", "dof_vel"),
    Row("--data_root r_nan.npy", "dof_pos holds NaN"),
    Row("--data_root r_code.npy", "r_code.npy"),
    Row("--job evaluate --ckpt_path robot.pt --data_root r_unlabelled.npy", "terrain_slope"),
    Row("--job evaluate --ckpt_path own.pt", "own.pt"),
]
COMMAND = [
    Row("dance", "dance"),
    Row("train", "--data_root"),
    Row("embed --data_root good.npy", "--ckpt_path"),
    Row("train --data_root good.npy --epochs many", "--epochs is 'many'"),
]
WRONG = {
    "custom_dataset.py": [*FLAGS, *CONFIGS, *CHECKPOINTS, *RECORDINGS, *SETTINGS],
    "custom_dataset_w_labels.py": LABELS,
    "mouse_triplets.py": MICE,
    "fruit_flies.py": FLIES,
    "simulated_quadrupeds.py": ROBOTS,
    "bams": COMMAND,
}
RIGHT = {
    "custom_dataset.py": [
        Row("--data_root 'gute Mäuse 鼠.npy'"),
        Row("--output_dir 'neu hier/ö' --log_dir 'runs of mine'"),
        Row("--epochs=3 --epochs ' 1 ' --lr 2E-3"),
        Row("--config good.yaml --predict '[movement, observed]'"),
        Row("--data_root named.npz --individuals 9 --keypoints nose"),
        Row("--data_root constant.npy"),
        Row("--data_root integers.npy --features raw"),
        Row("--data_root one_keypoint.npy --batch_size 100000"),
        Row("--data_root 'tracks/[ab].csv' --fps 30"),
        Row("--data_root bad/ragged.csv"),
        Row(f"{EMBED} own.pt --data_root all_nan.npy"),
    ]
}
