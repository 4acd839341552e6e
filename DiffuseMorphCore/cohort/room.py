"""How much memory a pair needs, and how many workers a computer has room for."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from DiffuseMorphCore.cohort.table import Pair, parsed
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.registration.presets import PRESETS
from DiffuseMorphCore.registration.working_grid import BYTES_PER_VOXEL
from DiffuseMorphCore.threads import usable_cores

CORES = 2  # of a worker, at most: more of them make one pair little faster
_LOOKED_AT = 100  # pairs whose images' headers are read to tell the memory
_PROGRAM, _BYTES_PER_IMAGE_VOXEL = 900 << 20, 16


def local_workers(memory: int, wanted: int | None, gpu: bool = False) -> tuple[int, int, int]:
    """How many workers this computer can have, the bytes that each may use, and its threads.

    Raises DiffuseMorphError where the memory is not enough for as many as are ``wanted``.
    """
    import torch

    from DiffuseMorphCore.devices import free_memory

    # Further workers on one GPU share it and its memory: they are made only where they are asked for.
    cores = usable_cores()
    default = 1 if gpu else max(1, cores // CORES)
    free = int(0.9 * free_memory(torch.device("cpu")))
    most = max(1, free // memory)
    if wanted is not None and wanted > most:
        raise DiffuseMorphError(
            f"There is memory for {most} worker(s), not for {wanted}: a pair needs about {memory / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free. Give a smaller number for --workers."
        )
    workers = wanted or min(most, default)
    return workers, free // workers, max(1, min(CORES, cores // workers))


def memory_of(pairs: Sequence[Pair]) -> int:
    """Bytes that a pair of the table needs at most, told from the headers of the first hundred pairs' images."""
    most = 0
    for pair in pairs[:_LOOKED_AT]:
        arguments = parsed(pair, "unused")
        fixed, moving = _size(arguments.fixed), _size(arguments.moving)
        whole = math.prod(fixed)
        # None: the working grid is as fine as the image, however large that is.
        working = min(whole, PRESETS[arguments.quality].voxels.get(len(fixed)) or whole)
        # Both images are kept as they are and prepared, beside what the program and its libraries take.
        images = _BYTES_PER_IMAGE_VOXEL * (whole + math.prod(moving))
        most = max(most, _PROGRAM + images + BYTES_PER_VOXEL[arguments.modality] * working)
    return most


def _size(file: str) -> tuple[int, ...]:
    """Voxels along the axes of an image; a guess for a DICOM folder; none for what its pair will be told of."""
    import SimpleITK as sitk

    if os.path.isdir(file):
        return (512, 512, 200)
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return (0, 0, 0)
    return reader.GetSize()
