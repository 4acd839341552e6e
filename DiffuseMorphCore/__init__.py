"""DiffuseMorph: deformable registration with a diffusion model.

    from DiffuseMorphCore import register
    result = register("fixed.nii.gz", "moving.nii.gz")
    moved = result.warp()

The names below are loaded when they are first used: `import DiffuseMorphCore` costs nothing and works without torch.
It only decides how threads wait for one another, which torch asks when it is loaded.
"""

from __future__ import annotations

from importlib import import_module

from DiffuseMorphCore.threads import note_load, wait_passively

__version__ = "0.1.0"

_WHERE = {
    "register": "DiffuseMorphCore.registration",
    "register_tensors": "DiffuseMorphCore.registration",
    "Registration": "DiffuseMorphCore.registration",
    "load_result": "DiffuseMorphCore.registration",
    "build_template": "DiffuseMorphCore.registration.template",
    "register_sequence": "DiffuseMorphCore.registration.sequence",
    "synthesize_image": "DiffuseMorphCore.registration",
    "read_image": "DiffuseMorphCore.images",
    "write_image": "DiffuseMorphCore.images",
    "image_from_array": "DiffuseMorphCore.images",
    "load_model": "DiffuseMorphCore.networks",
    "available_models": "DiffuseMorphCore.networks",
    "DiffuseMorphError": "DiffuseMorphCore.errors",
    "Cancelled": "DiffuseMorphCore.errors",
}

__all__ = ["__version__", *_WHERE]

wait_passively()
note_load()


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
