"""What guides a registration beside the two images: landmarks, labels, regions to ignore, further contrasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import as_image, check_image
from DiffuseMorphCore.registration.inputs import Image, load_pair
from DiffuseMorphCore.registration.landmarks import Landmarks
from DiffuseMorphCore.registration.prepare import PreparedScan, aligned_tensor, mask_array
from DiffuseMorphCore.registration.working_pair import working_pair
from DiffuseMorphCore.similarity import ImagePair, Similarity
from DiffuseMorphCore.similarity.kept_volume import KeptVolume
from DiffuseMorphCore.similarity.label_overlap import LabelOverlap, label_codes
from DiffuseMorphCore.similarity.other_contrast import OtherContrast

Scans = tuple[PreparedScan, PreparedScan]


@dataclass(frozen=True)
class Guides:
    """Guides of one registration, read and checked.

    landmarks : points that belong together. labels : label maps with the same labels drawn on both images. ignored :
    masks on the grids of both images, 1 in what is ignored, or None. also : further contrasts of both sides, and what
    compares them. weight : how strongly landmarks and labels pull.
    """

    landmarks: Landmarks | None = None
    labels: tuple[sitk.Image, sitk.Image] | None = None
    ignored: tuple[sitk.Image | None, sitk.Image | None] = (None, None)
    also: tuple[tuple[Scans, Similarity | None], ...] = ()
    weight: float = 1.0

    @classmethod
    def load(
        cls,
        scans: Scans,
        landmarks: tuple[Any, Any],
        labels: tuple[Image, Image] | None,
        ignored: tuple[Image | None, Image | None],
        also: Sequence[tuple[Image, Image]],
        weight: float,
        notes: list[str],
    ) -> tuple[Guides, Scans]:
        """Read the guides, and give them with the scans without what is ignored.

        Raises
        ------
        DiffuseMorphError : a guide that cannot be read or does not fit its image, landmarks of one image only, labels
            of which none is in both maps, landmarks or labels for single slices.
        """
        found = cls(weight=weight)
        if scans[0].plane is not None and (labels is not None or any(each is not None for each in landmarks)):
            raise DiffuseMorphError("Landmarks and labels do not guide single slices: leave them out.")
        if any(each is not None for each in landmarks):
            found = replace(found, landmarks=Landmarks.load(*landmarks, (scans[0].grid, scans[1].grid), notes))
        if labels is not None:
            found = replace(found, labels=_labels(scans, labels, notes))
        if any(each is not None for each in ignored):
            scans, masks = zip(
                *(_without(scan, mask, role) for scan, mask, role in zip(scans, ignored, ("fixed", "moving")))
            )
            found = replace(found, ignored=masks)
        contrasts = []
        for number, pair in enumerate(also, start=2):
            pair_notes: list[str] = []
            further = load_pair(*pair, None, None, pair_notes)
            if further[0].grid.ndim != scans[0].grid.ndim:
                raise DiffuseMorphError(
                    f"The images of contrast {number} are {further[0].grid.ndim}-D, but the images to register are "
                    f"{scans[0].grid.ndim}-D: give further contrasts of the same dimension."
                )
            contrasts.append((further, None))
            notes += [f"Contrast {number}: {note}" for note in pair_notes]
        return replace(found, also=tuple(contrasts)), scans

    def compared(self, choose: Callable[[Scans], Similarity]) -> Guides:
        """The same with what compares each further contrast."""
        return replace(self, also=tuple((scans, choose(scans)) for scans, _ in self.also))

    def goal(self, base: Similarity, grid: Grid, alignment: sitk.AffineTransform) -> Similarity:
        """What is maximised on a working grid: the images' similarity with all guides."""
        terms, guides = list(base.terms), []
        share = sum(weight for weight, _ in base.terms)
        for scans, similarity in self.also:
            pair = working_pair(scans, grid, alignment, tissue=similarity.uses_tissue)
            terms.append((share, OtherContrast(pair, similarity.of_images)))
        if self.landmarks is not None:
            guides.append((self.weight, self.landmarks.pull(grid, alignment)))
        if self.labels is not None:
            guides.append((self.weight, LabelOverlap(_coded(self.labels, grid, alignment))))
        if any(mask is not None for mask in self.ignored):
            identity = sitk.AffineTransform(grid.ndim)
            regions = (
                None if mask is None else _resampled(mask, grid, transform)
                for mask, transform in zip(self.ignored, (identity, alignment))
            )
            guides.append((1.0, KeptVolume(*regions)))
        return replace(base, terms=tuple(terms), guides=tuple(guides))

    def entry(self) -> dict[str, Any]:
        """Which guides took part, for the report's settings."""
        return {
            "landmarks": 0 if self.landmarks is None else len(self.landmarks.fixed),
            "guide_labels": self.labels is not None,
            "ignored": [role for role, mask in zip(("fixed", "moving"), self.ignored) if mask is not None],
            "further_contrasts": len(self.also),
        }


