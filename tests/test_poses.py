"""load_poses: which files, and what is refused in one sentence."""

import pickle
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import refusals
from pose_writers import columns, numbers, write_analysis, write_csv, write_fixed, write_slp, write_table

from bams import load_poses
from bams.recordings.recording import check_same_rate, check_same_skeleton

NODES = ["nose", "tail"]
DETECTIONS = [{"frame": frame, "points": np.ones((2, 2))} for frame in range(4)]


def tracks_csv(path: Path, nodes=NODES, frames=4, **options) -> Path:
    """A file whose numbers differ from those of all others."""
    values = numbers(frames, 3 * len(nodes)) + zlib.crc32(str(path).encode()) % 1000
    return write_csv(path, columns(nodes, **options), range(frames), values)


def refused(path, match: str, error=ValueError, **options) -> None:
    with refusals.refused(match, path if isinstance(path, Path) else "", error):
        load_poses(path, **options)


# --- which files -------------------------------------------------------------------------------


def test_the_content_says_what_a_file_is(tmp_path):
    folder = tmp_path / "täglich 1 [b]"
    folder.mkdir()
    path = tracks_csv(folder / "Mäuse 日本 #1.TXT")
    (found,) = load_poses(str(path))
    assert (found.name, found.path) == ("Mäuse 日本 #1", path)
    h5 = write_table(folder / "Mäuse 2.H5", columns(NODES), range(3), numbers(3, 6))
    slp = write_slp(folder / "Mäuse 3.h5", DETECTIONS, NODES)
    analysis = write_analysis(folder / "noname", numbers(1, 2, 2, 5), NODES, [])
    assert [one.keypoints.shape[1] for one in load_poses([path, h5, slp, analysis])] == [4, 3, 4, 5]
    assert [one.name for one in load_poses(folder)] == ["Mäuse 2", "Mäuse 3", "Mäuse 日本 #1", "noname"]


def test_a_folder_leaves_out_what_holds_no_tracks_and_says_so(tmp_path, capsys):
    for name in ("b.csv", "a.csv", ".hidden.csv"):
        tracks_csv(tmp_path / name)
    (tmp_path / "config.yaml").write_text("bodyparts: [nose]\n")
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(50))
    (tmp_path / "a_meta.pickle").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "log").write_bytes(b"")
    (tmp_path / "below").mkdir()
    tracks_csv(tmp_path / "below" / "c.csv")
    assert [one.name for one in load_poses(tmp_path)] == ["a", "b"]
    said = capsys.readouterr().err
    assert "left out a_meta.pickle, config.yaml, log, video.mp4, which hold no tracks" in said
    assert [one.name for one in load_poses(f"{tmp_path}/*")] == ["a", "b"]
    assert [one.name for one in load_poses(f"{tmp_path}/b*")] == ["b"]
    assert [one.name for one in load_poses([tmp_path / "below", tmp_path / "a.csv"])] == ["c", "a"]


def test_a_table_of_something_else_is_left_out_by_name_and_nothing_there_is_an_error(tmp_path, capsys):
    tracks_csv(tmp_path / "a.csv")
    (tmp_path / "metadata.csv").write_text("mouse,age\n1,2\n")
    assert [one.name for one in load_poses(tmp_path)] == ["a"]
    assert "warning: left out metadata.csv: a CSV with the columns mouse, age: expected" in capsys.readouterr().err
    refused(tmp_path / "metadata.csv", "is a CSV with the columns mouse, age: expected")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.yaml").write_text("a: 1\n")
    for name in ("none.csv", "none*.csv", "texts"):
        refused(tmp_path / name, "there is no file", FileNotFoundError)


def test_names_differ(tmp_path):
    for folder in ("day1", "day2"):
        (tmp_path / folder).mkdir()
        paths = [tracks_csv(tmp_path / folder / f"mouse.{i}.csv") for i in (1, 2)]
    assert [one.name for one in load_poses(tmp_path / "day1")] == ["mouse.1", "mouse.2"]
    both = load_poses([tmp_path / "day1", tmp_path / "day2"])
    assert [one.name for one in both] == ["day1/mouse.1", "day1/mouse.2", "day2/mouse.1", "day2/mouse.2"]
    refused([*paths, paths[0]], "mouse.1 is given more than once")
    tracks_csv(tmp_path / "day1" / "mouse.1_filtered.csv")
    refused(str(tmp_path / "day1"), "seem to be the same recording; give a pattern")


