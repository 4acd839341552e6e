"""Made cardiac cine MR with true frames and true displacements, so that claims about motion can be tested."""

from __future__ import annotations

from functools import partial

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.evaluation.datasets.heart_motion import HeartMotion
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair

SHAPE = (32, 128, 128)
FIELD_OF_VIEW = (100.8, 192.0, 192.0)
NOISE, BIAS = 0.02, 0.15
# People are seeds: the splits are ranges that never meet.
FIRST_SEED = {"train": 0, "validation": 100000, "test": 200000}


def spacing(shape: tuple[int, ...]) -> np.ndarray:
    """Voxel size in mm ([z,] y, x) of a grid of `shape` that covers the field of view; 3.15 x 1.5 x 1.5 for `SHAPE`."""
    return np.array(FIELD_OF_VIEW[-len(shape) :]) / np.array(shape)


def grid_points(shape: tuple[int, ...], slab: slice = slice(None)) -> np.ndarray:
    """(planes, H, W, 3) points (x, y, z) in mm of the voxel centres of `slab`; a 2-D grid is the plane z = 0."""
    shape = (1, *shape)[-3:]
    step = spacing(shape)
    axes = [(np.arange(size) - (size - 1) / 2) * width for size, width in zip(shape, step)]
    z, y, x = np.meshgrid(axes[0][slab], axes[1], axes[2], indexing="ij")
    return np.stack([x, y, z], axis=-1)


def _geometry(array: np.ndarray, shape: tuple[int, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing(shape)[::-1].tolist())
    return image


def _by_planes(shape: tuple[int, ...], make) -> np.ndarray:
    """Fill a volume plane by plane, so that large grids need little memory; a 2-D grid is filled at once."""
    if len(shape) == 2:
        return make(grid_points(shape))[0]
    return np.concatenate([make(grid_points(shape, slice(plane, plane + 1))) for plane in range(shape[0])])


def _heart(seed: int, shape: tuple[int, ...]) -> HeartMotion:
    return HeartMotion(seed, in_plane=len(shape) == 2)


def frame(seed: int, shape: tuple[int, ...], time: float, noise: float = NOISE) -> sitk.Image:
    """The image of one person at `time` (0 end-diastole, 1 end-systole), float32 in [0, 1], with bias and noise.

    noise : its standard deviation in voxels of the full grid, `SHAPE`; larger voxels average it away as a scanner's do.
    """
    heart = _heart(seed, shape)
    blur = float(spacing(shape)[-2:].mean()) * 0.7
    array = _by_planes(shape, lambda points: heart.tissue(heart.to_reference(points, time), blur).astype(np.float32))
    draw = np.random.default_rng((seed, 13))
    slopes = draw.uniform(-BIAS, BIAS, len(shape))
    ramps = [
        np.linspace(-1, 1, size).reshape([-1 if other == axis else 1 for other in range(len(shape))])
        for axis, size in enumerate(shape)
    ]
    array = array * np.exp(sum(slope * ramp for slope, ramp in zip(slopes, ramps)))
    noise *= float(np.sqrt(np.prod(spacing(SHAPE[-len(shape) :])) / np.prod(spacing(shape))))
    draw = np.random.default_rng((seed, 14, round(time * 1e6)))
    parts = [draw.normal(0, noise, shape) for _ in range(2)]
    return _geometry(np.clip(np.hypot(array + parts[0], parts[1]), 0, 1).astype(np.float32), shape)


def frame_labels(seed: int, shape: tuple[int, ...], time: float) -> sitk.Image:
    """The labels of one person at `time`: 1 right ventricle, 2 myocardium, 3 left cavity (as ACDC)."""
    heart = _heart(seed, shape)
    return _geometry(_by_planes(shape, lambda points: heart.structures(heart.to_reference(points, time))), shape)


def true_displacement(seed: int, shape: tuple[int, ...], time: float) -> np.ndarray:
    """(ndim, *shape) float32 displacement in voxels that pulls the end-diastolic image into the frame at `time`."""
    heart = _heart(seed, shape)
    moved = _by_planes(shape, lambda points: (heart.to_reference(points, time) - points).astype(np.float32))
    in_axis_order = moved[..., len(shape) - 1 :: -1]
    return np.ascontiguousarray(np.moveaxis(in_axis_order / spacing(shape).astype(np.float32), -1, 0))


class CardiacPhantom(DataSet):
    """Moving is end-diastole, fixed end-systole; `frames` are the true images between, both ends included.

    `people` gives the number of persons of each split, `frame_count` the frames from end-diastole to end-systole.
    Nothing is read from disk.
    """

    name = "phantom"
    title = "the synthetic cardiac phantom"
    ndim = 3
    intensities = (0.0, 1.0)
    mirrored_axes = (1, 2)
    structures = {1: "right ventricle", 2: "myocardium", 3: "left ventricle cavity"}

    def __init__(self, shape: tuple[int, ...] = SHAPE, people: dict[str, int] | None = None, frame_count: int = 10):
        self.shape = tuple(shape)
        self.people = people or {"train": 90, "validation": 5, "test": 10}
        self.frame_count = frame_count

    def scan(self, seed: int, time: float) -> Scan:
        name = f"heart{seed:06d}_t{time:.3f}"
        return Scan(
            name,
            f"heart{seed:06d}",
            partial(frame, seed, self.shape, time),
            partial(frame_labels, seed, self.shape, time),
            time=time,
        )

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        seeds = [FIRST_SEED[split] + person for person in range(self.people.get(split, 0))]
        return [self._pair(seed) for seed in seeds]

    def _pair(self, seed: int) -> ScanPair:
        frames = tuple(self.scan(seed, float(time)) for time in np.linspace(0, 1, self.frame_count))
        return ScanPair(frames[0], frames[-1], frames)

    def true_displacement(self, scan: Scan) -> np.ndarray:
        """(ndim, *spatial) voxels: the displacement that pulls a person's end-diastolic image into `scan`."""
        return true_displacement(int(scan.subject.removeprefix("heart")), self.shape, scan.time)


class CardiacPhantomSlices(CardiacPhantom):
    """The same hearts as one short-axis slice each, without motion through the plane: 2-D, trained in minutes."""

    name = "phantom-2d"
    title = "slices of the synthetic cardiac phantom"
    ndim = 2
    mirrored_axes = (0, 1)

    def __init__(self, shape: tuple[int, ...] = SHAPE[1:], people: dict[str, int] | None = None, frame_count: int = 10):
        super().__init__(shape, people, frame_count)