def _labels(scans: Scans, labels: tuple[Image, Image], notes: list[str]) -> tuple[sitk.Image, sitk.Image]:
    images = []
    for source, role, scan in zip(labels, ("fixed", "moving"), scans):
        image, name = as_image(source, f"{role} label map", notes)
        image = check_image(image, name, labels=True, notes=notes)
        if image.GetDimension() != scan.grid.ndim:
            raise DiffuseMorphError(
                f"The {name} is {image.GetDimension()}-D, but the images are {scan.grid.ndim}-D: draw it on the image."
            )
        images.append(image)
    if not _common(*images):
        raise DiffuseMorphError(
            "The two label maps have no label in common, so they cannot guide: give the same structures the same "
            "numbers in both."
        )
    return images[0], images[1]


def _common(fixed: sitk.Image, moving: sitk.Image) -> list[int]:
    there = (set(np.unique(sitk.GetArrayViewFromImage(image)).tolist()) for image in (fixed, moving))
    return sorted(int(label) for label in set.intersection(*there) - {0})


def _coded(labels: tuple[sitk.Image, sitk.Image], grid: Grid, alignment: sitk.AffineTransform) -> ImagePair:
    """The labels that are in both maps as vectors on the working grid."""
    common = _common(*labels)
    codes = label_codes(len(common)).numpy()
    parts = []
    for image, transform in zip(labels, (sitk.AffineTransform(grid.ndim), alignment)):
        values = sitk.GetArrayViewFromImage(image)
        index = np.searchsorted(common, values).clip(max=len(common) - 1)
        known = np.asarray(common)[index] == values
        channels = []
        for channel in range(codes.shape[1]):
            coded = sitk.GetImageFromArray(np.where(known, codes[index, channel], 0).astype(np.float32))
            coded.CopyInformation(image)
            channels.append(_resampled(coded, grid, transform))
        parts.append(torch.cat(channels, dim=1))
    return ImagePair(*parts)


def _without(scan: PreparedScan, mask: Image | None, role: str) -> tuple[PreparedScan, sitk.Image | None]:
    """A scan of which what is marked does not count, and the mark on its grid."""
    if mask is None:
        return scan, None
    image, name = as_image(mask, f"region to ignore in the {role} image")
    image = check_image(image, name, labels=True)
    flat = scan.grid.image(np.zeros(scan.grid.shape, np.uint8))
    marked = mask_array(image, scan.original, flat, f"{role} image", name)
    kept = aligned_tensor((~marked).astype(np.float32))[None, None]
    if not kept.any():
        raise DiffuseMorphError(f"The {name} covers the whole image: mark the part to ignore.")
    return scan.only(kept), scan.grid.image(marked.astype(np.float32))


def _resampled(image: sitk.Image, grid: Grid, transform: sitk.Transform) -> Tensor:
    """(1, 1, *grid.shape): a float image on a grid, linearly; 0 outside."""
    reference = grid.image(np.zeros(grid.shape, np.float32))
    moved = sitk.Resample(image, reference, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return aligned_tensor(sitk.GetArrayFromImage(moved))[None, None]