# --- rates and skeletons -----------------------------------------------------------------------


def test_the_rate_given_is_that_of_files_that_state_none(tmp_path):
    path = tracks_csv(tmp_path / "a.csv")
    assert load_poses(path)[0].fps is None
    assert load_poses(path, fps=29.97)[0].fps == 29.97
    refused(str(path), "must be above 0", fps=0)
    refused(str(path), "individuals is 0", individuals=0)
    np.savez(tmp_path / "a.npz", keypoints=numbers(1, 5, 2, 2), fps=30)
    assert load_poses(tmp_path / "a.npz", fps=30)[0].fps == 30
    refused(tmp_path / "a.npz", "it states 30 frames per second, and fps=25 is given", fps=25)


def test_mixed_rates(tmp_path):
    paths = [tracks_csv(tmp_path / f"{name}.csv") for name in "ab"]
    first, second = load_poses(paths, fps=30)
    assert check_same_rate([first, second]) == 30
    assert check_same_rate([replace(first, fps=None)]) is None
    with pytest.raises(ValueError, match=r"b.csv has 25 frames per second and .*a.csv has 30; --resample brings"):
        check_same_rate([first, replace(second, fps=25)])
    with pytest.raises(ValueError, match="an unknown number of frames per second"):
        check_same_rate([first, replace(second, fps=None)])


def test_mixed_skeletons(tmp_path):
    names = {"one": NODES, "two": ["nose", "ear", "paw"]}
    first, second = load_poses([tracks_csv(tmp_path / f"{name}.csv", nodes) for name, nodes in names.items()])
    check_same_skeleton([first, first])
    flat = replace(first, keypoints=first.keypoints[..., :1])
    for other, said in (
        (second, r"two.csv differ from those of .*one.csv: it lacks tail; it also has ear, paw"),
        (replace(first, keypoint_names=NODES[::-1]), "in another order, tail, nose"),
        (flat, "it has 1 coordinates instead of 2"),
    ):
        with pytest.raises(ValueError, match=said):
            check_same_skeleton([first, other])


# --- files that are something else -------------------------------------------------------------

HEAD = b"scorer,n,n\nbodyparts,a,a\ncoords,x,y\n"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("tracks.mp4", b"\0\0\0\x18ftypmp42" + bytes(100), "is a video: track it first and give the tracks"),
        ("config.yaml", b"Task: reaching\nbodyparts:\n- nose\n", "of an unknown kind: give the tracks"),
        ("a.mat", b"MATLAB 5.0 MAT-file" + bytes(200), "is a MATLAB file"),
        ("a.pickle", pickle.dumps({"a": 1}), "is a Python pickle, which could run code"),
        ("a.csv.gz", b"\x1f\x8b\x08\0" + bytes(20), "is compressed by gzip: unpack it first"),
        ("a.csv", b"track,frame_idx,nose.x\n", "a CSV with the columns track, frame_idx, nose.x: expected the"),
        ("a.csv", b"", "is empty"),
        ("a.csv", HEAD, "it holds no frame"),
        ("a.csv", HEAD + b"0,1,2\n", "it holds 1 frame"),
        ("a.csv", HEAD + b"0,1,2\n1,1\n", "last row has 2 cells, not 3"),
        ("a.csv", HEAD + b"0,1,2\n1,left,2\n", "left"),
        ("a.csv", HEAD + b"0,1,2\n1,inf,2\n", "infinite coordinates"),
        ("a.csv", HEAD + b"0,1,2\n0,1,2\n", "rows 4 and 5 both hold frame 0; delete one"),
        ("a.csv", HEAD + b"0,1,2\n1.5,1,2\n", "row 5 has the frame number 1.5"),
        ("a.csv", b"scorer,n,m\nbodyparts,a,a\ncoords,x,x\n0,1,2\n1,1,2\n", "the column individual0 a x twice"),
        ("a.csv", b"scorer,n\nbodyparts,a\ncoords,length\n0,1\n1,1\n", "its columns are length, not x, y"),
        ("a.csv", HEAD + b"0,1,2\n9000000000000,1,2\n", "asks for 9000000000001"),
        ("a.csv", b"scorer,,,me\nbodyparts,,,a\ncoords,,,x\nlabeled-data,v,img1.png,1\n", "labels made by hand"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, what)


