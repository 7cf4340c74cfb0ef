"""Tables of events, and the labels of frames that they become."""

import numpy as np
import pytest
from refusals import refused

from bams.recordings import Recording, load_poses
from bams.recordings.events import Event, label_recordings, read_events
from bams.recordings.names import match_names

OLD_TABULAR = """Observation id,obs 1,,,,,,,
,,,,,,,,
Media file(s),,,,,,,,
Player #1,a.mp4,,,,,,,
Time offset (s),10.0,,,,,,,
variable,value,,,,,,,
Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status
11.2,C:\\videos\\a.mp4,20,30.0,No focal subject,groom,,,START
11.8,C:\\videos\\a.mp4,20,30.0,No focal subject,rear,,,POINT
12.4,C:\\videos\\a.mp4,20,30.0,No focal subject,groom,,,STOP
"""
AGGREGATED = """Observation id\tDescription\tMedia file\tTotal length\tFPS\tSubject\tBehavior\tBehavior type\t\
Start (s)\tStop (s)
obs 1\t\ta.mp4\t20\t30.0\tNo focal subject\tgroom\tSTATE\t1,200\t2,400
obs 1\t\ta.mp4\t20\t30.0\tNo focal subject\trear\tPOINT\t1,800\tNA
"""
TABULAR = """Observation id,Observation type,Source,Time offset (s),Media duration (s),FPS (frame/s),Subject,Behavior,\
Behavior type,Time,Media file name,Image index,Comment
obs 1,Media file(s),player #1:a.mp4|player #2:a_side.mp4,0,20.000|20.000,30.000|25.000,,groom,START,1.2,a.mp4,36,
obs 1,Media file(s),player #1:a.mp4|player #2:a_side.mp4,0,20.000|20.000,30.000|25.000,,rear,POINT,1.8,a.mp4,NA,
obs 1,Media file(s),player #1:a.mp4|player #2:a_side.mp4,0,20.000|20.000,30.000|25.000,,groom,STOP,2.4,a.mp4,72,
"""
LIVE = "Observation id,Media file,Behavior,Behavior type,Time\na,NA,groom,START,1.2\na,NA,rear,POINT,1.8\n"
LIVE += "a,NA,groom,STOP,2.4\n"
FRAMES = "Recording;Start;End;Behaviour\na;36;71;groom\na;54;54;rear\n"
SECONDS = "label,recording,start_s,end_s\ngroom,tracks/a.csv,0:01.2,2.4\nrear,tracks/a.csv,1.8,1.8\n"


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def recording(name="a", frames=100, individuals=("one",), fps=30.0, **fields):
    shape = len(individuals), frames, 2, 2
    return Recording(name, np.zeros(shape, np.float32), None, list(individuals), ["nose", "tail"], fps, **fields)


def frames_of(labels, behaviour):
    return np.flatnonzero(labels == behaviour).tolist()


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("text", [OLD_TABULAR, AGGREGATED, TABULAR, LIVE, FRAMES, SECONDS])
def test_ways_to_write_the_same_events(tmp_path, text, encoding):
    events = read_events(write(tmp_path / "events.csv", text, encoding))
    (labelled,) = label_recordings([recording()], events)
    assert {*labelled.labels} == {"behaviour groom", "behaviour rear"}  # a point within a state
    assert labelled.labels["behaviour groom"].shape == (100,)
    assert frames_of(labelled.labels["behaviour groom"], "groom") == list(range(36, 72))
    assert frames_of(labelled.labels["behaviour rear"], "rear") == [54]
    assert frames_of(labelled.labels["behaviour rear"], "other") == [*range(54), *range(55, 100)]


