"""Three real slice views, rendered off screen: Slicer's slice logic and displayable managers in plain windows."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
MANAGERS = ("vtkMRMLTransformsDisplayableManager2D",)


class SliceView:
    """One slice view. Render requests only mark it; render() draws once, as the application's event loop would."""

    def __init__(self, scene, applicationLogic, layoutName: str, size: int):
        self.sliceLogic = slicer.vtkMRMLSliceLogic()
        self.sliceLogic.SetMRMLApplicationLogic(applicationLogic)
        self.sliceLogic.SetMRMLScene(scene)
        self.sliceNode = self.sliceLogic.AddSliceNode(layoutName)
        self.sliceNode.SetOrientation(ORIENTATIONS[layoutName])
        applicationLogic.GetSliceLogics().AddItem(self.sliceLogic)
        self.sliceLogic.ResizeSliceNode(size, size)
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(size, size)
        self.imageRenderer, self.renderer = vtk.vtkRenderer(), vtk.vtkRenderer()
        self.window.SetNumberOfLayers(2)
        self.renderer.SetLayer(1)
        self.window.AddRenderer(self.imageRenderer)
        self.window.AddRenderer(self.renderer)
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self.mapper)
        self.imageRenderer.AddViewProp(actor)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(applicationLogic)
        for name in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = factory.InstantiateDisplayableManagers(self.renderer)
        self.group.SetMRMLDisplayableNode(self.sliceNode)
        self.requested, self.renders = True, 0
        self.group.AddObserver(vtk.vtkCommand.UpdateEvent, self._request)
        self.sliceLogic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._request)

    def _request(self, *_):
        self.requested = True

    def render(self, force: bool = False) -> bool:
        if not self.requested and not force:
            return False
        self.requested = False
        connection = self.sliceLogic.GetImageDataConnection()
        if connection is not None:
            self.mapper.SetInputConnection(connection)
        self.imageRenderer.SetDraw(connection is not None)
        self.window.Render()
        self.requested = False
        self.renders += 1
        return True

    def picture(self) -> np.ndarray:
        """The view as (rows, columns, 3) bytes."""
        self.render(force=True)
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1]

    # What ScreenCapture and the layout manager ask a slice widget for.
    def sliceView(self):
        return self

    def mrmlSliceNode(self):
        return self.sliceNode

    def renderWindow(self):
        return self.window
