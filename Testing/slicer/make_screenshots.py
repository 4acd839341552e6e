"""Makes the pictures in Resources/Screenshots from a registration of the bundled brains.

    python Testing/slicer/make_screenshots.py [--model default]

The slice views are Slicer's own, rendered off screen; the panel is the real .ui file drawn by the stand-ins of the
tests, so that its widgets look a little different in the application.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ETAS = (0.0, 0.5, 1.0)
VIEWS = ("Red", "Green")


def labelled(picture, text):
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((10, 8), text, fill=(255, 255, 255), font=ImageFont.load_default(size=18))
    return np.asarray(image)


def parallel_map(rows):
    import numpy as np

    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def save(array, name):
    from PIL import Image

    path = ROOT / "Resources" / "Screenshots" / name
    Image.fromarray(array).quantize(256).save(path, optimize=True)
    print(path.relative_to(ROOT), array.shape)


def register(panel, model):
    from standins.application import settle

    panel.logic.getParameterNode().model = model
    panel.ui.registerButton.click()
    while panel.runPanel.busy:
        settle(20)
    print(panel.ui.statusLabel.property("text"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="model to register with (default: default)")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    from standins import install

    application = install()
    from standins.application import settle
    from standins.modules import load_module, make_panel

    module = load_module(ROOT / "DiffuseMorphSlicer" / "DiffuseMorphSlicer.py")
    import slicer
    from DiffuseMorphSlicerLib.ParameterNode import FieldMode, ViewMode
    from DiffuseMorphSlicerLib.SampleImages import FILES, NODES, sampleFolder

    application.startScene(380)
    panel = make_panel(module)
    panel.parent.resize(430, 1500)
    panel.parent.show()
    panel.parent.enter()
    nodes = []
    for file, name in zip(FILES, NODES):
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(sampleFolder() / file))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        assert storage.ReadData(node)
        node.CreateDefaultDisplayNodes()
        nodes.append(node)
    parameters = panel.logic.getParameterNode()
    parameters.fixedVolume, parameters.movingVolume = nodes
    register(panel, arguments.model)
    end = time.monotonic() + 30
    while panel.modelPanel.reading and time.monotonic() < end:
        settle(50)
    parameters.fieldMode, parameters.fieldSpacing, parameters.blend = FieldMode.grid, 8.0, 1.0
    views = application.layoutManager().views
    rows = {name: [] for name in VIEWS}
    for eta in ETAS:
        panel.logic.setEta(eta)
        for name in VIEWS:
            rows[name].append(labelled(views[name].picture(), f"eta {eta:.1f}"))
    parameters.fieldMode = FieldMode.off
    parameters.viewMode = ViewMode.blend
    slicer.util.setSliceViewerLayers(background=nodes[0], foregroundOpacity=0.0)
    for name in VIEWS:
        rows[name].append(labelled(views[name].picture(), "fixed"))
    save(parallel_map(rows.values()), "explore.png")

    modes = [
        (ViewMode.blend, "blend"),
        (ViewMode.checkerboard, "checkerboard"),
        (ViewMode.difference, "difference"),
        (ViewMode.jacobian, "Jacobian"),
    ]
    parameters.blend, parameters.checkerSize = 0.6, 25.0
    pictures = []
    for mode, text in modes:
        parameters.viewMode = mode
        while panel.runPanel.busy:
            settle(20)
        pictures.append(labelled(views["Red"].picture(), text))
    save(parallel_map([pictures]), "views.png")
    parameters.viewMode, parameters.eta, parameters.fieldMode = ViewMode.blend, 0.62, FieldMode.grid
    settle(50)
    picture = ROOT / "Resources" / "Screenshots" / "panel.png"
    panel.parent.adjustSize()
    panel.parent.resize(430, panel.parent.sizeHint().height())
    settle(50)
    panel.parent.grab().save(str(picture))
    print(picture.relative_to(ROOT))
    panel.cleanup()


if __name__ == "__main__":
    main()
