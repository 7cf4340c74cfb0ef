"""Embeddings in files, read back by other readers than our own."""

import os
import sys

import h5py
import numpy as np
import pandas
import pyarrow.parquet
import pytest
from refusals import refused

from bams.embed import export
from bams.embed.export import KINDS, ROWS, write_embeddings
from bams.embed.tracks import ABOUT, GROUP, TrackEmbedding

ODD = np.array([np.nan, -0.0, 1e-45, -3.4028235e38, 1 / 3, 16777216, 0.1, np.inf], np.float32)
ENCODERS = ("short_term", "long_term")


def random_embs(frames, seed=0, sizes=(8, 3)):
    """Any float32 numbers that there are, and those that are easily lost."""
    rng = np.random.default_rng(seed)
    bits = {name: rng.integers(0, 2**32, (frames, size), np.uint32) for name, size in zip(ENCODERS, sizes, strict=True)}
    embs = {name: value.view(np.float32) for name, value in bits.items()}
    embs["short_term"][0] = ODD[: sizes[0]]
    embs["long_term"][1] = np.nan
    return embs


def two_mice(fps=30.0):
    tracked = np.linspace(0, 1, 50, dtype=np.float32)
    return [TrackEmbedding("cage 1", name, random_embs(50, seed), 100, fps, tracked) for seed, name in enumerate("ba")]


def read_table(kind, path):
    """The table of a CSV or Parquet file as pandas reads it; numbers of CSV cells are made by Python."""
    if kind == "parquet":
        return pandas.read_parquet(path)
    table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    cells = table.iloc[:, 2:]
    assert not (cells == "nan").any(axis=None)
    types = {"frame": float if cells["frame"].str.contains(".", regex=False).any() else int}
    types |= dict.fromkeys(cells.columns[2:], "f4")
    numbers = cells.map(lambda cell: float(cell or "nan")).astype(types)
    return pandas.concat([table.iloc[:, :2], numbers], axis=1)


def read_back(kind, path):
    """Name of the recording; by individual frame, time_s and tracked (T,), and the channels of all encoders (T, C)."""
    if kind == "hdf5":
        with h5py.File(path) as content:
            groups = {group.attrs["individual"]: group for group in content.values()}
            embs = {who: np.concatenate([group[name] for name in ENCODERS], axis=1) for who, group in groups.items()}
            found = {who: [group[name][()] for name in ABOUT[2:]] + [embs[who]] for who, group in groups.items()}
            return content.attrs["recording"], found
    if kind == "npz":
        with np.load(path, allow_pickle=False) as content:
            embs = np.concatenate([content[name] for name in ENCODERS], axis=2)
            frame, time = content["frame"], content["time_s"]
            each = zip(content["individuals"].tolist(), content["tracked"], embs, strict=True)
            return content["recording"].item(), {who: (frame, time, tracked, emb) for who, tracked, emb in each}
    table = read_table(kind, path)
    assert list(table)[:5] == ["recording", "individual", "frame", "time_s", "tracked"]
    (name,) = set(table["recording"])
    parts = {who: part.iloc[:, 2:] for who, part in table.groupby("individual", sort=False)}
    numbers = {who: [part[name].to_numpy() for name in ABOUT[2:]] for who, part in parts.items()}
    return name, {who: (*numbers[who], part.iloc[:, 3:].to_numpy()) for who, part in parts.items()}


def assert_same_bits(left, right):
    """The same float32 numbers, -0 told from 0, with all NaN alike."""
    left, right = (np.asarray(array) for array in (left, right))
    assert left.dtype == right.dtype == np.float32 and left.shape == right.shape
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(np.signbit(left)[~np.isnan(left)], np.signbit(right)[~np.isnan(right)])


# --- the tables ---


