"""What all tests share: where real data lies, small image pairs, and the number of threads."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_configure() -> None:
    import torch

    # A shell starts what it puts in the background deaf to Ctrl-C, and so would be the programs that tests interrupt.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threads = int(os.environ.get("OMP_NUM_THREADS") or min(2, os.cpu_count() or 1))
    os.environ["OMP_NUM_THREADS"] = str(threads)  # or the load of the computer would decide
    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images that are not part of the product; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("DIFFUSEMORPH_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the images for testing: set DIFFUSEMORPH_DATA to their folder ('{folder}' is not there)")
    return folder


@pytest.fixture(scope="session")
def sample_pair() -> tuple[Path, Path]:
    """The bundled real pair (fixed, moving): ICBM 152 and Colin 27 at 2 mm."""
    folder = REPOSITORY / "Resources" / "SampleData"
    return folder / "icbm152_t1_brain_2mm.nii.gz", folder / "colin27_t1_brain_2mm.nii.gz"


def ellipsoids(size: tuple[int, ...], spacing: float = 2.0) -> sitk.Image:
    """A smooth phantom: a bright ellipsoid with an off-centre dark and an off-centre brighter one inside (0 to 200)."""
    axes = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in reversed(size)), indexing="ij")

    def inside(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii))
        return 0.5 - 0.5 * np.tanh(6.0 * (distance - 1.0))

    n = len(size)
    values = 120.0 * inside((0.0,) * n, (0.7, 0.6, 0.65)[:n])
    values -= 70.0 * inside((0.1, -0.2, 0.15)[:n], (0.25, 0.2, 0.3)[:n])
    values += 80.0 * inside((-0.15, 0.25, -0.1)[:n], (0.2, 0.18, 0.22)[:n])
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing((spacing,) * n)
    image.SetOrigin(tuple(-spacing * (length - 1) / 2 for length in size))
    return image


def bent(image: sitk.Image, amplitude: float) -> sitk.Image:
    """`image` pulled along a smooth wave of `amplitude` millimetres that vanishes at the border."""
    grids = np.meshgrid(*(np.linspace(0.0, np.pi, n) for n in reversed(image.GetSize())), indexing="ij")
    bump = np.prod([np.sin(g) for g in grids], axis=0)
    n = image.GetDimension()
    vectors = np.stack([amplitude * bump * np.cos(2.0 * grids[k]) for k in range(n)], axis=-1)
    field = sitk.GetImageFromArray(vectors.astype(np.float64), isVector=True)
    field.CopyInformation(image)
    return sitk.Resample(image, image, sitk.DisplacementFieldTransform(field), sitk.sitkLinear)


@pytest.fixture(scope="session")
def pair_3d() -> tuple[sitk.Image, sitk.Image]:
    """A small 3-D pair (fixed, moving), 40 x 36 x 32 at 2 mm; moving is fixed bent by up to 4 mm. Not to be changed."""
    fixed = ellipsoids((40, 36, 32))
    return fixed, bent(fixed, 4.0)


@pytest.fixture(scope="session")
def textured_pair_3d(pair_3d) -> tuple[sitk.Image, sitk.Image]:
    """`pair_3d` with fine detail inside, as tissue has, bent like the rest. Not to be changed."""
    fixed = pair_3d[0]
    noise = np.random.default_rng(0).normal(0.0, 60.0, tuple(reversed(fixed.GetSize()))).astype(np.float32)
    texture = sitk.GetImageFromArray(noise)
    texture.CopyInformation(fixed)
    fixed = fixed + sitk.SmoothingRecursiveGaussian(texture, 3.0) * sitk.Cast(fixed > 60, sitk.sitkFloat32)
    return fixed, bent(fixed, 4.0)


@pytest.fixture(scope="session")
def pair_2d() -> tuple[sitk.Image, sitk.Image]:
    """A small 2-D pair (fixed, moving), 64 x 56 at 1 mm; moving is fixed bent by up to 3 mm. Not to be changed."""
    fixed = ellipsoids((64, 56), spacing=1.0)
    return fixed, bent(fixed, 3.0)


@pytest.fixture(scope="session")
def small_model():
    """small_model(ndim, output) makes an untrained model built like the real ones, its fields voxels long."""
    import torch

    from DiffuseMorphCore.networks import (
        DeformationConfiguration,
        DiffuseMorph,
        DiffusionConfiguration,
        ModelConfiguration,
    )

    def make(ndim: int = 3, output: str = "velocity") -> DiffuseMorph:
        torch.manual_seed(ndim)
        model = DiffuseMorph(
            ModelConfiguration(
                ndim=ndim,
                output=output,
                diffusion=DiffusionConfiguration(width=8, multipliers=(1, 2, 2), attention_levels=(1,)),
                deformation=DeformationConfiguration(encoder=(8, 8, 8), decoder=(8, 8, 8), initialisation="kaiming"),
            )
        )
        model.deformation.exit.weight.data.mul_(300)  # an untrained field is too small to show much
        return model.eval()

    return make


@pytest.fixture(scope="session")
def write_series():
    """write_series(folder, image, uid, description, leave_out, tilt) writes a volume as a scanner exports it, one DICOM
    file a slice; `leave_out` slices are missing, and `tilt` shifts each slice sideways (mm) as a tilted gantry does."""

    def write(
        folder: Path,
        image: sitk.Image,
        uid: str = "1.2.826.0.1.3680043.2.1125.7",
        description: str = "T1",
        leave_out: tuple[int, ...] = (),
        tilt: float = 0.0,
    ) -> None:
        folder.mkdir(exist_ok=True)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        direction = image.GetDirection()
        for k in set(range(image.GetDepth())) - set(leave_out):
            part = sitk.Cast(image[:, :, k], sitk.sitkInt16)
            position = np.array(image.TransformIndexToPhysicalPoint((0, 0, k))) + np.array([0.0, tilt * k, 0.0])
            for key, value in {
                "0008|0060": "MR",
                "0020|000e": uid,
                "0020|000d": "1.2.826.0.1.3680043.2.1125.1",
                "0008|0018": f"{uid}.{k + 1}",
                "0008|103e": description,
                "0020|0013": str(k + 1),
                "0020|0032": "\\".join(f"{v:.6f}" for v in position),
                "0020|0037": "\\".join(str(direction[i]) for i in (0, 3, 6, 1, 4, 7)),
                "0018|0050": str(image.GetSpacing()[2]),
            }.items():
                part.SetMetaData(key, value)
            writer.SetFileName(str(folder / f"{uid.rsplit('.', 1)[-1]}_{k:03d}.dcm"))
            writer.Execute(part)

    return write
