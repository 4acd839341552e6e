"""What one step of the eta slider costs on a fixed image of 160 x 192 x 224 voxels.

    python Testing/slicer/benchmark_scrubbing.py [--threads 2] [--ticks 20] [--size 512]

Two fields are measured: on the grid that a registration delivers, and with a vector at every voxel of the fixed image,
which is more than the module ever writes. For each: writing a tick, and a tick with three slice views rendered,
compared with rendering the same three views again with an untouched field of the same kind. The views are rendered by
whatever OpenGL there is off screen; without a GPU it is slow, so the ratio says more than the
milliseconds.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHAPE = (224, 192, 160)
KEYFRAMES = 5


def milliseconds(*actions, count: int) -> list[float]:
    """Median time of each action(i) over i in range(count), taken in turn so that a busy moment meets all of them."""
    times = [[] for _ in actions]
    for index in range(count):
        for action, own in zip(actions, times):
            start = time.perf_counter()
            action(index)
            own.append(1000 * (time.perf_counter() - start))
    return [statistics.median(own) for own in times]


def make_nodes():
    import numpy as np
    import slicer

    k, j, i = (np.linspace(-1, 1, length, dtype=np.float32) for length in SHAPE)
    values = 500 * np.exp(-3 * (k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None, :] ** 2))
    nodes = []
    for name in ("Fixed", "Moving"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, values.astype(np.int16))
        node.CreateDefaultDisplayNodes()
        nodes.append(node)
    return nodes


def make_registration(fixed, shape):
    """A registration with a smooth field in closed form: the cost of a tick does not depend on what the field is."""
    import numpy as np
    import SimpleITK as sitk
    import torch

    from DiffuseMorphCore.registration import Grid, Registration
    from DiffuseMorphCore.samplers import EtaPath

    waves = np.ix_(*(np.sin(np.pi * np.linspace(0, 1, length)) for length in shape))
    bump = torch.from_numpy((waves[0] * waves[1] * waves[2]).astype(np.float32))
    etas = tuple(np.linspace(0, 1, KEYFRAMES))
    keyframes = torch.stack([torch.stack([3 * eta * bump, -4 * eta**2 * bump, 2 * eta * bump]) for eta in etas])
    path = EtaPath(etas, keyframes, Grid.of(fixed.image).resampled(shape))
    return Registration(fixed.image, fixed.image, sitk.AffineTransform(3), path, path.grid, {})


def measure(application, shape, ticks: int) -> None:
    import slicer
    from DiffuseMorphSlicerLib.EtaTransform import EtaTransform
    from DiffuseMorphSlicerLib.FieldDisplay import FieldDisplay
    from DiffuseMorphSlicerLib.FieldTrajectory import FieldTrajectory
    from DiffuseMorphSlicerLib.OutputTransform import OutputTransform
    from DiffuseMorphSlicerLib.VolumeImage import VolumeImage

    fixedNode, movingNode = make_nodes()
    fixed, moving = VolumeImage.fromNode(fixedNode), VolumeImage.fromNode(movingNode)
    trajectory = FieldTrajectory.ofRegistration(make_registration(fixed, shape), fixed, moving)
    live = EtaTransform(trajectory, 1.0)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Transform")
    node.SetAndObserveTransformFromParent(live.transform)
    OutputTransform.mark(node, fixedNode, movingNode, None, 6.0)
    etas = [0.02 + 0.96 * (index * 7 % ticks) / ticks for index in range(ticks)]
    points = live.image.GetNumberOfPoints()
    print(f"\nField of {points:,} points with its ring ({points * 12 / 2**20:.0f} MiB), {KEYFRAMES} keyframes")
    (written,) = milliseconds(lambda i: live.setEta(etas[i]), count=ticks)
    print(f"  writing a tick                         {written:8.1f} ms")

    movingNode.SetAndObserveTransformNodeID(node.GetID())
    slicer.util.setSliceViewerLayers(background=fixedNode, foreground=movingNode, foregroundOpacity=0.5, fit=True)
    layoutManager = application.layoutManager()
    for shown in ("volumes", "volumes and grid"):
        if shown != "volumes":
            FieldDisplay.show(node, True)
        layoutManager.render()

        def again(_index):
            # What the same views cost when nothing was written: the transform is only said to have changed.
            live.grid.Modified()
            live.transform.Modified()
            layoutManager.render()

        def tick(index):
            live.setEta(etas[index])
            layoutManager.render()

        again(0)
        untouched, ticked = milliseconds(again, tick, count=ticks)
        print(
            f"  three views, {shown:16}  rendered again {untouched:6.1f} ms, a tick {ticked:6.1f} ms, "
            f"ratio {ticked / untouched:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads for writing (default 2)")
    parser.add_argument("--ticks", type=int, default=20, help="ticks to take the median of (default 20)")
    parser.add_argument("--size", type=int, default=512, help="side of a slice view in pixels (default 512)")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    from standins import install

    application = install()
    from standins.modules import load_module

    load_module(ROOT / "DiffuseMorphSlicer" / "DiffuseMorphSlicer.py")
    import slicer
    import torch

    from DiffuseMorphCore.grid import Grid
    from DiffuseMorphCore.registration import working_grid

    torch.set_num_threads(arguments.threads)
    whole = Grid(SHAPE[::-1], (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    print(
        f"Fixed image 160 x 192 x 224, {arguments.threads} threads, views of {arguments.size} x {arguments.size} pixels"
    )
    working = whole.resampled(working_grid.wanted_shape(whole, "default"))
    for shape in (working_grid.delivered_grid(working).shape, SHAPE):
        application.startScene(arguments.size)
        measure(application, shape, arguments.ticks)
        slicer.mrmlScene.Clear(True)


if __name__ == "__main__":
    main()
