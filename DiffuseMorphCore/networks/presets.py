"""Named models with the settings they are trained with: the paper's three, and our own."""

from __future__ import annotations

from dataclasses import dataclass

from DiffuseMorphCore.networks.configuration import DeformationConfiguration, DiffusionConfiguration, ModelConfiguration


@dataclass(frozen=True)
class TrainingSettings:
    """How a preset is trained: L = noise + registration_weight * (similarity + smoothness_weight * smoothness).

    registration_weight is the paper's lambda (equation 7), smoothness_weight its lambda_phi (equation 9); betas are
    those of Adam.
    """

    registration_weight: float
    learning_rate: float
    epochs: int
    smoothness_weight: float = 1.0
    betas: tuple[float, float] = (0.5, 0.999)
    batch_size: int = 1


@dataclass(frozen=True)
class Preset:
    """A named model with the settings it is trained with."""

    model: ModelConfiguration
    training: TrainingSettings


_AUTHORS_3D = ModelConfiguration(
    ndim=3,
    diffusion=DiffusionConfiguration(width=8, groups=4, attention="linear", heads=4),
    deformation=DeformationConfiguration(encoder=(16, 32, 32, 32, 32), decoder=(32, 32, 32, 8, 8)),
)

PRESETS: dict[str, Preset] = {
    # The paper's three experiments. 2-D: 15,936,129 and 74,736,258 parameters; 3-D: 715,665 and 361,299.
    "face2d": Preset(
        ModelConfiguration(
            ndim=2,
            diffusion=DiffusionConfiguration(width=64, groups=32, attention="softmax", heads=1),
            deformation=DeformationConfiguration(
                encoder=(64, 128, 256, 512, 1024), decoder=(1024, 512, 256, 128, 64), convolutions=2
            ),
        ),
        TrainingSettings(registration_weight=2, learning_rate=5e-6, epochs=40),
    ),
    "cardiac3d": Preset(_AUTHORS_3D, TrainingSettings(registration_weight=20, learning_rate=2e-4, epochs=800)),
    "brain3d": Preset(_AUTHORS_3D, TrainingSettings(registration_weight=10, learning_rate=1e-4, epochs=60)),
    # Our own: velocities on a coarse working grid, attention where it fires, a timestep embedding with enough
    # frequencies.
    "default3d": Preset(
        ModelConfiguration(
            ndim=3,
            diffusion=DiffusionConfiguration(
                width=8, groups=4, attention="linear", heads=4, attention_levels=(2,), time_width=32
            ),
            deformation=DeformationConfiguration(
                encoder=(16, 32, 32, 48, 48), decoder=(48, 48, 32, 16, 16), initialisation="kaiming"
            ),
            output="velocity",
            working_side=48,
            finer_sides=(72, 96),
        ),
        TrainingSettings(registration_weight=10, learning_rate=4e-4, epochs=100, betas=(0.9, 0.999)),
    ),
    # Any contrast: the latent is the fixed anatomy in one canonical contrast. The intensities are those of the tissues
    # of training/tissues.py, in their order. Blocks of two voxels give a processor's matrix units enough channels to
    # work on.
    "canonical3d": Preset(
        ModelConfiguration(
            ndim=3,
            diffusion=DiffusionConfiguration(
                width=48,
                multipliers=(1, 2, 2),
                groups=4,
                attention="linear",
                heads=4,
                time_width=32,
                patch=2,
                tissues=(
                    0.0,
                    1.0,
                    0.6,
                    0.12,
                    0.95,
                    0.66,
                    0.74,
                    0.6,
                    0.66,
                    0.82,
                    0.12,
                    0.88,
                    0.63,
                    0.57,
                    0.6,
                    0.84,
                    0.2,
                    0.5,
                    0.3,
                    0.42,
                    0.05,
                    0.5,
                    0.55,
                    0.15,
                    0.4,
                    0.8,
                ),
            ),
            deformation=DeformationConfiguration(
                encoder=(16, 32, 32, 48, 48), decoder=(48, 48, 32, 16, 16), initialisation="kaiming"
            ),
            output="velocity",
            working_side=48,
            finer_sides=(72, 96),
        ),
        TrainingSettings(registration_weight=10, learning_rate=1.5e-3, epochs=100, betas=(0.9, 0.99)),
    ),
    # As default3d, for a GPU: a working grid of about 1.5 mm and as many weights as a file of 16 MB allows.
    "large3d": Preset(
        ModelConfiguration(
            ndim=3,
            diffusion=DiffusionConfiguration(
                width=16,
                multipliers=(1, 2, 4, 6),
                groups=8,
                attention="linear",
                heads=4,
                attention_levels=(3,),
                time_width=64,
            ),
            deformation=DeformationConfiguration(
                encoder=(16, 32, 64, 64, 64), decoder=(64, 64, 32, 16, 16), initialisation="kaiming"
            ),
            output="velocity",
            working_side=128,
        ),
        TrainingSettings(registration_weight=10, learning_rate=4e-4, epochs=100, betas=(0.9, 0.999)),
    ),
    "default2d": Preset(
        ModelConfiguration(
            ndim=2,
            diffusion=DiffusionConfiguration(
                width=8, groups=4, attention="linear", heads=4, attention_levels=(2,), time_width=32
            ),
            deformation=DeformationConfiguration(
                encoder=(16, 32, 48, 64, 64), decoder=(64, 64, 48, 32, 16), initialisation="kaiming"
            ),
            output="velocity",
            working_side=128,
            finer_sides=(256,),
        ),
        TrainingSettings(registration_weight=10, learning_rate=4e-4, epochs=100, betas=(0.9, 0.999)),
    ),
}
