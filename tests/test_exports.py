"""py: embeddings in files, read back by other readers than our own."""

import csv
import itertools
import os
import sys

import h5py
import numpy as np
import pandas
import pyarrow.parquet
import pytest

from bams.embed import export
from bams.embed.export import KINDS, ROWS, write_embeddings
from bams.embed.tracks import GROUP, TrackEmbedding

ODD = np.array([np.nan, -0.0, 1e-45, -3.4028235e38, 1 / 3, 16777216, 0.1, np.inf], np.float32)


def random_embs(frames, seed=0, sizes=(8, 3)):
    """Any float32 numbers that there are, and those that are easily lost."""
    rng = np.random.default_rng(seed)
    names = ("short_term", "long_term")
    bits = {name: rng.integers(0, 2**32, (frames, size), np.uint32) for name, size in zip(names, sizes, strict=True)}
    embs = {name: value.view(np.float32) for name, value in bits.items()}
    embs["short_term"][0] = ODD[: sizes[0]]
    embs["long_term"][1] = np.nan
    return embs


def read_csv(path):
    """(names of the columns, cells by column): the csv module alone."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, {name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}


def assert_same_bits(left, right):
    """The same float32 numbers, -0 told from 0, with all NaN alike."""
    left, right = (np.asarray(array) for array in (left, right))
    assert left.dtype == right.dtype == np.float32
    assert left.shape == right.shape
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(np.signbit(left)[~np.isnan(left)], np.signbit(right)[~np.isnan(right)])


def two_mice(fps=30.0):
    return [TrackEmbedding("cage 1", name, random_embs(50, seed), 100, fps) for seed, name in enumerate("ba")]


# --- the tables --------------------------------------------------------------------------------


def test_columns_are_named_by_encoder_and_number():
    track = TrackEmbedding("r", "i", random_embs(4, sizes=(2, 3)))
    assert track.columns == ["short_0", "short_1", "long_0", "long_1", "long_2"]
    assert_same_bits(track.table(), np.hstack([track.embs["short_term"], track.embs["long_term"]]))
    assert_same_bits(track.table(slice(1, 3)), track.table()[1:3])


def test_columns_differ_where_encoders_differ_by_term_alone():
    track = TrackEmbedding(
        "r", "i", {"short": np.zeros((2, 1), np.float32), "short_term": np.zeros((2, 1), np.float32)}
    )
    assert track.columns == ["short_0", "short_term_0"]


@pytest.mark.parametrize("rows", [7, 50, ROWS])
def test_csv_has_what_went_in(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(export, "ROWS", rows)
    mice = two_mice()
    (path,) = write_embeddings(tmp_path, mice, "csv")
    header, cells = read_csv(path)
    assert path.name == "cage 1_embeddings.csv"
    assert header == ["recording", "individual", "frame", "time_s", *mice[0].columns]
    assert cells["recording"] == ["cage 1"] * 100
    assert cells["individual"] == ["b"] * 50 + ["a"] * 50
    assert cells["frame"] == [str(frame) for frame in range(100, 150)] * 2
    assert [float(cell) for cell in cells["time_s"]] == [frame / 30 for frame in range(100, 150)] * 2
    numbers = [[np.float32(cell or "nan") for cell in cells[column]] for column in mice[0].columns]
    table = np.concatenate([mouse.table() for mouse in mice])
    assert_same_bits(np.array(numbers).T, table)
    empty = [[cell == "" for cell in cells[column]] for column in mice[0].columns]
    np.testing.assert_array_equal(np.array(empty).T, np.isnan(table))
    assert not list(itertools.chain(*[[c for c in cells[column] if "nan" in c] for column in header]))


def test_csv_is_read_by_pandas_too(tmp_path):
    mice = two_mice(fps=None)
    (path,) = write_embeddings(tmp_path, mice, "csv")
    table = pandas.read_csv(path)
    assert table["frame"].dtype == np.int64
    assert table["time_s"].isna().all()
    numbers = table[mice[0].columns].to_numpy().astype(np.float32)
    np.testing.assert_array_equal(numbers, np.concatenate([mouse.table() for mouse in mice]))


def test_parquet_has_what_went_in(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "ROWS", 20)
    mice = two_mice()
    (path,) = write_embeddings(tmp_path, mice, "parquet")
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == ["recording", "individual", "frame", "time_s", *mice[0].columns]
    assert table["recording"].to_pylist() == ["cage 1"] * 100
    assert table["individual"].to_pylist() == ["b"] * 50 + ["a"] * 50
    assert table["frame"].to_pylist() == [*range(100, 150)] * 2
    assert table["time_s"].to_pylist() == [frame / 30 for frame in range(100, 150)] * 2
    numbers = np.stack([table[column].to_numpy() for column in mice[0].columns], axis=1)
    assert_same_bits(numbers, np.concatenate([mouse.table() for mouse in mice]))
    frame = pandas.read_parquet(path)
    assert_same_bits(frame[mice[0].columns].to_numpy(), numbers)


def test_hdf5_has_what_went_in(tmp_path):
    mice = two_mice()
    (path,) = write_embeddings(tmp_path, mice, "hdf5")
    assert path.name == "cage 1_embeddings.h5"
    with h5py.File(path) as content:
        assert dict(content.attrs) == {"recording": "cage 1", "fps": 30.0}
        assert set(content) == {"a", "b"}
        for mouse in mice:
            group = content[mouse.individual]
            assert dict(group.attrs) == {"individual": mouse.individual, "first_frame": 100}
            assert set(group) == {"frame", "time_s", "short_term", "long_term"}
            np.testing.assert_array_equal(group["frame"], np.arange(100, 150))
            np.testing.assert_array_equal(group["time_s"], np.arange(100, 150) / 30)
            for name, emb in mouse.embs.items():
                assert_same_bits(group[name][()], emb)


def test_npz_has_what_went_in(tmp_path):
    mice = two_mice()
    (path,) = write_embeddings(tmp_path, mice, "npz")
    with np.load(path, allow_pickle=False) as content:
        names = {"short_term", "long_term", "individuals", "frame", "time_s", "fps", "recording"}
        assert set(content) == names
        assert content["recording"] == "cage 1"
        assert content["fps"] == 30
        assert content["individuals"].tolist() == ["b", "a"]
        np.testing.assert_array_equal(content["frame"], np.arange(100, 150))
        np.testing.assert_array_equal(content["time_s"], np.arange(100, 150) / 30)
        for name in ("short_term", "long_term"):
            assert_same_bits(content[name], np.stack([mouse.embs[name] for mouse in mice]))


def test_an_unknown_rate_leaves_times_open(tmp_path):
    mice = two_mice(fps=None)
    paths = {kind: write_embeddings(tmp_path, mice, kind)[0] for kind in KINDS}
    assert set(read_csv(paths["csv"])[1]["time_s"]) == {""}
    assert pyarrow.parquet.read_table(paths["parquet"])["time_s"].null_count == 100
    with h5py.File(paths["hdf5"]) as content, np.load(paths["npz"]) as arrays:
        assert np.isnan(content.attrs["fps"])
        assert np.isnan(content["a/time_s"]).all()
        assert np.isnan(arrays["fps"])
        assert np.isnan(arrays["time_s"]).all()


def test_mapped_arrays_and_views_are_written(tmp_path):
    embs = random_embs(40)
    mapped = np.lib.format.open_memmap(tmp_path / "short.npy", "w+", np.float32, (40, 8))
    mapped[:] = embs["short_term"]
    backwards = TrackEmbedding("r", "i", {"short_term": mapped[::-1], "long_term": embs["long_term"][::-1]})
    for kind in ("hdf5", "npz", "parquet"):
        (path,) = write_embeddings(tmp_path / kind, [backwards], kind)
        if kind == "parquet":
            found = pandas.read_parquet(path)[backwards.columns[:8]].to_numpy()
        else:
            found = h5py.File(path)["i/short_term"][()] if kind == "hdf5" else np.load(path)["short_term"][0]
        assert_same_bits(found, embs["short_term"][::-1])


def test_no_frames_give_tables_without_rows(tmp_path):
    nobody = TrackEmbedding("r", "i", {"short_term": np.zeros((0, 2), np.float32)}, fps=25)
    paths = {kind: write_embeddings(tmp_path, [nobody], kind)[0] for kind in KINDS}
    assert paths["csv"].read_text() == "recording,individual,frame,time_s,short_0,short_1\n"
    assert len(pandas.read_parquet(paths["parquet"])) == 0
    assert h5py.File(paths["hdf5"])["i/short_term"].shape == (0, 2)
    assert np.load(paths["npz"])["short_term"].shape == (1, 0, 2)


def test_many_individuals_are_groups_of_one_file(tmp_path):
    emb = {"short_term": np.ones((2, 1), np.float32)}
    tracks = [TrackEmbedding("r", f"a track with a long name, number {i}", emb) for i in range(1500)]
    (path,) = write_embeddings(tmp_path, tracks, "hdf5")
    with h5py.File(path) as content:
        assert len(content) == 1500


# --- parts of recordings, and pooled individuals -----------------------------------------------


def test_parts_of_a_recording_are_put_together_by_frame(tmp_path):
    whole = random_embs(60)
    parts = [
        TrackEmbedding("r", who, {name: emb[first:last] for name, emb in whole.items()}, 1000 + first, 25.0)
        for first, last in ((40, 60), (0, 10), (10, 15))
        for who in ("a", "b")
    ]
    kept = np.r_[0:15, 40:60]
    paths = {kind: write_embeddings(tmp_path, parts, kind) for kind in KINDS}
    assert {len(found) for found in paths.values()} == {1}
    for table in (pandas.read_csv(paths["csv"][0]), pandas.read_parquet(paths["parquet"][0])):
        assert table["individual"].tolist() == ["a"] * 35 + ["b"] * 35
        assert table["frame"].tolist() == (1000 + kept).tolist() * 2
        numbers = table[parts[0].columns].to_numpy().astype(np.float32)
        np.testing.assert_array_equal(numbers[35:], np.concatenate(list(whole.values()), axis=1)[kept])
    with h5py.File(paths["hdf5"][0]) as content, np.load(paths["npz"][0]) as arrays:
        assert content["b"].attrs["first_frame"] == 1000
        for frame in (content["b/frame"], arrays["frame"]):
            np.testing.assert_array_equal(frame, 1000 + kept)
        for name, emb in whole.items():
            assert_same_bits(content["b"][name][()], emb[kept])
            assert_same_bits(arrays[name], np.stack([emb[kept]] * 2))


def test_individuals_in_other_parts_share_the_frames_of_npz(tmp_path):
    embs = random_embs(10)
    tracks = [
        TrackEmbedding("r", "a", embs, 0),
        TrackEmbedding("r", "b", embs, 5),
        TrackEmbedding("r", "b", embs, 90),
    ]
    (path,) = write_embeddings(tmp_path, tracks, "npz")
    with np.load(path) as content:
        np.testing.assert_array_equal(content["frame"], [*range(15), *range(90, 100)])
        expected = np.full((2, 25, 8), np.nan, np.float32)
        expected[0, :10] = expected[1, 5:15] = expected[1, 15:] = embs["short_term"]
        assert_same_bits(content["short_term"], expected)


def test_pooled_individuals_have_a_file_of_their_own(tmp_path):
    pooled = TrackEmbedding("cage 1", GROUP, random_embs(50, 9, sizes=(4, 6)), 100, 30)
    for kind, (suffix, _, _) in KINDS.items():
        paths = write_embeddings(tmp_path, [*two_mice(), pooled], kind)
        assert [path.name for path in paths] == [f"cage 1_embeddings{suffix}", f"cage 1_group_embeddings{suffix}"]
    header, cells = read_csv(tmp_path / "cage 1_group_embeddings.csv")
    assert header[4:] == pooled.columns
    assert set(cells["individual"]) == {"group"}
    assert set(read_csv(tmp_path / "cage 1_embeddings.csv")[1]["individual"]) == {"a", "b"}


# --- names -------------------------------------------------------------------------------------

LONG = "mouse " * 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../x", "_.._x"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("a/b", "a_b"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\tracks\\a", "C__tracks_a"),
        (".hidden", "hidden"),
        ("Mäuse und 鼠 1", "Mäuse und 鼠 1"),
        ("Ma\u0308use", "Mäuse"),
        ('a "quoted", name\nof two lines', "a _quoted_, name_of two lines"),
        ("nan", "nan"),
        ("a\0b", "a_b"),
        ("caf\udce9", "caf_"),
        (LONG, LONG[:160]),
        ("鼠" * 100, "鼠" * 53),
    ],
)
def test_any_name_makes_one_file_in_the_folder(tmp_path, kind, name, stem):
    folder = tmp_path / "a" / "b"
    embs = random_embs(3)
    (path,) = write_embeddings(folder, [TrackEmbedding(name, name, embs)], kind)
    assert path == folder / f"{stem}_embeddings{KINDS[kind][0]}"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    shown = name.replace("\0", "?").replace("\udce9", "?")
    if kind == "csv":
        found = [read_csv(path)[1][column][0] for column in ("recording", "individual")]
    elif kind == "parquet":
        found = [pyarrow.parquet.read_table(path)[column][0].as_py() for column in ("recording", "individual")]
    elif kind == "hdf5":
        with h5py.File(path) as content:
            (group,) = content.values()
            found = [content.attrs["recording"], group.attrs["individual"]]
            assert_same_bits(group["short_term"][()], embs["short_term"])
    else:
        with np.load(path) as content:
            found = [content["recording"].item(), content["individuals"].item()]
    assert found == [shown, shown]


def test_names_that_file_systems_take_for_one_have_files_of_their_own(tmp_path):
    names = ["a/b", "a_b", "A_B", "a_b_2", "x", "x_group", "Straße", "STRASSE", LONG + "1", LONG + "2", "", "."]
    tracks = [TrackEmbedding(name, "i", random_embs(2, seed)) for seed, name in enumerate(names)]
    tracks.append(TrackEmbedding("x", GROUP, random_embs(2, 99)))
    paths = write_embeddings(tmp_path, tracks, "csv")
    assert len({path.name.lower() for path in paths}) == len(os.listdir(tmp_path)) == len(tracks)
    for path, track in zip(paths, tracks, strict=True):
        assert set(read_csv(path)[1]["recording"]) == {track.recording}
    assert [path.name for path in paths[:4]] == [
        f"{stem}_embeddings.csv" for stem in ("a_b", "a_b_2", "A_B_3", "a_b_2_2")
    ]


def test_individuals_of_like_names_have_groups_of_their_own(tmp_path):
    names = ["a/b", "a_b", "..", "", "x"]
    (path,) = write_embeddings(tmp_path, [TrackEmbedding("r", name, random_embs(2)) for name in names], "hdf5")
    with h5py.File(path) as content:
        found = {group.attrs["individual"]: name for name, group in content.items()}
    assert found == {"a/b": "a_b", "a_b": "a_b_2", "..": "unnamed", "": "unnamed_2", "x": "x"}


# --- errors ------------------------------------------------------------------------------------


def assert_one_sentence(error):
    message = str(error.value)
    assert "\n" not in message
    assert 10 < len(message) < 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embs": {}}, "are none"),
        ({"embs": {"short": np.zeros((3, 2))}}, "float64"),
        ({"embs": {"short": np.zeros(3, np.float32)}}, r"axes \(frames, channels\)"),
        ({"embs": {"a": np.zeros((3, 2), np.float32), "b": np.zeros((4, 2), np.float32)}}, "of the same frames"),
        ({"embs": {"frame": np.zeros((3, 2), np.float32)}}, "an encoder named frame"),
        ({"fps": 0}, "0 frames per second"),
        ({"fps": float("nan")}, "nan frames per second"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        TrackEmbedding(**{"recording": "r", "individual": "i", "embs": random_embs(3)} | changes)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (TrackEmbedding("r", "b", random_embs(5, sizes=(4, 3)), 0, 30), "other encoders or channels"),
        (TrackEmbedding("r", "b", {"short": np.zeros((5, 11), np.float32)}, 0, 30), "other encoders or channels"),
        (TrackEmbedding("r", "b", random_embs(5), 0, 25), "25 frames per second, others there 30"),
        (TrackEmbedding("r", "b", random_embs(5), 0, None), "None frames per second"),
        (TrackEmbedding("r", "a", random_embs(5), 9, 30), "twice at frame 9"),
        (TrackEmbedding("r", "a", random_embs(6), -5, 30), "twice at frame 0"),
    ],
)
def test_tracks_of_a_recording_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, other, message):
    tracks = [
        TrackEmbedding("first", "a", random_embs(10)),
        TrackEmbedding("r", "a", random_embs(10), 0, 30),
        other,
    ]
    with pytest.raises(ValueError, match=message) as error:
        write_embeddings(tmp_path / "out", tracks, "csv")
    assert_one_sentence(error)
    assert not (tmp_path / "out").exists()


def test_nothing_to_write_and_unknown_kinds_are_errors(tmp_path):
    with pytest.raises(ValueError, match="no embeddings"):
        write_embeddings(tmp_path, [], "csv")
    with pytest.raises(ValueError, match=r"no kind 'xlsx' of files; choose from csv, parquet, hdf5, npz"):
        write_embeddings(tmp_path, two_mice(), "xlsx")


@pytest.mark.parametrize(("kind", "module"), [("parquet", "pyarrow"), ("hdf5", "h5py")])
def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch, kind, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as error:
        write_embeddings(tmp_path / "out", two_mice(), kind)
    assert str(error.value) == f'writing {kind} needs {module}: pip install "bams[poses]"'
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_plain_kinds_need_no_further_package(tmp_path, monkeypatch, kind):
    for module in ("pandas", "pyarrow", "h5py"):
        monkeypatch.setitem(sys.modules, module, None)
    assert write_embeddings(tmp_path, two_mice(), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, kind):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OSError, match="cannot make the folder") as error:
        write_embeddings(tmp_path / "file" / "out", two_mice(), kind)
    assert_one_sentence(error)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, kind):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OSError, match="cannot write in the folder") as error:
        write_embeddings(folder, two_mice(), kind)
    assert_one_sentence(error)


class Breaking(np.ndarray):
    """An array whose later rows cannot be read."""

    def __getitem__(self, rows):
        if isinstance(rows, slice) and (rows.start or 0) >= 20:
            raise OSError("the disk is gone")
        return super().__getitem__(rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(export, "ROWS", 10)
    (path,) = write_embeddings(tmp_path, two_mice(), kind)
    before = path.read_bytes()
    mice = two_mice()
    mice[1].embs["long_term"] = mice[1].embs["long_term"].view(Breaking)
    with pytest.raises(OSError, match="the disk is gone"):
        write_embeddings(tmp_path, mice, kind)
    with pytest.raises(OSError, match="the disk is gone"):
        write_embeddings(tmp_path / "new", mice, kind)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_nothing(tmp_path, kind):
    """The file may grow to 20 kB, with what Linux says then."""
    resource, signal = pytest.importorskip("resource"), pytest.importorskip("signal")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    mice = [TrackEmbedding("r", who, random_embs(2000, seed)) for seed, who in enumerate("ab")]
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
    try:
        with pytest.raises((OSError, RuntimeError)):
            write_embeddings(tmp_path, mice, kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []
