"""What runs the networks: the noise schedule, the path in eta, and reverse diffusion."""

from DiffuseMorphCore.networks.schedule import NoiseSchedule
from DiffuseMorphCore.samplers.path import EtaPath, bracket, check_eta, even_etas, interpolate
from DiffuseMorphCore.samplers.synthesis import synthesize
from DiffuseMorphCore.samplers.trajectory import Trajectory, latent_at

__all__ = [
    "EtaPath",
    "NoiseSchedule",
    "Trajectory",
    "bracket",
    "check_eta",
    "even_etas",
    "interpolate",
    "latent_at",
    "synthesize",
]
