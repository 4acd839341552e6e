"""What every driver of another program has in common: the request, the measuring, the answer.

Runs in the other program's environment, so it needs NumPy alone. `python drive_NAME.py` says which versions there are;
`python drive_NAME.py REQUEST.json` registers one pair. The request names `fixed`, `moving` and `field` (files),
`threads`, `seed`, whether the images are of different `contrast`, and where the program does not align by itself
`aligned` (the moving image on the fixed grid) and `start` (the matrix that aligned it, in mm, homogeneous). What is
left in `field` is the whole displacement in mm at the voxels of the fixed image. One line of JSON on the standard
output is the answer.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

MISSING, FAILED = 3, 4
"""Exit codes: a package cannot be imported; the registration itself went wrong."""


def drive(packages: tuple[str, ...], load: Callable, register: Callable, write: Callable) -> None:
    """Do what the command line says and leave with its exit code.

    Parameters
    ----------
    packages : names of the distributions whose versions are told, the one to be installed first.
    load : request -> images; imports the program. Neither is timed.
    register : (images, request) -> result; the registration and the moved image. This is timed.
    write : (result, images, request) -> None; writes the displacement to `request["field"]`. Not timed.
    """
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")) if len(sys.argv) > 1 else None
    said = sys.stdout
    sys.stdout = sys.stderr  # programs talk; the answer has to be alone on the standard output
    try:
        images = load(request)
    except ImportError as error:
        leave(MISSING, error)
    answer = {"versions": {name: version_of(name) for name in packages}}
    if request is not None:
        os.chdir(Path(request["field"]).parent)  # elastix leaves files wherever it is
        reset_peak_memory()
        start, worked = time.perf_counter(), time.process_time()
        try:
            result = register(images, request)
        except Exception as error:
            traceback.print_exc()
            leave(FAILED, error)
        answer |= {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - worked,
            "peak_gib": peak_memory(),
        }
        write(result, images, request)
    print(json.dumps(answer), file=said)


def leave(code: int, error: Exception) -> None:
    """End with an exit code, the reason as the last line of the standard error."""
    reason = " ".join(str(error).split()) or type(error).__name__
    print(reason, file=sys.stderr)
    sys.exit(code)


def version_of(name: str) -> str:
    """The version of an installed distribution, or that it is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def reset_peak_memory() -> None:
    """Forget the highest memory so far, where the system allows it (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pass


def peak_memory() -> float:
    """Highest resident memory of this process in GiB."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii")) if status.exists() else None
    if found:
        return int(found.group(1)) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
