import os
import unittest

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from DiffuseMorphCore.errors import DiffuseMorphError

from .Logic import DiffuseMorphSlicerLogic
from .OutputTransform import OutputTransform
from .TorchProvider import TorchProvider
from .VolumeImage import VolumeImage


class DiffuseMorphSlicerTest(ScriptedLoadableModuleTest):
    """The module tested inside Slicer, on two small volumes that it makes itself: no downloads.

    Without PyTorch the parts that need none are tested, and the rest says that it was left out.
    """

    OPTIONS = {"model": "none", "device": "cpu", "align": "center", "refine": 20}

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        self.logic = DiffuseMorphSlicerLogic()
        self.fixed = self.addBall("TestFixed", (0.0, 0.0, 0.0), 10.0)
        self.moving = self.addBall("TestMoving", (2.0, -1.0, 1.5), 12.5)

    def tearDown(self):
        self.logic.cleanup()
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        for test in (
            self.test_refusals,
            self.test_geometry,
            self.test_register,
            self.test_cancel,
            self.test_trajectory,
        ):
            self.delayDisplay(f"DiffuseMorph: {test.__name__}")
            self.setUp()
            try:
                test()
            except unittest.SkipTest as reason:
                self.delayDisplay(f"DiffuseMorph: {test.__name__} was left out: {reason}")
            finally:
                self.tearDown()
        self.delayDisplay("DiffuseMorph: the tests have passed")

    def requireTorch(self):
        if not TorchProvider.installed():
            self.skipTest("PyTorch is not installed")

    @staticmethod
    def addBall(name, center, radius):
        """A textured ball in a volume with oblique axes and unequal spacing; center and radius in mm of the world."""
        angle = np.deg2rad(20)
        axes = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        ijkToRAS = np.eye(4)
        ijkToRAS[:3, :3] = axes * np.array([1.5, 1.5, 2.0])
        ijkToRAS[:3, 3] = -ijkToRAS[:3, :3] @ np.array([15.5, 15.5, 11.5])
        k, j, i = np.mgrid[0:24, 0:32, 0:32]
        points = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ ijkToRAS.T
        offset = points[..., :3] - np.asarray(center)
        distance = np.linalg.norm(offset, axis=-1)
        texture = 1 + 0.3 * np.sin(6 * offset[..., 0] / radius) * np.cos(5 * offset[..., 1] / radius)
        values = 800 * texture / (1 + np.exp(2 * (distance - radius)))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, values.astype(np.int16))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRAS))
        node.CreateDefaultDisplayNodes()
        return node

    def assertRefused(self, words, action):
        with self.assertRaises(DiffuseMorphError) as caught:
            action()
        self.assertIn(words, str(caught.exception))

    def test_refusals(self):
        self.assertRefused("TestFixed", lambda: self.logic.startRegistration(self.fixed, self.fixed))
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
        self.assertRefused("'Empty' has no voxels", lambda: self.logic.startRegistration(self.fixed, empty))
        self.assertRefused("not in memory", lambda: self.logic.setEta(0.5))

    def test_geometry(self):
        image = VolumeImage.fromNode(self.fixed)
        ras = image.toWorld @ [*image.image.TransformIndexToPhysicalPoint((3, 5, 7)), 1]
        expected = VolumeImage.ijkToRAS(self.fixed) @ [3, 5, 7, 1]
        np.testing.assert_allclose(ras, expected, atol=1e-9)

    def test_register(self):
        self.requireTorch()
        stages = []
        result = self.logic.register(
            self.fixed, self.moving, progress=lambda *step: stages.append(step), **self.OPTIONS
        )
        self.assertTrue(OutputTransform.isOutput(result.transformNode))
        self.assertEqual(self.moving.GetParentTransformNode(), result.transformNode)
        fixed, warped = slicer.util.arrayFromVolume(self.fixed), slicer.util.arrayFromVolume(result.volumeNode)
        self.assertEqual(warped.dtype, np.int16)
        np.testing.assert_allclose(VolumeImage.ijkToRAS(result.volumeNode), VolumeImage.ijkToRAS(self.fixed))
        before = np.abs(slicer.util.arrayFromVolume(self.logic.exporter().volume(0.0)).astype(float) - fixed).mean()
        after = np.abs(warped.astype(float) - fixed).mean()
        self.assertLess(after, 0.7 * before)
        self.assertTrue(self.logic.setEta(0.4))
        self.assertFalse(self.logic.setEta(0.4))
        self.logic.showGrid(True)
        slicer.mrmlScene.RemoveNode(result.transformNode)
        self.assertIsNone(self.moving.GetParentTransformNode())
        self.assertRefused("not in memory", lambda: self.logic.setEta(0.5))

    def test_cancel(self):
        self.requireTorch()
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(DiffuseMorphError):
            self.logic.register(
                self.fixed, self.moving, progress=lambda *step: False, **(self.OPTIONS | {"refine": 1000})
            )
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_trajectory(self):
        self.requireTorch()
        self.logic.register(self.fixed, self.moving, **self.OPTIONS)
        path = os.path.join(slicer.util.tempDirectory(), "trajectory.seq.nrrd")
        sequence = self.logic.exportTrajectory(5, path=path)
        self.assertEqual(sequence.GetIndexName(), "eta")
        self.assertEqual(sequence.GetNumberOfDataNodes(), 5)
        self.assertTrue(os.path.isfile(path))
