"""Registration of two scans in five steps: prepare, align, predict, refine, deliver (one file each)."""

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.pipeline import register
from DiffuseMorphCore.registration.result import Registration
from DiffuseMorphCore.registration.saved import load_result
from DiffuseMorphCore.registration.synthesis import synthesize_image

__all__ = ["Grid", "Registration", "load_result", "register", "synthesize_image"]
