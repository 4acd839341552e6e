"""What runs the networks: the noise schedule, the trajectory in eta, and reverse diffusion."""

from DiffuseMorphCore.samplers.schedule import NoiseSchedule
from DiffuseMorphCore.samplers.synthesis import synthesize
from DiffuseMorphCore.samplers.trajectory import (InterpolationError, Trajectory, check_eta, choose_etas, even_etas,
                                                  interpolate, interpolation_error, latent_at)

__all__ = ["InterpolationError", "NoiseSchedule", "Trajectory", "check_eta", "choose_etas", "even_etas", "interpolate",
           "interpolation_error", "latent_at", "synthesize"]
