"""A paragraph for the methods section of a paper, with what it cites; from the report of a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CITATIONS = {
    "diffusemorph": "Kim B, Han I, Ye JC. DiffuseMorph: Unsupervised Deformable Image Registration Using Diffusion "
    "Model. ECCV 2022, LNCS 13691, 347–364. doi:10.1007/978-3-031-19821-2_20",
    "simpleitk": "Lowekamp BC, Chen DT, Ibáñez L, Blezek D. The Design of SimpleITK. Frontiers in Neuroinformatics "
    "2013; 7:45. doi:10.3389/fninf.2013.00045",
    "mind": "Heinrich MP, Jenkinson M, Papież BW, Brady M, Schnabel JA. Towards Realtime Multimodal Fusion for "
    "Image-Guided Interventions Using Self-similarities. MICCAI 2013, LNCS 8149, 187–194. "
    "doi:10.1007/978-3-642-40811-3_24",
    "exponential": "Arsigny V, Commowick O, Pennec X, Ayache N. A Log-Euclidean Framework for Statistics on "
    "Diffeomorphisms. MICCAI 2006, LNCS 4190, 924–931. doi:10.1007/11866565_113",
    "folds": "Liu Y, Chen J, Wei S, Carass A, Prince J. On Finite Difference Jacobian Computation in Deformable Image "
    "Registration. International Journal of Computer Vision 2024. doi:10.1007/s11263-024-02047-1",
}


def methods(report: Mapping[str, Any], eta: float = 1.0) -> tuple[str, list[str]]:
    """The paragraph, with numbers in brackets, and the citations in their order.

    Parameters
    ----------
    report : as in ``report.json``, or :attr:`Registration.report`. eta : at which the result was delivered.
    """
    cited: list[str] = []

    def cite(name: str) -> str:
        if name not in cited:
            cited.append(name)
        return f"[{cited.index(name) + 1}]"

    settings, versions = report["settings"], report["versions"]
    model = report["model"]
    different = report.get("modality", {}).get("name", settings["modality"]) == "different"
    sentences = [f"Images were registered with DiffuseMorph {versions['DiffuseMorph']} {cite('diffusemorph')}."]
    align = settings["align"]
    if align == "center":
        sentences.append("They were first aligned by their centres.")
    elif align in ("rigid", "affine"):
        kind = (
            "a rigid transform" if align == "rigid" else "an affine transform, or a rigid one where that fitted as well"
        )
        sentences.append(f"They were first aligned by {kind} (SimpleITK {versions['SimpleITK']} {cite('simpleitk')}).")
    if settings.get("masks"):
        sentences.append(
            f"What lies outside the mask of the {' and of the '.join(settings['masks'])} image was ignored."
        )
    if model != "none":
        name = model.get("name", "given") if isinstance(model, Mapping) else model
        sentences.append(
            f"The network '{name}' predicted a stationary velocity field from the latent of its diffusion network, "
            f"whose exponential {cite('exponential')} is the deformation."
        )
    sentences += _guides(settings)
    if settings["refine"] != 0:
        terms = (
            "a weighted sum of local correlation, correlation after a map of the intensities, and self-similarity "
            f"descriptors {cite('mind')}"
            if different
            else "squared local correlation"
        )
        if different and isinstance(model, Mapping) and model.get("canonical"):
            terms += ", and of local correlation in the one contrast to which the network brings both images,"
        working = " × ".join(str(size) for size in report["grids"]["working"])
        sentences.append(
            f"{'The deformation was refined' if model != 'none' else 'A deformation was found'} by a multi-resolution "
            f"optimisation of {terms} on the two images (quality '{settings['quality']}', finest grid {working} "
            "voxels)."
        )
    folding = report["folding"]
    sentences.append(
        f"Folds were counted by ten finite-difference determinants a voxel {cite('folds')} and repaired; "
        f"{100 * folding['share']:.3g} % of the voxels are folded."
    )
    if eta != 1:
        sentences.append(f"The result was taken at eta = {eta:g} of the way from the aligned to the registered image.")
    sentences.append(_similarity(report))
    return " ".join(sentences), [CITATIONS[name] for name in cited]


def _guides(settings: Mapping[str, Any]) -> list[str]:
    """What beside the two images had a part in the deformation."""
    sentences = []
    if settings.get("landmarks"):
        sentences.append(f"{settings['landmarks']} pairs of landmarks guided the alignment and the deformation.")
    if settings.get("guide_labels"):
        sentences.append("Labels drawn on both images guided the deformation.")
    if settings.get("ignored"):
        regions = " and of the ".join(settings["ignored"])
        sentences.append(f"Marked regions of the {regions} image had no part in it and kept their volume.")
    if settings.get("further_contrasts"):
        sentences.append(
            f"Further contrasts of the same anatomy were used beside them: {settings['further_contrasts']}."
        )
    return sentences


def _similarity(report: Mapping[str, Any]) -> str:
    """How the similarity changed, or that nothing was deformed in the end."""
    if report["displacement_mm"]["max"] == 0:
        return "No deformation was kept, so the result is the alignment alone."
    similarity = report["similarity"]
    name, aligned, registered = (
        similarity.get("measure", "local correlation"),
        similarity["aligned"],
        similarity["registered"],
    )
    if registered >= aligned:
        return f"The similarity ({name}) rose from {aligned:.3f} after the alignment to {registered:.3f}."
    return f"The similarity ({name}) was {aligned:.3f} after the alignment and {registered:.3f} at the end."
