import hashlib
import os
import pathlib

FILES = ("icbm152_t1_brain_2mm.nii.gz", "colin27_t1_brain_2mm.nii.gz")
NODES = ("ICBM152", "Colin27")
SAMPLE = "DiffuseMorphBrains"


def sampleFolder():
    """Folder of the sample images: beside the module when installed, at the top of the source tree otherwise."""
    module = pathlib.Path(__file__).resolve().parents[1]
    for folder in (module / "Resources" / "SampleData", module.parent / "Resources" / "SampleData"):
        if (folder / FILES[0]).is_file():
            return folder
    return None


def registerSampleImages():
    """Offer the bundled pair of brains in the Sample Data module. Nothing is downloaded."""
    folder = sampleFolder()
    if folder is None:
        return
    import SampleData

    paths = [folder / name for name in FILES]
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DiffuseMorph",
        sampleName=SAMPLE,
        uris=[path.as_uri() for path in paths],
        fileNames=list(FILES),
        nodeNames=list(NODES),
        checksums=["SHA256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        thumbnailFileName=os.path.join(
            str(pathlib.Path(__file__).resolve().parents[1]), "Resources", "Icons", "DiffuseMorphBrains.png"
        ),
    )
