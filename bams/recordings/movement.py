"""Datasets of movement: netCDF files, or `xarray.Dataset` in memory.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bams.recordings.readers import as_float32, by_frame, open_hdf5
from bams.recordings.recording import Recording
from bams.storage.arrays import check_size
from bams.storage.files import optional

if TYPE_CHECKING:
    import xarray

TIME, SPACE = "time", "space"
INDIVIDUALS, KEYPOINTS = ("individual", "individuals"), ("keypoint", "keypoints")  # of newer and of older versions
NEEDED = "time, space, keypoint and, if there are several, individual"


def read_netcdf(path: Path) -> Recording:
    """A dataset that movement saved, as netCDF 3 or 4."""
    with path.open("rb") as file:
        engine = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    if engine == "h5netcdf":
        optional("h5netcdf")
        with open_hdf5(path):
            pass  # refuses what would take all memory
    # times stay numbers, whatever unit they name
    with optional("xarray").open_dataset(path, engine=engine, decode_times=False) as dataset:
        for variable in dataset.variables.values():
            check_size(variable.shape, path, variable.dtype.itemsize)
        return read_dataset(dataset, path)


def read_dataset(dataset: "xarray.Dataset", path: Path | None = None) -> Recording:
    """A dataset with `position` and, if there is one, `confidence`, over time, space, keypoints and individuals.

    Args:
        dataset: `fps`, `time_unit` and `source_file` in its attributes are used if they are there; without `fps`
            it follows from times in seconds.
        path: where it comes from; without it the recording is named by `source_file`.
    """
    if "position" not in dataset:
        raise ValueError(f"it has the variables {', '.join(map(str, dataset)) or 'none'}; expected position")
    position = dataset["position"]
    individuals = _dimension(position, INDIVIDUALS)
    keypoints = _dimension(position, KEYPOINTS)
    if TIME not in position.dims or SPACE not in position.dims or keypoints is None:
        raise ValueError(f"its position has the axes {', '.join(map(str, position.dims))}; keypoints need {NEEDED}")
    if individuals is None:
        individuals = INDIVIDUALS[0]
        dataset = dataset.drop_vars(individuals, errors="ignore").expand_dims(individuals)
        position = dataset["position"]
    space = list(map(str, position[SPACE].values)) if SPACE in position.coords else ["x", "y", "z"]
    if space != ["x", "y", "z"][: len(space)]:
        raise ValueError(f"its space is {', '.join(space)}; expected x, y or x, y, z")
    frames, fps = _frames(position, dataset.attrs)
    axes = (TIME, individuals, keypoints)
    first, values = by_frame(frames, as_float32(position.transpose(*axes, SPACE).values), path)
    confidence = None
    if "confidence" in dataset:
        _, confidence = by_frame(frames, as_float32(dataset["confidence"].transpose(*axes).values), path)
    source = path or Path(str(dataset.attrs.get("source_file") or "dataset"))
    return Recording(
        name=source.stem,
        keypoints=np.moveaxis(values, 0, 1),
        confidence=None if confidence is None else np.moveaxis(confidence, 0, 1),
        individuals=_names(position, individuals, "individual"),
        keypoint_names=_names(position, keypoints, "keypoint"),
        fps=fps,
        path=path,
        first_frame=first,
    )


def _dimension(position: "xarray.DataArray", names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in position.dims), None)


def _names(position: "xarray.DataArray", dimension: str, word: str) -> list[str]:
    if dimension in position.coords:
        return list(map(str, position[dimension].values))
    return [f"{word}{i}" for i in range(position.sizes[dimension])]


def _frames(position: "xarray.DataArray", attributes: dict) -> tuple[np.ndarray, float | None]:
    """Numbers of the frames (T,), and the rate."""
    stated = attributes.get("fps")
    fps = None if stated is None else float(stated)
    count = position.sizes[TIME]
    if TIME not in position.coords:
        return np.arange(count), fps
    times = position[TIME].values
    if times.dtype.kind == "m":
        times = times / np.timedelta64(1, "s")
    if times.dtype.kind not in "fiu" or not np.isfinite(times).all():
        raise ValueError(f"its times are of type {times.dtype} or not finite; expected seconds or frames")
    steps = np.diff(times)
    if count < 2 or attributes.get("time_unit") == "frames" or (times.dtype.kind in "iu" and (steps == 1).all()):
        return times, fps
    if steps.min() <= 0:
        raise ValueError("its times do not increase")
    step = steps[steps < 1.5 * steps.min()].mean()  # of one frame; others go over frames that are left out
    passed = np.rint(steps / step)
    if (np.abs(steps / step - passed) > 0.25).any():
        raise ValueError("its times are not evenly spaced; interpolate them to frames of one length")
    rate = float(passed.sum() / (times[-1] - times[0]))
    if fps is not None and not np.isclose(rate, fps, rtol=0.01):
        raise ValueError(f"its fps says {fps:g} and its times {rate:g}; mend one of them")
    fps = fps or float(f"{rate:.6g}")
    return np.rint(times[0] * fps) + np.concatenate([[0], np.cumsum(passed)]), fps
