import slicer
from slicer.i18n import tr as _

from DiffuseMorphCore.errors import DiffuseMorphError

from .OutputTransform import OutputTransform


class OutputCheck:
    """Refuses output nodes that hold something the work is made from: writing to them would destroy its start."""

    @staticmethod
    def volume(node, inputs):
        """node: output volume or labels, None for a new one. inputs: nodes, None among them where there is none.

        Raises DiffuseMorphError when the output is an input.
        """
        if node is not None and node in inputs:
            raise DiffuseMorphError(
                _("'{name}' is an input: choose another output, or none to make a new one.").format(name=node.GetName())
            )

    @staticmethod
    def transform(node, inputs, initialTransform=None):
        """node: output transform, None for a new one. inputs: nodes whose place in the world is used.

        An output of this module may be written again: what lies under it was taken as it was without it.
        Raises DiffuseMorphError when the output is the initial transform or puts an input where it is.
        """
        if node is None:
            return
        if node == initialTransform:
            raise DiffuseMorphError(
                _(
                    "'{name}' is the initial transform: choose another output transform, or none to make a new one."
                ).format(name=node.GetName())
            )
        for given in inputs:
            parent = OutputTransform.originalParent(given) if given is not None else None
            while parent is not None:
                if parent == node:
                    raise DiffuseMorphError(
                        _(
                            "'{input}' is under the transform '{name}', which writing to it would destroy: choose "
                            "another output transform, or none to make a new one."
                        ).format(input=given.GetName(), name=node.GetName())
                    )
                parent = parent.GetParentTransformNode()

    @staticmethod
    def stillThere(node):
        """The node, or None where it has left the scene."""
        return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None

    @staticmethod
    def inputsStillThere(*nodes):
        """Raises DiffuseMorphError where an input has left the scene during the computation."""
        if not all(slicer.mrmlScene.IsNodePresent(node) for node in nodes):
            raise DiffuseMorphError(
                _(
                    "An input was removed from the scene during the computation: nothing was "
                    "changed, load the volume again and repeat."
                )
            )