def test_archives_arrays_and_hdf5_files_of_others(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    refused(tmp_path / "a.xlsx", "is a zip file, such as of Excel")
    np.save(tmp_path / "mabe.npy", {"sequences": {}})
    refused(tmp_path / "mabe.npy", "the MABe 2022 files are for mouse_triplets.py")
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    refused(tmp_path / "c.npz", "has the arrays other; expected one named keypoints")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["model_weights"] = np.zeros(3)
    refused(tmp_path / "weights.h5", "an HDF5 file with model_weights in it, not tracks")
    for write in (write_fixed, write_table):
        images = [f"labeled-data/video/img{i}.png".encode() for i in range(3)]
        refused(write(tmp_path / "labels.h5", columns(NODES), images, numbers(3, 6)), "labels made by hand")
        words = write(tmp_path / "words.h5", columns(NODES), [b"one", b"two", b"three"], numbers(3, 6))
        refused(words, "the index of its rows is of type string; expected frame numbers")
    path = write_table(tmp_path / "a.h5", columns(NODES), range(3), numbers(3, 6), pickle.dumps(["nose"], 0))
    refused(path, "its columns have no names")
    path = write_analysis(tmp_path / "odd.h5", numbers(3, 4, 2, 5), NODES, [])
    refused(path, "its tracks have axes 3 x 4 x 2 x 5, which do not fit 2 node_names")
    path = write_analysis(tmp_path / "one.h5", numbers(1, 2, 2, 1), NODES, [])
    refused(path, "it holds 1 frame")


# --- hostile and damaged files -----------------------------------------------------------------


def test_a_pickle_in_an_h5_of_deeplabcut_runs_nothing(tmp_path):
    """More attacks are in test_unpickle.py."""
    proof = tmp_path / "proof"
    attack = f"cos\nsystem\n(Vecho > '{proof}'\ntR.".encode()
    path = write_table(tmp_path / "a.h5", columns(NODES), range(3), numbers(3, 6), attack)
    refused(path, "is not plain data: it asks for")
    assert not proof.exists()
    pickle.loads(attack)  # an ordinary unpickler runs it
    assert proof.exists()


def test_truncated_files_are_refused_in_one_sentence(tmp_path):
    np.savez(tmp_path / "f.npz", keypoints=numbers(1, 5, 2, 2))
    for path in (
        tracks_csv(tmp_path / "a.csv"),
        write_fixed(tmp_path / "b.h5", columns(NODES), range(4), numbers(4, 6)),
        write_table(tmp_path / "c.h5", columns(NODES), range(4), numbers(4, 6)),
        write_slp(tmp_path / "d.slp", DETECTIONS, NODES),
        write_analysis(tmp_path / "e.analysis.h5", numbers(1, 2, 2, 5), NODES, ["one"]),
        tmp_path / "f.npz",
    ):
        assert load_poses(path)
        whole = path.read_bytes()
        for length in {1, 7, 50, *np.random.default_rng(1).integers(1, len(whole) - 40, 12).tolist()}:
            path.write_bytes(whole[:length])
            if path.suffix == ".csv" and whole[:length].count(b",") % 6 == 0 and length > 300:
                continue  # a row less, or a number with a digit less, is a CSV as well
            refused(path, path.name)


@pytest.mark.parametrize("module", ["h5py", "pandas", "sleap_io", "xarray"])
def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch, module):
    paths = {
        "h5py": write_fixed(tmp_path / "a.h5", columns(NODES), range(3), numbers(3, 6)),
        "pandas": tracks_csv(tmp_path / "a.csv"),
        "sleap_io": write_slp(tmp_path / "a.slp", DETECTIONS, NODES),
        "xarray": tmp_path / "a.nc",
    }
    paths["xarray"].write_bytes(b"CDF\x01" + bytes(40))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f'reading this file needs {module}: pip install "bams\\[poses\\]"'):
        load_poses(paths[module])
