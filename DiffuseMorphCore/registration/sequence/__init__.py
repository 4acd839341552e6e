"""Sequences: frames in time, registered to one reference."""

from DiffuseMorphCore.registration.sequence.build import register_sequence
from DiffuseMorphCore.registration.sequence.result import SequenceRegistration

__all__ = ["SequenceRegistration", "register_sequence"]
