"""Slicer's Screen Capture module, as far as the recorder calls it: pictures of the views, no video."""

from __future__ import annotations

import types

import vtk


class ScreenCaptureLogic:
    videoFormatPresets = [
        {"name": "H.264", "fileExtension": "mp4", "extraVideoOptions": "-codec libx264"},
        {"name": "Animated GIF", "fileExtension": "gif", "extraVideoOptions": "-filter_complex palettegen"},
    ]

    def isFfmpegPathValid(self):
        return False

    def findFfmpeg(self):
        return False

    def captureImageFromView(self, view, filename, transparentBackground=False):
        view.render(force=True)
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(view.renderWindow())
        grabber.ReadFrontBufferOff()
        writer = vtk.vtkPNGWriter()
        writer.SetInputConnection(grabber.GetOutputPort())
        writer.SetFileName(filename)
        writer.Write()


def module() -> types.ModuleType:
    capture = types.ModuleType("ScreenCapture")
    capture.ScreenCaptureLogic = ScreenCaptureLogic
    return capture
