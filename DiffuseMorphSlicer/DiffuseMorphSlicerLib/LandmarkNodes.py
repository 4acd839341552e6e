import numpy as np
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .OutputTransform import OutputTransform
from .VolumeImage import LPS_TO_RAS


class LandmarkNodes:
    """Points of two markups nodes that belong together, as the core takes them."""

    @staticmethod
    def pair(fixedNode, movingNode, fixed):
        """(fixed, moving) arrays (N, 3) in mm, LPS, paired by label where both nodes have the same ones, else by order.

        fixed: VolumeImage of the fixed volume. Points that are not placed do not count, and both nodes are taken as
        they were before any result of this module.
        Raises DiffuseMorphError, naming the nodes, where one is missing or their points cannot be paired.
        """
        if fixedNode is None and movingNode is None:
            return None, None
        if fixedNode is None or movingNode is None:
            raise DiffuseMorphError(
                _(
                    "Landmarks guide when both volumes have them: choose the {role} landmarks that belong to '{name}'."
                ).format(
                    role=_("fixed") if fixedNode is None else _("moving"), name=(fixedNode or movingNode).GetName()
                )
            )
        if fixedNode == movingNode:
            raise DiffuseMorphError(
                _(
                    "'{name}' is chosen as the landmarks of both volumes: place the same points in the moving volume "
                    "in a list of its own."
                ).format(name=fixedNode.GetName())
            )
        if fixed.dimensions == 2:
            raise DiffuseMorphError(_("Single slices take no landmarks: leave them out."))
        from DiffuseMorphCore.points import landmarks

        titles = [_("landmarks '{name}'").format(name=node.GetName()) for node in (fixedNode, movingNode)]
        return landmarks(*(LandmarkNodes._points(node) for node in (fixedNode, movingNode)), titles)[:2]

    @staticmethod
    def _points(node):
        """The placed points of a node, in mm, LPS, with their labels."""
        from DiffuseMorphCore.points import MovablePoints

        placed = [
            index
            for index in range(node.GetNumberOfControlPoints())
            if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
        ]
        points = np.array([[*node.GetNthControlPointPosition(index), 1.0] for index in placed]).reshape(-1, 4)
        world = points @ (LPS_TO_RAS @ OutputTransform.originalMatrix(node)).T
        labels = tuple(node.GetNthControlPointLabel(index) for index in placed)
        return MovablePoints(world[:, :3], labels, lambda *_: None)
