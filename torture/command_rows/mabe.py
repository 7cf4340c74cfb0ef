"""Command lines that are wrong for the animals of MABe 2022."""

from torture.command_rows.row import Row

EVALUATE = "--job evaluate --submission {root}_scores"
EMBED = "--job compute_representations --ckpt_path {own}.pt --data_root"
ROWS = [
    Row("a folder that is not there", "--data_root nowhere", "download_mabe.sh {root}"),
    Row("a file for the folder", "--data_root {root}/{name}_train.npy", "{name}_train.npy"),
    Row("an empty folder", "--data_root empty", "download_mabe.sh {root}"),
    Row("no folder", "--data_root ''", "download_mabe.sh {root}"),
    Row("the other animals' folder", "--data_root {others}", "download_mabe.sh {root}"),
    Row("the other animals' files", "--data_root {name}_swapped", "individuals"),
    Row("a test file that is missing", "--data_root {name}_half", "{name}_test.npy"),
    Row("a test file that is empty", f"{EMBED} {{name}}_empty_test", "{name}_test.npy is empty"),
    *(
        Row(what, f"--data_root {{name}}_{folder}", says)
        for what, folder, says in (
            ("an array", "array", "dict of arrays"),
            ("no sequences", "no_sequences", "'sequences'"),
            ("no clip", "no_clip", "'sequences'"),
            ("a clip without keypoints", "no_keypoints", "clip a has no keypoints"),
            ("a clip that is an array", "bare", "clip a has no keypoints"),
            ("a clip of words", "words", "clip a has no keypoints"),
            ("a clip without frames", "no_frames", "clip a has no keypoints"),
            ("a clip of three axes", "three_axes", "clip a has no keypoints"),
            ("infinite positions", "infinite", "clip a holds infinite"),
            ("a clip without anybody", "nobody", "no individual is tracked"),
            ("a clip that is too short", "short", "40 frames"),
            ("fewer keypoints", "fewer", "5 keypoints"),
        )
    ),
    *(
        Row(what, f"{EMBED} {{name}}_{folder}", says)
        for what, folder, says in (
            ("a frame map of other clips", "map_clips", "does not fit the test file"),
            ("a frame map of other frames", "map_frames", "gives clip a 9 frames"),
            ("a frame map with a gap", "map_gap", "gap"),
            ("a list in place of a frame map", "map_list", "frame_number_map.npy"),
        )
    ),
    Row("no clip to simulate", "--simulate --simulated_clips 0 --data_root fresh", "clips"),
    Row(
        "half a clip to simulate",
        "--simulate --simulated_clips 1.5 --data_root fresh",
        "--simulated_clips is '1.5'",
    ),
    Row("simulated files into a file", "--simulate --data_root file", "file"),
    Row("a switch in words", "--simulate maybe", "--simulate is 'maybe'; expected true or false"),
    Row("a flag of recordings of one's own", "--fps 30", "--fps"),
    Row("features, which are fixed here", "--features raw", "--features"),
    Row("a job that is not here", "--job report", "no --job report"),
    Row("a file in place of the cache", "--cache_path file", "file"),
    Row("nothing to score", "--job evaluate", "--submission"),
    Row("nothing to compare with", f"{EVALUATE}/good.npy --baselines", "--ckpt_path"),
    Row(
        "other animals to compare with",
        f"{EVALUATE}/good.npy --baselines --ckpt_path {{other}}.pt",
        "was trained on",
    ),
    *(
        Row(what, f"{EVALUATE}/{file}.npy", says)
        for what, file, says in (
            ("a submission that is not there", "none", "none.npy"),
            ("an array for a submission", "array", "array.npy"),
            ("labels for a submission", "short_labels", "is it a submission"),
            ("no frame map", "no_map", "is it a submission"),
            ("clips of other names", "renamed", "first difference"),
            ("a clip too few", "fewer", "3 clips"),
            ("a list of clips", "lists", "frame_number_map"),
            ("a clip elsewhere", "moved", "(1, 2)"),
            ("NaN", "holed", "NaN"),
            ("too many columns", "wide", "257 columns"),
            ("no columns", "no_columns", "no_columns.npy"),
            ("too many frames", "long", "frames"),
            ("one axis", "flat", "axes"),
            ("other numbers", "double", "float64"),
            ("words", "words", "float32"),
        )
    ),
    *(
        Row(what, f"{EVALUATE}/good.npy --{kind} {file}", says)
        for what, kind, file, says in (
            ("labels that are not there", "labels", "none.npy", "none.npy"),
            ("a submission for labels", "labels", "{root}_scores/good.npy", "label"),
            ("labels of fewer frames", "labels", "{root}_scores/short_labels.npy", "frames"),
            ("labels that are no classes", "labels", "{root}_scores/odd_labels.npy", "neither 0, 1 nor NaN"),
            ("fewer names than labels", "labels", "{root}_scores/no_names.npy", "1 names"),
            ("labels of unknown kinds", "labels", "{root}_scores/odd_kinds.npy", "Sorted"),
            ("a table for labels", "labels", "tracks/a.csv", "tracks/a.csv"),
            ("splits that are not there", "splits", "none.json", "none.json"),
            ("empty splits", "splits", "empty.json", "empty.json is empty"),
            ("a list for splits", "splits", "list.json", "list.json"),
            ("splits that never end", "splits", "broken.json", "broken.json"),
            ("arrays for splits", "splits", "good.npy", "good.npy"),
            ("a clip on both sides", "splits", "{root}_scores/overlap.json", "again in publicTest"),
            ("unknown clips", "splits", "{root}_scores/strangers.json", "not in the labels"),
            ("no clip to train on", "splits", "{root}_scores/untrained.json", "SubmissionTrain"),
            ("a word for clips", "splits", "{root}_scores/split_words.json", "SubmissionTrain"),
            ("no private clips", "splits", "{root}_scores/no_private.json", "privateTest"),
            ("splits in place of tasks", "tasks", "{root}_scores/overlap.json", "task_id_list"),
            ("unknown tasks", "tasks", "{root}_scores/unknown.json", "dances"),
            ("no task", "tasks", "{root}_scores/no_task.json", "names no task"),
            ("seeds in words", "tasks", "{root}_scores/odd_seeds.json", "seeds"),
            ("a folder for tasks", "tasks", "{root}", "folder"),
        )
    ),
    Row("labels elsewhere", f"{EVALUATE}/good.npy --data_root empty", "download_mabe.sh"),
]


def rows(**names: str) -> list[Row]:
    """Those of a script, with the names of its files."""
    return [row._replace(line=row.line.format(**names), says=row.says.format(**names)) for row in ROWS]