def test_boris_counts_through_the_videos_of_an_observation(tmp_path):
    source = "o,Media file(s),player #1:a.mp4;b.mp4|player #2:c.mp4,5,10.000;20.000|30.000,30.000;25.000|30.000"
    head = TABULAR.splitlines()[0] + "\n"
    marks = [
        ("run", "START", 14),
        ("jump", "POINT", 15),
        ("run", "STOP", 16),
        ("sit", "START", 17),
        ("sit", "STOP", 99),
    ]
    rows = [f"{source},,{behaviour},{kind},{time},x,," for behaviour, kind, time in marks]
    events = read_events(write(tmp_path / "e.csv", head + "\n".join(rows)))
    found = {(one.recording, one.behaviour): (one.start, one.end, one.fps) for one in events}
    assert found == {
        ("a.mp4", "run"): (9, 10, 30),
        ("b.mp4", "run"): (0, 1, 25),
        ("b.mp4", "sit"): (2, 84, 25),
        ("b.mp4", "jump"): (0, 0, 25),
    }


def test_rows_of_each_frame(tmp_path):
    rows = ["frame,label"] + [f"{i},{'' if i == 9 else 'rest' if i % 10 < 5 else 'run'}" for i in range(5, 30)]
    events = read_events(write(tmp_path / "a.csv", "\n".join(rows)))
    assert len(events) == 5
    (labelled,) = label_recordings([recording(frames=40)], events)
    expected = ["" if i < 5 or i == 9 or i > 29 else "rest" if i % 10 < 5 else "run" for i in range(40)]
    assert labelled.labels["behaviour"].tolist() == expected


@pytest.mark.parametrize(("unit", "step"), [("frame", 1), ("time", 0.1)])
def test_a_column_for_each_behaviour(tmp_path, unit, step):
    rows = [f"{unit},rest,Run"] + [f"{i * step:g},{int(i < 3)},{int(5 <= i < 8)}" for i in range(10)]
    events = read_events(write(tmp_path / "a.csv", "\n".join(rows)))
    (labelled,) = label_recordings([recording(frames=12, fps=10)], events)
    expected = ["rest"] * 3 + ["other"] * 2 + ["Run"] * 3 + ["other"] * 2 + [""] * 2
    assert labelled.labels["behaviour"].tolist() == expected


def test_a_project_of_boris_is_refused_by_its_name(tmp_path):
    with refused("is a project of BORIS: export its aggregated events as CSV", tmp_path):
        read_events(write(tmp_path / "a.boris", '{"time_format": "s"}'))


def test_a_folder_and_a_pattern_are_all_their_tables(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.csv", "start,end,behaviour\n3,4,groom\n")
    events = [Event(name, 3, 5, "groom") for name in "ab"]
    assert read_events(tmp_path) == read_events(tmp_path / "*.csv") == events
    with refused("no .csv or .tsv with events", tmp_path, FileNotFoundError):
        read_events(tmp_path / "*.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("behaviour,from,to\ngroom,1,2\n", "no row with the names of columns .* its first row is behaviour, from, to"),
        ("recording,start,behaviour\na,1,groom\n", "needs both the start and the end"),
        ("recording,start,end,behaviour\n", "no row below its header"),
        ("recording,start,end\na,1,2\n", "row 2 of .* names no behaviour"),
        ("recording,start,end,behaviour\na,1.5,2,run\n", r"row 2 .* '1.5' in the column start; .*start_s and end_s"),
        ("recording,start,end,behaviour\na,1,2,run\na,9,2,run\n", "row 3 of .* ends before its start"),
        ("recording,start_s,end_s,behaviour\na,one,2,run\n", "'one' in the column start_s; expected seconds"),
        ("frame,act\n1,run\n", "row 2 of .* does not tell the behaviour"),
        (LIVE.replace("groom,STOP", "groom,HALT"), "row 4 of .* has the status 'HALT'"),
        (LIVE.replace("a,NA,groom,STOP,2.4\n", ""), "row 2 of .* starts an event that no row stops"),
        (LIVE.replace("groom,START", "groom,STOP"), "row 2 of .* has the status 'STOP' without its pair"),
        (
            "Observation id,Media file,Behavior,Start (s),Stop (s)\no,a.mp4,run,1,2\no,b.mp4,run,31,32\n",
            "row 2 of .* several videos, a.mp4, b.mp4, whose durations are not given",
        ),
    ],
)
def test_unclear_tables_are_refused_with_the_row(tmp_path, text, message):
    path = write(tmp_path / "events.csv", text)
    with refused(message, path):
        read_events(path)