def test_columns_are_named_by_encoder_and_number():
    track = TrackEmbedding("r", "i", random_embs(4, sizes=(2, 3)))
    assert track.columns == ["short_0", "short_1", "long_0", "long_1", "long_2"]
    assert_same_bits(track.table(), np.hstack([track.embs["short_term"], track.embs["long_term"]]))
    assert_same_bits(track.table(slice(1, 3)), track.table()[1:3])
    alike = TrackEmbedding("r", "i", dict.fromkeys(("short", "short_term"), np.zeros((2, 1), np.float32)))
    assert alike.columns == ["short_0", "short_term_0"]


@pytest.mark.parametrize("fps", [30.0, None])
@pytest.mark.parametrize("rows", [7, ROWS])
@pytest.mark.parametrize("kind", KINDS)
def test_files_hold_what_was_given(tmp_path, monkeypatch, kind, rows, fps):
    monkeypatch.setattr(export, "ROWS", rows)
    mice = two_mice(fps)
    np.save(tmp_path.with_suffix(".npy"), mice[0].embs["short_term"])
    mice[0].embs["short_term"] = np.load(tmp_path.with_suffix(".npy"), mmap_mode="r")[::-1]
    mice[1].embs["long_term"] = mice[1].embs["long_term"][::-1]
    (path,) = write_embeddings(tmp_path, mice, kind)
    assert path.name == f"cage 1_embeddings{KINDS[kind][0]}"
    recording, found = read_back(kind, path)
    assert recording == "cage 1"
    assert list(found) == (["a", "b"] if kind == "hdf5" else ["b", "a"])
    for mouse in mice:
        frame, time, tracked, channels = found[mouse.individual]
        assert_same_bits(tracked, mouse.tracked)
        np.testing.assert_array_equal(frame, np.arange(100, 150))
        np.testing.assert_array_equal(time, np.arange(100, 150) / (fps or np.nan))
        assert_same_bits(channels, mouse.table())


@pytest.mark.parametrize("fps", [30.0, None])
def test_what_else_is_in_the_files(tmp_path, fps):
    paths = {kind: write_embeddings(tmp_path, two_mice(fps), kind)[0] for kind in KINDS}
    with h5py.File(paths["hdf5"]) as content, np.load(paths["npz"]) as arrays:
        for found in (content.attrs["fps"], arrays["fps"]):
            np.testing.assert_equal(float(found), fps or np.nan)
        assert content.attrs["frame_step"] == arrays["frame_step"] == 1
        assert set(content.attrs) == {"recording", "fps", "frame_step"}
        assert dict(content["b"].attrs) == {"individual": "b", "first_frame": 100}
        assert set(content["b"]) == {*ABOUT[2:], *ENCODERS}
        assert set(arrays) == {*ABOUT[2:], *ENCODERS, "individuals", "fps", "frame_step", "recording"}
    table = pyarrow.parquet.read_table(paths["parquet"])
    assert table["time_s"].null_count == (0 if fps else 100)
    assert table.column_names == [*ABOUT, *two_mice()[0].columns]
    assert table.column_names == list(pandas.read_csv(paths["csv"]))


# --- parts of recordings, and pooled individuals ---


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_recording_are_put_together_by_frame(tmp_path, kind):
    whole = random_embs(60)
    parts = [
        TrackEmbedding("r", who, {name: emb[first:last] for name, emb in whole.items()}, 1000 + first, 25.0)
        for first, last in ((40, 60), (0, 10), (10, 15))
        for who in ("a", "b")
    ]
    kept = np.r_[0:15, 40:60]
    _, found = read_back(kind, *write_embeddings(tmp_path, parts, kind))
    assert list(found) == ["a", "b"]
    for frame, time, tracked, channels in found.values():
        np.testing.assert_array_equal(frame, 1000 + kept)
        np.testing.assert_array_equal(time, (1000 + kept) / 25)
        assert np.isnan(tracked).all()  # not known
        assert_same_bits(channels, np.concatenate(list(whole.values()), axis=1)[kept])


