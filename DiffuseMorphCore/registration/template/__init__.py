"""Templates: the unbiased mean of a group."""

from DiffuseMorphCore.registration.template.build import Template, build_template

__all__ = ["Template", "build_template"]
