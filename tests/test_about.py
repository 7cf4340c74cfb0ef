"""A table about recordings and individuals."""

import numpy as np
import pytest
from refusals import refused

from bams.recordings import Recording
from bams.recordings.about import read_about, with_about


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def recording(name, individuals=("one",), **fields):
    return Recording(
        name, np.zeros((len(individuals), 9, 2, 2), np.float32), None, list(individuals), ["a", "b"], **fields
    )


def described(tmp_path, text, *recordings, encoding="utf-8"):
    return with_about(recordings, read_about(write(tmp_path / "about.csv", text, encoding)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    "text",
    [
        "Recording,treatment,weight,animal,Group\na.mp4,Salz,21.5,007,L1\nb,,,012,L2\nc,Ränder,NA,3,\n",
        "animal;Recording;group;weight;treatment\n007;tracks/a.csv;L1;21,5;Salz\n012;b;L2;;\n3;c;;nan;Ränder\n",
    ],
)
def test_values_of_recordings(tmp_path, text, encoding):
    a, b, c = described(tmp_path, text, recording("a"), recording("b"), recording("c", group="x"), encoding=encoding)
    assert [one.about["treatment"].item() for one in (a, b, c)] == ["Salz", "", "Ränder"]
    np.testing.assert_array_equal([one.about["weight"] for one in (a, b, c)], [21.5, np.nan, np.nan])
    assert a.about["weight"].dtype == np.float64 and a.about["weight"].shape == a.about["treatment"].shape == ()
    assert [one.about["animal"].item() for one in (a, b, c)] == ["007", "012", "3"]
    assert [one.group for one in (a, b, c)] == ["L1", "L2", "x"]


def test_values_of_individuals(tmp_path, capsys):
    text = "recording,individual,sex,day,group\na,,,1,g\na,y,f,,\na,x,m,,g\nb,,m,2,\nz,q,m,3,\n"
    a, b, c = described(tmp_path, text, recording("a", "xy"), recording("b", "uvw"), recording("c"))
    assert capsys.readouterr().err == "no recording matches the rows of z\nthere are no rows of c\n"
    assert [one.about["sex"].tolist() for one in (a, b, c)] == [["m", "f"], ["m"] * 3, [""]]
    np.testing.assert_array_equal(a.about["day"], [1, 1])
    np.testing.assert_array_equal(c.about["day"], [np.nan])
    assert [one.group for one in (a, b, c)] == ["g", None, None]
    assert a.of_individuals(np.array([False, True])).about["sex"].tolist() == ["f"]


def test_parts_of_a_recording_share_its_row_and_other_values_stay(tmp_path):
    parts = [recording("a", about={"mood": np.array(1)}), recording("a", first_frame=20)]
    one, two = described(tmp_path, "recording,sex\na,f\na,f\n", *parts)
    assert one.about["sex"] == two.about["sex"] == "f" and one.about["mood"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,sex\na,f\n", "needs the column recording and others about it; its first row is name, sex"),
        ("recording,individual\na,x\n", "needs the column recording and others"),
        ("recording,sex,sex\na,f,f\n", "has the column sex more than once"),
        ("recording,sex\n", "has no row below its header"),
        ("recording,sex\n,f\n", "row 2 of .* names no recording"),
        ("recording,weight,sex\na,1,5,f\n", "row 2 of .* has 4 cells for 3 columns"),
        ("recording,sex\na,f\nb,m\na,m\n", "sex of one recording is f in row 2 of .*, and m in row 4"),
        ("recording,individual,day\na,,1\na,x,2\n", "day of one recording is 1.0 in row 2 of .*, and 2.0 in row 3"),
        ("recording,group,sex\na,g,f\na.mp4,h,f\n", "group of one recording is g in row 2 of .*, and h in row 3"),
        ("recording,individual,sex\na,x,f\na,z,m\n", "row 3 of .* names the individual z, and a has x, y"),
    ],
)
def test_tables_that_are_unclear_are_refused_with_the_row(tmp_path, text, message):
    with refused(message, tmp_path / "about.csv"):
        described(tmp_path, text, recording("a", "xy"), recording("b", "xy"))


def test_a_table_of_other_recordings_is_refused(tmp_path):
    with refused("no rows match a recording: they name c, d, the recordings are a, b"):
        described(tmp_path, "recording,sex\nc,f\nd,m\n", recording("a"), recording("b"))
