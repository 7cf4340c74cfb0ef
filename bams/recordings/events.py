"""Events that somebody scored as labels of the frames of recordings.

Axes: A individuals, T frames.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bams.recordings.event_tables import HALF, OTHER, Event, read_events
from bams.recordings.names import match_names
from bams.recordings.recording import Recording, listed

__all__ = ["OTHER", "Event", "label_recordings", "read_events"]

Span = tuple[Event, int, int]


def label_recordings(
    recordings: Sequence[Recording], events: Sequence[Event], name: str = "behaviour"
) -> list[Recording]:
    """Recordings with the class of each frame, as text, in `labels[name]`; call it before they are resampled.

    The classes are (A, T) if events are of individuals, else (T,). A frame without an event is of the class 'other' in
    a recording that has events, and not labelled, '', in one that has none. Of events in seconds, a frame belongs to
    those that any part of its time does. The last frame of an event belongs to the event that starts in it and goes
    on. Behaviours that still overlap are not in this label: each has one of its own, `labels["NAME BEHAVIOUR"]`, with
    the classes BEHAVIOUR and 'other'. Events are matched as in `bams.recordings.names`; what finds no match or lies
    outside of its recording is said.

    Raises ValueError if nothing matches, an individual is not in the recording, or the frames per second, needed for
    seconds, are unknown or not those of the video that was scored.
    """
    found = match_names((event.recording for event in events), recordings, "events")
    by_name: dict[str, list[Event]] = {recording.name: [] for recording in recordings}
    for event in events:
        if event.recording in found:
            by_name[found[event.recording]].append(event)
    spans = [_spans(recording, by_name[recording.name]) for recording in recordings]
    _say_what_is_outside(recordings, by_name)
    subjects = [{event.individual for event in by_name[recording.name]} - {None} for recording in recordings]
    masks = [_masks(*given) for given in zip(recordings, spans, subjects, strict=True)]
    shared = {one for of in masks for one, mask in of.items() if any((mask & of[b]).any() for b in of if b != one)}
    if shared:
        said = f"{listed(sorted(shared))} overlap: each is a label of its own, such as '{name} {min(shared)}'"
        print(said, file=sys.stderr)
    classes = {one for of in masks for one in of}
    labels = {name: classes - shared} if classes - shared - {OTHER} else {}
    labels |= {f"{name} {one}": {one} for one in sorted(shared)}
    if not labels:
        raise ValueError("no event is within the frames of its recording, so there is nothing to label")
    width = f"U{max(map(len, (OTHER, *classes)))}"
    each = any(len(mask) > 1 for of in masks for mask in of.values())
    labelled = []
    for recording, of in zip(recordings, masks, strict=True):
        some = by_name[recording.name]
        scored = np.full((len(recording.individuals) if each else 1, recording.keypoints.shape[1]), bool(some))
        if any(event.every_frame for event in some):
            scored &= np.logical_or.reduce([*of.values(), np.zeros_like(scored)])
        added = {}
        for label, behaviours in labels.items():
            values = np.where(scored, OTHER, "").astype(width)
            for one in behaviours & of.keys():
                values[np.broadcast_to(of[one], scored.shape)] = one
            added[label] = values if each else values[0]
        labelled.append(replace(recording, labels={**recording.labels, **added}))
    return labelled


def _say_what_is_outside(recordings: Sequence[Recording], by_name: dict[str, list[Event]]) -> None:
    parts: dict[str, list[Recording]] = {}
    for recording in recordings:
        parts.setdefault(recording.name, []).append(recording)
    for name, some in parts.items():
        first = min(one.first_frame for one in some)
        after = max(one.first_frame + one.frame_step * one.keypoints.shape[1] for one in some)
        frames = [_file_frames(event, some[0]) for event in by_name[name]]
        if outside := sum(start < first or end > after for start, end in frames):
            said = f"{outside} of {len(frames)} events of {name} are not within its frames, {first} to {after - 1:g}"
            print(f"{said}: what lies outside is left out", file=sys.stderr)


def _spans(recording: Recording, events: list[Event]) -> list[Span]:
    """The events that lie in the recording, with the index of their first frame, and of the one after their last."""
    frames = recording.first_frame + recording.frame_step * np.arange(recording.keypoints.shape[1])
    spans = [(event, *np.searchsorted(frames, _file_frames(event, recording)).tolist()) for event in events]
    return [span for span in spans if span[1] < span[2]]


def _masks(recording: Recording, spans: list[Span], subjects: set[str]) -> dict[str, np.ndarray]:
    """By behaviour, its frames, bool (A, T), or (1, T) without subjects of the events."""
    names = recording.individuals
    alone = len(names) == len(subjects) == 1  # whatever the table calls it
    if missing := [] if alone else sorted(subjects - {*names}):
        said = f"the individuals of events, {listed(missing)}, are not in {recording.name}, which has {listed(names)}"
        raise ValueError(f"{said}; rename them in the table, or remove their rows")
    starting: dict[tuple[str | None, int], list[tuple[str, int]]] = {}
    for event, start, end in spans:
        starting.setdefault((event.individual, start), []).append((event.behaviour, end))
    masks: dict[str, np.ndarray] = {}
    for event, start, end in spans:
        following = starting.get((event.individual, end - 1), ())
        if end - start > 1 and any(one != event.behaviour and last > end for one, last in following):
            end -= 1
        shape = len(names) if subjects else 1, recording.keypoints.shape[1]
        mask = masks.setdefault(event.behaviour, np.zeros(shape, bool))
        which = slice(None) if event.individual is None or alone else names.index(event.individual)
        mask[which, start:end] = True
    return masks


def _file_frames(event: Event, recording: Recording) -> tuple[int, int]:
    """The numbers in the recording's file of the first frame of an event, and of the one after its last."""
    if not event.seconds:
        return int(event.start), int(event.end)
    rate = recording.fps * recording.frame_step if recording.fps else event.fps
    if not rate:
        raise ValueError(f"events of {recording.name} are in seconds, and its frames per second are unknown: give fps")
    last = recording.frames[-1] if len(recording.frames) else 0
    if event.fps and abs(event.fps / rate - 1) * last > 1:
        said = f"the events of {recording.name} are of a video with {event.fps:g} frames per second, not {rate:g}"
        raise ValueError(f"{said}; give that as fps, or remove FPS from the table if it was not the video tracked")
    start = math.floor((event.start + HALF) * rate + 1e-6)
    return start, max(math.ceil((event.end - HALF) * rate - 1e-6), start + 1)