# --- frames ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [10, 25, 29.97, 30, 60, 240])
def test_times_rounded_to_milliseconds_are_the_frames_scored(fps):
    bouts = [(0, 7, "a"), (7, 8, "b"), (8, 31, "c"), (40, 90, "b")]
    events = [Event("a", round(i / fps, 3), round(j / fps, 3), one, seconds=True) for i, j, one in bouts]
    (labelled,) = label_recordings([recording(fps=fps)], events)
    expected = np.full(100, "other")
    for i, j, one in bouts:
        expected[i:j] = one
    assert labelled.labels["behaviour"].tolist() == expected.tolist()


def test_bouts_that_follow_one_another_do_not_overlap():
    following = [Event("a", 0, 51, "rest"), Event("a", 50, 100, "run")]  # 0 to 50 and 50 to 99, both included
    closed = [Event("a", 0, 1.999, "rest", seconds=True), Event("a", 2.0, 9, "run", seconds=True)]  # as BORIS closes
    between = [Event("a", 0, 1.68, "rest", seconds=True), Event("a", 1.68, 9, "run", seconds=True)]
    for events, change in ((following, 50), (closed, 60), (between, 50)):
        (labelled,) = label_recordings([recording()], events)
        assert labelled.labels["behaviour"].tolist() == ["rest"] * change + ["run"] * (100 - change)


def test_frames_are_those_of_the_file_in_parts_of_it_and_at_another_rate():
    events = [Event("a", 1.0, 2.0, "run", seconds=True), Event("a", 70, 73, "sit")]
    whole = label_recordings([recording()], events)[0].labels["behaviour"]
    parts = [recording(frames=40, first_frame=50), recording(frames=20, first_frame=10)]
    for part, labelled in zip(parts, label_recordings(parts, events), strict=True):
        np.testing.assert_array_equal(labelled.labels["behaviour"], whole[part.frames])
    slow = recording(frames=50, fps=15, frame_step=2.0)
    np.testing.assert_array_equal(label_recordings([slow], events)[0].labels["behaviour"], whole[::2])


def test_only_behaviours_that_overlap_become_labels_of_their_own(capsys):
    events = [Event("a", 0, 50, "walk"), Event("a", 30, 60, "sniff"), Event("b", 5, 9, "walk"), Event("b", 20, 25, "x")]
    one, two, three = label_recordings([recording("a"), recording("b"), recording("c")], events, "act")
    assert "sniff, walk overlap: each is a label of its own, such as 'act sniff'" in capsys.readouterr().err
    assert {*one.labels} == {*two.labels} == {*three.labels} == {"act", "act walk", "act sniff"}
    assert frames_of(one.labels["act walk"], "walk") == list(range(50))
    assert frames_of(one.labels["act sniff"], "sniff") == list(range(30, 60))
    assert {*one.labels["act"]} == {"other"} and frames_of(two.labels["act"], "x") == list(range(20, 25))
    assert frames_of(two.labels["act walk"], "walk") == [5, 6, 7, 8] and {*two.labels["act sniff"]} == {"other"}
    assert {text for labels in three.labels.values() for text in labels} == {""}


def test_events_of_individuals_are_labels_of_individuals():
    events = [Event("a", 0, 50, "walk", "x"), Event("a", 30, 60, "sniff", "y"), Event("a", 90, 92, "both")]
    pair, single = label_recordings(
        [recording("a", individuals="xy"), recording("b")], [*events, Event("b", 1, 2, "z")]
    )
    labels = pair.labels["behaviour"]
    assert labels.shape == (2, 100) and single.labels["behaviour"].shape == (1, 100)
    assert frames_of(labels[0], "walk") == list(range(50)) and frames_of(labels[1], "sniff") == list(range(30, 60))
    assert frames_of(labels[0], "both") == frames_of(labels[1], "both") == [90, 91]
    (alone,) = label_recordings([recording()], [Event("a", 0, 50, "walk", "mouse 7")])
    assert alone.labels["behaviour"].shape == (100,)
    with refused("individuals of events, z, are not in a, which has x, y"):
        label_recordings([recording("a", individuals="xy")], [Event("a", 0, 50, "walk", "z")])


