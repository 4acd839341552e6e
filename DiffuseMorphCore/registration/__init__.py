"""Registration of two scans in five steps: prepare, align, predict, refine, deliver (one file each).

The names below are loaded when they are first used: what works on arrays alone needs no library for images.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "Grid": "DiffuseMorphCore.grid",
    "Registration": "DiffuseMorphCore.registration.result",
    "load_result": "DiffuseMorphCore.registration.saved",
    "register": "DiffuseMorphCore.registration.pipeline",
    "register_tensors": "DiffuseMorphCore.registration.tensors",
    "synthesize_image": "DiffuseMorphCore.registration.synthesis",
}

__all__ = list(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
