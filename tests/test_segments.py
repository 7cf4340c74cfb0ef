"""segments.py: rows of a CSV, and the parts of recordings that they name."""

import csv

import numpy as np
import pytest

from bams.embed.export import write_embeddings
from bams.embed.tracks import TrackEmbedding
from bams.recordings.recording import Recording
from bams.recordings.segments import Segment, cut_segments, read_segments

ROWS = [Segment("mouse 1", 0, 99), Segment("Mäuse", 250, 300)]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def recording(name, first=0):
    """Two animals, two keypoints; each frame's coordinates are its number in the file."""
    numbers = np.arange(first, first + 100, dtype=np.float32)
    keypoints = np.broadcast_to(numbers[None, :, None, None], (2, 100, 2, 2)).copy()
    return Recording(name, keypoints, keypoints[..., 0] / 1000, ["a", "b"], ["nose", "tail"], 25, first_frame=first)


def assert_one_sentence(error):
    assert "\n" not in str(error.value) and 10 < len(str(error.value)) < 400


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_ends_of_lines_and_encodings(tmp_path, separator, end, encoding):
    rows = ["recording,start,end", "mouse 1,0,99", "Mäuse,250,300"]
    text = end.join(rows).replace(",", separator)
    assert read_segments(write(tmp_path / "a.csv", text, encoding)) == ROWS
    assert read_segments(write(tmp_path / "a.csv", text + end, encoding)) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "recording , start , end\n mouse 1 , 0 , 99 \n Mäuse , 250 , 300 \n",
        "End,Recording,Start\n99,mouse 1,0\n300,Mäuse,250\n",
        'note;recording;start;end;by\n;"mouse 1";0;99;x, y\nfight;"Mäuse";250;300;\n;;;;\n\n',
        "sep=;\nrecording;start;end\nmouse 1;0;99\nMäuse;250;300\n",
        "recording,start,end\n\nmouse 1,0.0,99.0\nMäuse,250.,+300\n",
        "\n;;\nrecording;start;end\nmouse 1;0;99\nMäuse;250;300",
        'note,recording,start,end\n"two\nlines, of\u2028text",mouse 1,0,99\n,Mäuse,250,300\n',
    ],
    ids=["spaces", "order and case", "other columns", "Excel's sep", "decimals", "empty rows", "notes"],
)
def test_ways_to_write_the_same_segments(tmp_path, text):
    assert read_segments(write(tmp_path / "a.csv", text)) == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PK\x03\x04xl/", "is not a text file: save the table as CSV"),
        ("", "is empty"),
        ("recording,start,end,end\na,1,2,3\n", "once; its first row is recording, start, end, end"),
        ("recording,start,end\n", "has no row below its header"),
        ("recording,start,end\na,0,9\na,ten,20\n", "row 3 of .* has the start 'ten' and the end '20'"),
        ("sep=,\nrecording,start,end\na,0,9\na,1\n", "row 4 of .* the start '1' and the end ''"),
        ("recording,start,end\na,00:01:10,00:02:00\n", "expected frame numbers"),
        ("recording,start,end\n,0,9\n", "row 2 of .* names no recording"),
        (f"recording,start,end\n{'a' * 200_000},0,9\n", "is not a readable CSV"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, text, message):
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(ValueError, match=message) as error:
        read_segments(path)
    assert_one_sentence(error)
    assert str(path) in str(error.value)


# --- cutting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first_frame", [0, 1, 5000])
def test_a_part_has_the_frames_from_start_to_end_both_included(first_frame):
    whole = recording("a", first=first_frame)
    (part,) = cut_segments([whole], [Segment("a", first_frame + 10, first_frame + 19)])
    expected = np.arange(first_frame + 10, first_frame + 20)
    np.testing.assert_array_equal(part.keypoints[1, :, 0, 1], expected)
    np.testing.assert_array_equal(part.confidence[0, :, 1], expected.astype(np.float32) / 1000)
    assert (part.keypoints.shape, part.first_frame) == ((2, 10, 2, 2), first_frame + 10)
    assert (part.name, part.fps, part.individuals) == ("a", 25, ["a", "b"])
    assert whole.keypoints.shape == (2, 100, 2, 2)


def test_parts_come_in_the_order_of_the_recordings_and_of_frames():
    whole = [recording("b"), recording("c"), recording("a")]
    segments = [Segment("a", 50, 60), Segment("b", 20, 30), Segment("a", 0, 49), Segment("b", 0, 19)]
    parts = cut_segments(whole, segments)
    assert [(part.name, part.first_frame) for part in parts] == [("b", 0), ("b", 20), ("a", 0), ("a", 50)]
    assert [part.keypoints.shape[1] for part in parts] == [20, 11, 50, 11]
    again = cut_segments(parts, [Segment("a", 55, 59), Segment("b", 10, 19)])
    assert [part.keypoints[0, 0, 0, 0] for part in again] == [10, 55]
    with pytest.raises(ValueError, match="15 to 25 of 'b' is not within the recording's frames, 0 to 19, 20 to 30"):
        cut_segments(parts, [Segment("b", 15, 25)])


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([("x", 0, 9)], "there is no recording 'x' for a segment; there are 'a', 'b'"),
        ([("a", 20, 10)], "20 to 10 of 'a' does not end after its start"),
        ([("a", 0, 9), ("a", 90, 100)], "90 to 100 of 'a' is not within the recording's frames, 0 to 99"),
        ([("b", 0, 9)], "0 to 9 of 'b' is not within the recording's frames, 1000 to 1099"),
        ([("a", 50, 60), ("a", 0, 50)], "0 to 50 of 'a' and 50 to 60 of 'a' overlap; the end is the last frame"),
    ],
)
def test_segments_that_do_not_fit_are_refused(segments, message):
    whole = [recording("a"), recording("b", first=1000)]
    with pytest.raises(ValueError, match=message) as error:
        cut_segments(whole, [Segment(*segment) for segment in segments])
    assert_one_sentence(error)


def test_what_comes_of_parts_is_written_at_the_frames_own_numbers(tmp_path):
    text = "recording;start;end\nmouse;1060;1069\nrat;3;7\nmouse;1010;1029\n"
    segments = read_segments(write(tmp_path / "segments.csv", text))
    parts = cut_segments([recording("mouse", first=1000), recording("rat")], segments)
    embeddings = [
        TrackEmbedding(part.name, who, {"short_term": keypoints[:, 0]}, part.first_frame, part.fps)
        for part in parts
        for who, keypoints in zip(part.individuals, part.keypoints, strict=True)
    ]
    paths = write_embeddings(tmp_path / "out", embeddings, "csv")
    assert [path.name for path in paths] == ["mouse_embeddings.csv", "rat_embeddings.csv"]
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    expected = [*range(1010, 1030), *range(1060, 1070)]
    assert [int(row["frame"]) for row in rows] == expected * 2
    assert [float(row["short_0"]) for row in rows] == expected * 2
    assert [row["individual"] for row in rows] == ["a"] * 30 + ["b"] * 30
