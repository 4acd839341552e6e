"""Make the bundled sample pair from the files of the two packages named in README.txt.

    python make_sample_data.py ICBM_FILE COLIN_FILE

Both files are brain-extracted T1-weighted images at 1 mm. Each is cropped to the brain, and 2 x 2 x 2 voxels are
averaged into one, so that nothing finer than the new grid is left to alias. The result is written beside this script.
"""

import sys
from pathlib import Path

import SimpleITK as sitk

FOLDER = Path(__file__).resolve().parent
MARGIN = 8  # voxels of 1 mm kept round the brain, room for the deformation


def crop_to_brain(image: sitk.Image) -> sitk.Image:
    """Return the part of `image` that holds its positive voxels, with MARGIN voxels round it, even in size."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(image > 0)
    box = shape.GetBoundingBox(1)
    first, size = box[:3], box[3:]
    lower = [MARGIN - start for start in first]
    upper = [start + length + MARGIN - full for start, length, full in zip(first, size, image.GetSize())]
    padded = sitk.ConstantPad(image, [max(0, n) for n in lower], [max(0, n + 1) for n in upper])
    start = [max(0, -n) for n in lower]
    length = [n + 2 * MARGIN + n % 2 for n in size]
    return sitk.RegionOfInterest(padded, length, start)


def to_two_millimetres(image: sitk.Image) -> sitk.Image:
    """Average blocks of 2 x 2 x 2 voxels and scale the brightest voxel to 255 (uint8)."""
    averaged = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), [2, 2, 2])
    return sitk.Cast(sitk.Round(sitk.RescaleIntensity(averaged, 0, 255)), sitk.sitkUInt8)


def main(icbm: str, colin: str) -> None:
    """Write both brains, without what their files say beside the image."""
    for source, name in ((icbm, "icbm152_t1_brain_2mm.nii.gz"), (colin, "colin27_t1_brain_2mm.nii.gz")):
        image = to_two_millimetres(crop_to_brain(sitk.ReadImage(source)))
        for key in image.GetMetaDataKeys():
            image.EraseMetaData(key)
        sitk.WriteImage(image, str(FOLDER / name), useCompression=True, compressionLevel=9)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
