"""custom_dataset.py on files of trackers: from a folder to tables and figures by one command, and parts of it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from test_scripts import folder, refused, run, tracks, write_deeplabcut  # noqa: F401 - a fixture is among them

from bams import checkpoint, load_poses

SHARED = Path(__file__).parents[2] / "shared/data/native/dlc_multianimal_rats_rec24.csv"
QUICK = "--epochs 1 --sequence_length 120"


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mice(folder: Path) -> Path:  # noqa: F811 - pytest's way
    """Two recordings of unequal length, numbers of animals and first frame, in a folder with other things."""
    points = tracks(6, 260).reshape(2, 3, 260, 12, 2)
    write_deeplabcut(folder / "my tracks/day 1.CSV", points[0, :2], first_frame=50)
    write_deeplabcut(folder / "my tracks/day 2.csv", points[1, :, :200])
    (folder / "my tracks/day 1.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))
    return folder


@pytest.mark.slow
def test_one_command_goes_from_a_folder_to_tables_and_figures(mice, capsys):
    run(f"custom_dataset.py --job all --data_root 'my tracks' --fps 30 {QUICK} --ckpt_path m.pt")
    said = capsys.readouterr()
    assert "receptive fields short_term 61 (2.03 s)" in said.out and "day 1.mp4" in said.err
    assert {path.name for path in mice.iterdir()} == {
        *("my tracks", "m.pt", "m_latents.png", "m_recording.png", "m_representations", "report.png", "runs")
    }
    one, two = rows_of("m_representations/day 1_embeddings.csv"), rows_of("m_representations/day 2_embeddings.csv")
    assert len(one) == 2 * 260 and len(two) == 3 * 200
    assert (one[0]["frame"], one[259]["frame"], one[260]["individual"]) == ("50", "309", "mouse1")
    assert len(rows_of("m_representations/day 2_group_embeddings.csv")) == 200
    pooled = np.array([float(row["short_0"]) for row in rows_of("m_representations/day 2_group_embeddings.csv")])
    each = np.array([float(row["short_0"]) for row in two]).reshape(3, 200)
    np.testing.assert_allclose(pooled, each.mean(axis=0), atol=1e-6)


@pytest.mark.slow
def test_the_real_rats_go_from_a_folder_to_tables_and_figures(folder):  # noqa: F811
    """Two parts of a real recording of two rats, of unequal length."""
    if not SHARED.exists():
        pytest.skip(f"{SHARED.name} is not here")
    lines = SHARED.read_text().splitlines(keepends=True)
    (folder / "rats").mkdir()
    (folder / "rats/a.csv").write_text("".join(lines[:1504]))
    (folder / "rats/b.csv").write_text("".join([*lines[:4], *lines[3004:3904]]))
    run(f"custom_dataset.py --job all --data_root rats --fps 30 {QUICK} --ckpt_path m.pt")
    found = {name: rows_of(f"m_representations/{name}_embeddings.csv") for name in "ab"}
    assert {name: len(rows) for name, rows in found.items()} == {"a": 3000, "b": 1800}
    assert found["b"][0]["frame"] == lines[3004].split(",")[0]
    assert (folder / "m_latents.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "hdf5", "npz", "arrays"])
def test_other_kinds_of_tables_hold_the_same(mice, kind):
    run(f"custom_dataset.py --data_root 'my tracks' --fps 30 {QUICK} --ckpt_path m.pt")
    embed = "custom_dataset.py --job compute_representations --data_root 'my tracks' --ckpt_path m.pt --format"
    run(f"{embed} csv")
    run(f"{embed} {kind}")
    expected = np.array([float(row["long_3"]) for row in rows_of("m_representations/day 2_embeddings.csv")])
    if kind == "arrays":
        arrays = np.load("m_representations.npz")
        assert arrays["track_names"].tolist()[2:] == [f"day 2/mouse{i}" for i in range(3)]
        found = arrays["long_term"][2:, :200, 3].ravel()
    elif kind == "npz":
        found = np.load("m_representations/day 2_embeddings.npz")["long_term"][..., 3].ravel()
    elif kind == "parquet":
        found = pytest.importorskip("pandas").read_parquet("m_representations/day 2_embeddings.parquet")["long_3"]
    else:
        with pytest.importorskip("h5py").File("m_representations/day 2_embeddings.h5") as file:
            found = np.concatenate([file[f"mouse{i}/long_term"][:, 3] for i in range(3)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_parts_are_cleaned_trained_on_and_embedded_at_their_own_frames(mice, capsys):
    Path("parts.csv").write_text("recording;start;end\nday 1;60;179\nday 1;200;309\nday 2;0;119\n")
    clean = "--keypoints nose,tail_base,left_ear --rename tail_base:tail --max_jump 2 --interpolate 3"
    clean = clean.replace("nose,tail_base,left_ear", "nose,tail,left_ear")
    common = "--data_root 'my tracks' --fps 30 --segments parts.csv --ckpt_path m.pt"
    run(f"custom_dataset.py {common} {clean} {QUICK} --hoa_window_s 0.5")
    trained = checkpoint.load("m.pt")
    assert trained.settings["hoa_window"] == 15 and "segments" not in trained.settings
    assert list(trained.reference["keypoint_names"]) == ["nose", "tail", "left_ear"]
    run(f"custom_dataset.py --job compute_representations {common}")
    one = rows_of("m_representations/day 1_embeddings.csv")
    assert [row["frame"] for row in one[:230]] == [str(i) for i in (*range(60, 180), *range(200, 310))]
    assert len(one) == 2 * 230 and len(rows_of("m_representations/day 2_embeddings.csv")) == 3 * 120
    capsys.readouterr()
    other = common.replace("my tracks", "my tracks/day 2.csv").replace("m.pt", "n.pt")
    said = refused(f"custom_dataset.py {other} {QUICK}", capsys)
    assert "day 1" in said


def test_recordings_that_do_not_go_together_are_refused(mice, capsys):
    points = load_poses(mice / "my tracks/day 2.csv")[0].keypoints
    write_deeplabcut(mice / "other/a.csv", points[:, :, :5])
    said = refused("custom_dataset.py --data_root '*/*.csv'", capsys)
    assert "keypoints" in said and "differ" in said
    said = refused("custom_dataset.py --data_root 'my tracks/day 1.mp4'", capsys)
    assert "is a video" in said


def test_a_report_says_what_to_mend(mice, capsys):
    run("custom_dataset.py --job report --data_root 'my tracks' --output_dir said")
    said = capsys.readouterr().out
    assert re_row(said, "day 1") == ["260", "?", "2"] and re_row(said, "day 2") == ["200", "?", "3"]
    assert (mice / "said/report.png").stat().st_size > 5_000


def re_row(said: str, name: str) -> list[str]:
    (line,) = [line for line in said.splitlines() if line.startswith(f"{name} ")]
    return line.removeprefix(name).split()[:3]


def test_numbers_that_are_no_positions_are_named_and_taken_as_asked(folder, capsys):  # noqa: F811
    points = tracks(2, 200)[:, :, :3].round()  # (N, T, K, 2)
    points[0, 50:90] = points[1, ::9, 1] = -1
    np.savez("a.npz", keypoints=points[None].astype(np.int16), fps=30)
    np.save("b.npy", np.concatenate([tracks(2, 200)[:, :, :3], np.full((2, 200, 3, 1), 0.9)], axis=-1))
    for file, doubt, mend in (
        ("a.npz", "! keypoints at -1 in all coordinates", "--missing_value -1"),
        ("b.npy", "! the third coordinate lies in 0 ... 1 throughout", "--third confidence"),
    ):
        run(f"custom_dataset.py --job report --data_root {file}")
        said = capsys.readouterr().out
        assert doubt in said and mend in said
        run(f"custom_dataset.py --job report --data_root {file} {mend}")
        assert doubt not in capsys.readouterr().out
    assert "expected a number" in refused("custom_dataset.py --data_root a.npz --missing_value none", capsys)
    Path("run.yaml").write_text("missing_value: -1\n")
    run("custom_dataset.py --job report --data_root a.npz --config run.yaml")
    assert "keypoints at -1" not in capsys.readouterr().out


@pytest.mark.slow
def test_one_bad_recording_does_not_stop_the_others_and_is_named(mice, capsys):
    points = load_poses(mice / "my tracks/day 1.CSV")[0].keypoints
    write_deeplabcut(mice / "my tracks/part.csv", points[:, :35])
    write_deeplabcut(mice / "my tracks/one.csv", points[:, :1])
    model = "--ckpt_path m.pt"
    jobs = (
        ("report", "part (35)", ""),
        ("train", ": part\n", f"{model} {QUICK}"),
        ("compute_representations", "", model),
    )
    for job, also, flags in jobs:
        run(f"custom_dataset.py --job {job} --data_root 'my tracks' --fps 30 {flags}")
        said = "".join(capsys.readouterr())
        assert "warning: left out one.csv: " in said and also in said, job
    assert len(rows_of("m_representations/part_embeddings.csv")) == 2 * 35
