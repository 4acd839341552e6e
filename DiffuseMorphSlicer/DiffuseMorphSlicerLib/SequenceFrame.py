import slicer
from slicer.i18n import tr as _


class SequenceFrame:
    """What it means that a node shows one frame of a sequence at a time."""

    @staticmethod
    def notes(movingNode):
        """Sentences for the user when the moving volume is the proxy of a sequence; none for any other volume."""
        for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
            sequence = browser.GetSequenceNode(movingNode)
            if sequence is not None:
                return [
                    _(
                        "'{moving}' shows a frame of the sequence '{sequence}': item {item} of {count} was registered, "
                        "and the other frames carry the same transform."
                    ).format(
                        moving=movingNode.GetName(),
                        sequence=sequence.GetName(),
                        item=browser.GetSelectedItemNumber() + 1,
                        count=sequence.GetNumberOfDataNodes(),
                    )
                ]
        return []
