"""Datasets of movement: netCDF files, or `xarray.Dataset` in memory."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bams.recordings.frames import as_float32, by_frame, by_time, chosen_view
from bams.recordings.recording import Recording
from bams.storage.files import optional

if TYPE_CHECKING:
    import xarray


def read_netcdf(path: Path, view: str | None = None) -> Recording:
    """A dataset that movement saved, as netCDF 3 or 4; `view` as in `read_dataset`."""
    with path.open("rb") as file:
        engine = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    optional(engine)
    # times stay numbers, whatever unit they have
    with optional("xarray").open_dataset(path, engine=engine, decode_times=False) as dataset:
        return read_dataset(dataset, view, path)


def read_dataset(dataset: "xarray.Dataset", view: str | None = None, path: Path | None = None) -> Recording:
    """A dataset with `position` and perhaps `confidence`, over time, space, keypoints and perhaps individuals.

    Of several views, those of cameras, `view` names the one to take. The attributes `fps`, `time_unit` and
    `source_file` are optional; without `fps` the rate follows from the times.
    """
    if "position" not in dataset:
        raise ValueError(f"it has the variables {', '.join(map(str, dataset)) or 'none'}; expected position")
    views = list(map(str, dataset["view"].values)) if "view" in dataset["position"].dims else []
    if taken := chosen_view(views, view):
        dataset = dataset.isel(view=views.index(taken))
    # older versions of movement name these axes in the plural
    plural = {"individuals": "individual", "keypoints": "keypoint"}
    dataset = dataset.rename({old: new for old, new in plural.items() if old in dataset["position"].dims})
    if "individual" not in dataset["position"].dims:
        dataset = dataset.drop_vars("individual", errors="ignore").expand_dims("individual")
    position = dataset["position"]
    if not {"time", "space", "keypoint"} <= set(position.dims):
        found = ", ".join(map(str, position.dims))
        if dataset.attrs.get("ds_type") == "bboxes" or "shape" in dataset:
            raise ValueError("it is a bounding-box dataset, which has no keypoints; give a dataset of poses")
        raise ValueError(f"its position has the axes {found}; keypoints need time, space, keypoint and individual")
    space = list(map(str, position["space"].values)) if "space" in position.coords else ["x", "y", "z"]
    if space != ["x", "y", "z"][: len(space)]:
        raise ValueError(f"its space is {', '.join(space)}; expected x, y or x, y, z")
    frames, fps = _frames(position, dataset.attrs)
    axes = ("time", "individual", "keypoint")
    first, keypoints = by_frame(frames, as_float32(position.transpose(*axes, "space").values), path)
    confidence = None
    if "confidence" in dataset:
        scores = as_float32(dataset["confidence"].transpose(*axes).values)
        confidence = np.moveaxis(by_frame(frames, scores, path)[1], 0, 1)
    for axis in {"individual", "keypoint"} - set(position.coords):
        position = position.assign_coords({axis: [f"{axis}{i}" for i in range(position.sizes[axis])]})
    name = (path or Path(str(dataset.attrs.get("source_file") or "dataset"))).stem
    names = [list(map(str, position[axis].values)) for axis in ("individual", "keypoint")]
    return Recording(name, np.moveaxis(keypoints, 0, 1), confidence, *names, fps, path, first)


def _frames(position: "xarray.DataArray", attributes: dict) -> tuple[np.ndarray, float | None]:
    """The frame numbers (T,), and the frames per second."""
    fps = None if attributes.get("fps") is None else float(attributes["fps"])
    if "time" not in position.coords:
        return np.arange(position.sizes["time"]), fps
    times = position["time"].values
    ones = times.dtype.kind in "iu" and (np.diff(times) == 1).all()
    if len(times) < 2 or ones or attributes.get("time_unit") == "frames":
        return times, fps
    frames, fps = by_time(times, fps)
    return np.rint(times[0] * fps) + frames, fps