def test_seconds_need_the_rate_of_the_video(capsys):
    event = Event("a", 1.0, 2.0, "run", seconds=True)
    with refused("events of a are in seconds, and its frames per second are unknown"):
        label_recordings([recording(fps=None)], [event])
    (labelled,) = label_recordings([recording(fps=None)], [event._replace(fps=25.0)])
    assert frames_of(labelled.labels["behaviour"], "run") == list(range(25, 50))
    with refused("the events of a are of a video with 29.97 frames per second, not 30"):
        label_recordings([recording(frames=5000)], [event._replace(fps=29.97)])
    label_recordings([recording()], [event, Event("a", 200, 300, "late"), event._replace(fps=29.97)])
    assert "1 of 3 events of a are not within its frames, 0 to 99: what lies outside" in capsys.readouterr().err
    with refused("no event is within the frames of its recording"):
        label_recordings([recording()], [Event("a", 200, 300, "late", every_frame=True)])


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("v1DLC_resnet50_mazeOct5shuffle1_100000", "C:\\data\\v1.MP4"),
        ("v1DLC_HrnetW32_mazeOct5shuffle1_snapshot_200_el_filtered", "v1"),
        ("v1_superanimal_quadruped_hrnet_w32_fasterrcnn", "v1.avi"),
        ("v1.mp4.predictions", "../v1.mp4"),
        ("v1_tracks", "v1.mp4"),
        ("labels.v002.001_v1", "v1.mp4"),
        ("labels/v1", "videos/v1.mp4"),
        ("v1", "v1DLC_resnet50_mazeOct5shuffle1_100000.csv"),
        ("mouse 1.day 2", "videos/mouse 1.day 2.mov"),
    ],
)
def test_names_of_videos_mean_the_recordings_of_their_tracks(name, given):
    assert match_names([given], [recording(name), recording("v10"), recording("v1x")], "events") == {given: name}


def test_folders_decide_between_videos_of_one_name(capsys):
    recordings = [recording("day1/v"), recording("day2/v"), recording("day1/w")]
    names = ["/data/day1/v.mp4", "/data/day2/v.mp4", "/data/day2/w.mp4"]
    assert match_names(names, recordings, "events") == {names[0]: "day1/v", names[1]: "day2/v"}
    said = capsys.readouterr().err.splitlines()
    assert said == ["no recording matches the events of /data/day2/w.mp4", "there are no events of day1/w"]
    with refused("v.mp4 in the table of events may mean day1/v, day2/v"):
        match_names(["v.mp4"], recordings, "events")
    with refused("one/v.mp4 and two/v.mp4 in the table of events both seem to mean the recording v"):
        match_names(["one/v.mp4", "two/v.mp4"], [recording("v")], "events")
    with refused("no events match a recording: they name x.mp4, the recordings are v, w"):
        match_names(["x.mp4"], [recording("v"), recording("w")], "events")


def test_tracks_of_a_file_get_the_events_of_its_video(tmp_path):
    header = ["scorer,m,m,m", "bodyparts,nose,nose,nose", "coords,x,y,likelihood"]
    for at, name in enumerate(("a", "b")):
        rows = [f"{i},{i},{i + at},0.9" for i in range(60)]
        write(tmp_path / f"{name}DLC_resnet50_pOct5shuffle1_100.csv", "\n".join(header + rows))
    recordings = load_poses(tmp_path / "*.csv", fps=30)
    events = read_events(write(tmp_path / "boris.txt", LIVE.replace("NA", "a.mp4").replace(",1.8", ",0.5")))
    one, two = label_recordings(recordings, events)
    assert one.labels["behaviour"].tolist() == ["other"] * 15 + ["rear"] + ["other"] * 20 + ["groom"] * 24
    assert {*two.labels["behaviour"]} == {""}
