"""What runs the networks: the noise schedule, the trajectory in eta, and reverse diffusion."""

from DiffuseMorphCore.samplers.schedule import NoiseSchedule

__all__ = ["NoiseSchedule"]
