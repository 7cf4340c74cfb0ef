"""Command lines that are odd, and good."""

from torture.command_rows.row import Row

CUSTOM = [
    Row("a name with letters of any kind and spaces", "--data_root 'gute Mäuse 鼠.npy'", ""),
    Row("folders with spaces that are not there yet", "--output_dir 'neu hier/ö' --log_dir 'runs of mine'", ""),
    Row("an equals sign", "--job=train --epochs=1", ""),
    Row("a flag twice, of which the last counts", "--epochs 3 --epochs 1", ""),
    Row("a flag before a config", "--config good.yaml --epochs 1", ""),
    Row("spaces around a number", "--epochs ' 1 '", ""),
    Row("a rate in powers of ten", "--lr 2E-3", ""),
    Row("a list in brackets with spaces", "--predict '[movement, observed]'", ""),
    Row("more animals than there are", "--individuals 9 --data_root named.npz", ""),
    Row("constant keypoints", "--data_root constant.npy", ""),
    Row("whole numbers", "--data_root whole.npy", ""),
    Row("one keypoint", "--data_root one_keypoint.npy", ""),
    Row("a keypoint to keep", "--keypoints nose --data_root named.npz", ""),
    Row("a pattern", "--data_root 'tracks/[ab].csv' --fps 30", ""),
    Row("a row of a table cut off", "--data_root bad/ragged.csv", ""),
    Row("nothing tracked", "--job compute_representations --ckpt_path own.pt --data_root all_nan.npy", ""),
    Row("a batch larger than the data", "--batch_size 100000", ""),
]
LABELLED = [
    Row("names of some of the classes", "--data_root l_few_names.npz --eval_every 0", ""),
    Row(
        "constant measures, and more folds than recordings",
        "--data_root l_constant.npz --eval_every 0 --eval_folds 50",
        "",
    ),
]
MICE = [Row("a folder with a slash at its end", "--data_root mice/", "")]
ROBOTS = [Row("axes in the other order", "--data_root turned_robots.npy", "")]
