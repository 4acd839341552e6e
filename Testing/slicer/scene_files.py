"""Scenes written and read as File / Save data and File / Add data do it."""

EXTENSIONS = {"vtkMRMLTransformNode": "h5", "vtkMRMLVolumeNode": "nrrd", "vtkMRMLSequenceNode": "seq.nrrd"}


def save(folder):
    """The scene and its data as File / Save data writes them. Returns the scene's file."""
    import slicer

    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
        for name, extension in EXTENSIONS.items():
            if node.IsA(name) and node.GetSaveWithScene():
                node.AddDefaultStorageNode()
                node.GetStorageNode().SetFileName(str(folder / f"{node.GetID()}.{extension}"))
                assert node.GetStorageNode().WriteData(node)
    slicer.mrmlScene.SetURL(str(folder / "scene.mrml"))
    slicer.mrmlScene.Commit()
    return folder / "scene.mrml"


def bundle(folder):
    """The scene as one file, as File / Save data writes it when asked for one."""
    import slicer

    path = folder / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    return path


def read(path, clear=True):
    """Load, or with clear=False add, a scene."""
    import slicer

    if path.suffix == ".mrb":
        assert slicer.mrmlScene.ReadFromMRB(str(path), clear)
        return
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Connect() if clear else slicer.mrmlScene.Import()
