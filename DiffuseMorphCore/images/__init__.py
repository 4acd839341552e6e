"""Images and transforms from and to files, memory and other libraries.

All geometry stays as SimpleITK gives it (millimetres, LPS). Intensities are never changed here, but that labels a
rounding error off whole numbers are rounded.
"""

from DiffuseMorphCore.images.arrays import as_image, image_from_array
from DiffuseMorphCore.images.checking import SMALLEST_SIDE, check_image
from DiffuseMorphCore.images.colour import grey, is_colour, warp_channels
from DiffuseMorphCore.images.decimal_points import decimal_points
from DiffuseMorphCore.images.formats import keeps, suffix_for
from DiffuseMorphCore.images.labels import dice, dice_of_each, resample_labels
from DiffuseMorphCore.images.names import image_suffix, itk_name, printable
from DiffuseMorphCore.images.reading import read_image
from DiffuseMorphCore.images.writing import check_writable, write_complete, write_image

__all__ = [
    "SMALLEST_SIDE",
    "as_image",
    "check_image",
    "check_writable",
    "decimal_points",
    "dice",
    "dice_of_each",
    "grey",
    "image_from_array",
    "image_suffix",
    "is_colour",
    "itk_name",
    "keeps",
    "printable",
    "read_image",
    "resample_labels",
    "suffix_for",
    "warp_channels",
    "write_complete",
    "write_image",
]
