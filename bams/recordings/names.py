"""Which recordings the names in another table mean."""

import re
import sys
from collections.abc import Iterable, Sequence

from bams.recordings.recording import Recording, listed

# endings of videos and of tracks, and what trackers put between them
ENDING = re.compile(
    r"((DLC|DeepCut)[_-].*|_superanimal_.*|\.predictions|\.analysis|_tracks|_filtered"
    r"|\.(mp4|avi|mov|mkv|m4v|mpe?g|wmv|webm|mts|h26[45]|u?fmf|seq|flv|csv|tsv|h5|slp|npz|npy|nc))$",
    re.IGNORECASE,
)
PROJECT = re.compile(r".*\.\d{3}_(?=.)")  # SLEAP names an exported file PROJECT.000_VIDEO.analysis.h5


def match_names(names: Iterable[str], recordings: Sequence[Recording], what: str) -> dict[str, str]:
    """By name in a table of `what`, such as events, the name of the recording that it means.

    A name means the recording of the same name; or else the only one whose name differs from it in case, folders, the
    ending of a file or what trackers add, such as DeepLabCut's scorer. Names that mean no recording, and recordings
    without a name in the table, are said. Raises ValueError if a name may mean several recordings, if files in two
    folders mean the same recording, or if no name means any.
    """
    known, names = list(dict.fromkeys(one.name for one in recordings)), list(dict.fromkeys(names))
    found, folders = {}, {_folder(one) for one in known} - {""}
    by_form: dict[tuple, list[str]] = {}
    for one in known:
        for form in _forms(one):
            by_form.setdefault(form, []).append(one)
    for name in names:
        fits = next((by_form[form] for form in _forms(name) if form in by_form), [])
        if name not in known and _folder(name) in folders:
            fits = [one for one in fits if _folder(one) == _folder(name)]
        if len(fits) > 1:
            raise ValueError(f"{name} in the table of {what} may mean {listed(fits)}; write these names there")
        if fits:
            found[name] = fits[0]
    first: dict[str, str] = {}
    for name, one in found.items():
        other = first.setdefault(one, name) if _folder(name) else name
        if _folder(other) != _folder(name):
            raise ValueError(f"{other} and {name} in the table of {what} both seem to mean the recording {one}")
    if not found:
        raise ValueError(f"no {what} match a recording: they name {listed(names)}, the recordings are {listed(known)}")
    for said, missing in (
        (f"no recording matches the {what} of", [name for name in names if name not in found]),
        (f"there are no {what} of", [name for name in known if name not in found.values()]),
    ):
        if missing:
            print(f"{said} {listed(missing)}", file=sys.stderr)
    return found


def _forms(name: str) -> list[tuple[int, str]]:
    """What a name is compared by: itself, or else its stem, or else the video in it."""
    return list(enumerate((name, _stem(name), PROJECT.sub("", _stem(name)))))


def _parts(name: str) -> list[str]:
    return name.replace("\\", "/").lower().split("/")


def _folder(name: str) -> str:
    return ["", *_parts(name)][-2]


def _stem(name: str) -> str:
    stem = _parts(name)[-1]
    while (shorter := ENDING.sub("", stem)) not in ("", stem):
        stem = shorter
    return stem
