"""One file for each data set, all with the interface of `scan.DataSet`.

`open_data_set("brain-oasis", folder)` gives the reader of that name; `DATA_SETS` lists what there is.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair

DATA_SETS = {
    "acdc": ("acdc", "Acdc"),
    "oasis3": ("oasis3", "Oasis3"),
    "neurite-oasis": ("neurite_oasis", "NeuriteOasis"),
    "rafd": ("rafd", "Rafd"),
    "yale-faces": ("yale_faces", "YaleFaces"),
    "brain-oasis": ("brain_oasis", "BrainOasis"),
    "brain-t1-flair": ("brain_t1_flair", "BrainT1Flair"),
    "hippocampus": ("hippocampus", "Hippocampus"),
    "heart-cine": ("heart_cine", "HeartCine"),
    "lung-ct": ("lung_ct", "LungCt"),
    "phantom": ("phantom", "CardiacPhantom"),
    "phantom-2d": ("phantom", "CardiacPhantomSlices"),
}
"""Name on the command line -> (file, class) of the reader."""


def open_data_set(name: str, folder: str | Path | None = None) -> DataSet:
    """The reader of the data set `name` for `folder`, the data as its owner distributes it.

    The phantoms are made, not read, and need no folder. Raises DiffuseMorphError for an unknown name or a folder that
    is not there.
    """
    if name not in DATA_SETS:
        raise DiffuseMorphError(f"There is no data set '{name}': choose one of {', '.join(sorted(DATA_SETS))}.")
    file, reader = DATA_SETS[name]
    module = import_module(f"DiffuseMorphCore.evaluation.datasets.{file}")
    return getattr(module, reader)() if file == "phantom" else getattr(module, reader)(folder)


__all__ = ["DATA_SETS", "DataSet", "ScanPair", "Scan", "open_data_set"]