def test_individuals_in_other_parts_share_the_frames_of_npz(tmp_path):
    embs = random_embs(10)
    tracks = [TrackEmbedding("r", who, embs, first) for who, first in (("a", 0), ("b", 5), ("b", 90))]
    (path,) = write_embeddings(tmp_path, tracks, "npz")
    with np.load(path) as content:
        np.testing.assert_array_equal(content["frame"], [*range(15), *range(90, 100)])
        expected = np.full((2, 25, 8), np.nan, np.float32)
        expected[0, :10] = expected[1, 5:15] = expected[1, 15:] = embs["short_term"]
        assert_same_bits(content["short_term"], expected)


# of two segments of 5 and 3 frames at steps of 2, 1.2 and 0.5 frames of the file
RESAMPLED = {
    2.0: ((0, 2, 4, 6, 8), (9, 11, 13)),
    1.2: ((0, 1.2, 2.4, 3.6, 4.8), (5, 6.2, 7.4)),
    0.5: ((0, 0.5, 1, 1.5, 2), (3, 3.5, 4)),
}


@pytest.mark.parametrize("step", RESAMPLED)
@pytest.mark.parametrize("kind", KINDS)
def test_resampled_parts_are_written_at_the_frames_of_the_file(tmp_path, kind, step):
    first, second = RESAMPLED[step]
    whole, fps = random_embs(8), 30 / step  # the file has 30 frames per second
    parts = [
        TrackEmbedding("r", "a", {name: emb[span] for name, emb in whole.items()}, place, fps, frame_step=step)
        for span, place in ((slice(5, 8), second[0]), (slice(5), 0))
    ]
    np.testing.assert_array_equal(parts[0].frame, second)
    _, found = read_back(kind, *write_embeddings(tmp_path, parts, kind))
    frame, time, _, channels = found["a"]
    assert frame.dtype.kind == ("i" if step == 2 else "f")
    np.testing.assert_array_equal(frame, [*first, *second])
    np.testing.assert_allclose(time, np.array([*first, *second]) / 30, rtol=1e-12)
    assert_same_bits(channels, np.concatenate(list(whole.values()), axis=1))


def test_a_rate_that_is_nearly_a_multiple_gives_whole_frames():
    track = TrackEmbedding("r", "a", random_embs(1000), 7, 29.97, frame_step=59.94 / 29.97 + 1e-12)
    assert track.frame.dtype == np.int64
    np.testing.assert_array_equal(track.frame, 7 + 2 * np.arange(1000))


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_individuals_have_a_file_of_their_own(tmp_path, kind):
    pooled = TrackEmbedding("cage 1", GROUP, random_embs(50, 9, sizes=(4, 6)), 100, 30)
    paths = write_embeddings(tmp_path, [*two_mice(), pooled], kind)
    assert [path.stem for path in paths] == ["cage 1_embeddings", "cage 1_group_embeddings"]
    assert set(read_back(kind, paths[0])[1]) == {"a", "b"}
    ((name, (*_, channels)),) = read_back(kind, paths[1])[1].items()
    assert name == "group"
    assert_same_bits(channels, pooled.table())


# --- names ---

LONG = "mouse " * 100
STEMS = {
    "../../x": "_.._x",
    "": "unnamed",
    "Mäuse und 鼠 1": "Mäuse und 鼠 1",
    "Ma\u0308use": "Mäuse",
    'a "quoted", name\nof two lines': "a _quoted_, name_of two lines",
    "nan": "nan",
    "a\0b": "a_b",
    "caf\udce9": "caf_",
    LONG: LONG[:160],
    "鼠" * 100: "鼠" * 53,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STEMS)
def test_any_name_makes_one_file_in_the_folder(tmp_path, kind, name):
    folder = tmp_path / "a" / "b"
    track = TrackEmbedding(name, name, random_embs(3))
    (path,) = write_embeddings(folder, [track], kind)
    assert path == folder / f"{STEMS[name]}_embeddings{KINDS[kind][0]}"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    shown = name.replace("\0", "?").replace("\udce9", "?")
    recording, found = read_back(kind, path)
    assert (recording, list(found)) == (shown, [shown])
    assert_same_bits(found[shown][3], track.table())


