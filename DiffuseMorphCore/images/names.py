"""File names: the extension that tells a format, and the names that ITK can take at all."""

from __future__ import annotations

import os
from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import printable


def image_suffix(path: str | Path) -> str:
    """The extension that tells an image's format, in lower case: ".nii.gz" for "a.b.nii.gz", "" for "a"."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def itk_name(path: str | Path) -> str:
    """The name to hand to ITK.

    Raises DiffuseMorphError for what is no name, and for a name with bytes that are not UTF-8 or with a zero: SimpleITK
    ends the whole process on those.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise DiffuseMorphError(
            f"A file name is expected, not {type(path).__name__ if path else 'an empty text'}: "
            "give the name of a file or folder."
        )
    name = str(path)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DiffuseMorphError(
            f"The name '{printable(name)}' holds characters that are not in UTF-8, which the image "
            "library cannot open: rename it."
        ) from None
    if "\0" in name:
        raise DiffuseMorphError(f"The name '{printable(name)}' holds a zero character: check the name.")
    return name