def test_names_that_file_systems_confuse_have_files_and_groups_of_their_own(tmp_path):
    names = ["a/b", "a_b", "A_B", "a_b_2", LONG + "1", LONG + "2", "", "."]
    paths = write_embeddings(tmp_path, [TrackEmbedding(name, "i", random_embs(2)) for name in names], "csv")
    assert len({path.name.lower() for path in paths}) == len(os.listdir(tmp_path)) == len(names)
    assert [set(read_table("csv", path)["recording"]) for path in paths] == [{name} for name in names]
    assert [path.stem.removesuffix("_embeddings") for path in paths[:4]] == ["a_b", "a_b_2", "A_B_3", "a_b_2_2"]
    groups = {"a/b": "a_b", "a_b": "a_b_2", "..": "unnamed", "": "unnamed_2", "x": "x"}
    (path,) = write_embeddings(tmp_path, [TrackEmbedding("r", name, random_embs(2)) for name in groups], "hdf5")
    with h5py.File(path) as content:
        assert {group.attrs["individual"]: name for name, group in content.items()} == groups


# --- errors ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embs": {"short": np.zeros((3, 2))}}, "float64"),
        ({"embs": {"a": np.zeros((3, 2), np.float32), "b": np.zeros((4, 2), np.float32)}}, "of the same frames"),
        ({"embs": {"frame": np.zeros((3, 2), np.float32)}}, "an encoder named frame"),
        ({"fps": 0}, "0 frames per second"),
        ({"frame_step": -1.0}, "frame_step of -1.0; expected a number above 0"),
        ({"tracked": np.ones(4, np.float32)}, r"tracked of axes \(4,\); expected \(3,\), the frames"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrackEmbedding(**{"recording": "r", "individual": "i", "embs": random_embs(3)} | changes)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (TrackEmbedding("r", "b", random_embs(5, sizes=(4, 3)), 0, 30), "other encoders or channels"),
        (TrackEmbedding("r", "b", random_embs(5), 0, 25), "25 frames per second, others there 30"),
        (TrackEmbedding("r", "b", random_embs(5), 0, 30, frame_step=2.0), "a frame_step of 2.0, others there 1.0"),
        (TrackEmbedding("r", "a", random_embs(5), 9, 30), "twice at frame 9"),
    ],
)
def test_tracks_of_a_recording_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, other, message):
    tracks = [TrackEmbedding("first", "a", random_embs(10)), TrackEmbedding("r", "a", random_embs(10), 0, 30), other]
    with refused(message):
        write_embeddings(tmp_path / "out", tracks, "csv")
    assert not (tmp_path / "out").exists()


def test_nothing_to_write_and_unknown_kinds_are_errors(tmp_path):
    with refused("no embeddings"):
        write_embeddings(tmp_path, [], "csv")
    with refused("no kind 'xlsx' of files; choose from csv, parquet, hdf5, npz"):
        write_embeddings(tmp_path, two_mice(), "xlsx")


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch):
    for name in ("pandas", "pyarrow", "h5py"):
        monkeypatch.setitem(sys.modules, name, None)
    for kind, module in (("parquet", "pyarrow"), ("hdf5", "h5py")):
        with refused(rf'writing {kind} needs {module}: pip install "bams\[poses\]"', error=ImportError):
            write_embeddings(tmp_path / "out", two_mice(), kind)
    assert not (tmp_path / "out").exists()
    for kind in ("csv", "npz"):
        assert write_embeddings(tmp_path / "out", two_mice(), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_what_was_there(tmp_path, kind):
    """The file may grow to 20 kB; then writing fails as on a full disk."""
    resource, signal = pytest.importorskip("resource"), pytest.importorskip("signal")
    (path,) = write_embeddings(tmp_path, [TrackEmbedding("r", "a", random_embs(2))], kind)
    before = path.read_bytes()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
    try:
        for name in ("r", "new"):
            with pytest.raises((OSError, RuntimeError)):
                write_embeddings(tmp_path, [TrackEmbedding(name, "a", random_embs(2000))], kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
