import html
import json

from slicer.i18n import tr as _


class SequenceText:
    """The figures of a registered sequence as the panel shows them and as the scene keeps them."""

    @staticmethod
    def toJson(report):
        """report: of DiffuseMorphCore's register_sequence; what the panel shows of it, as text."""
        shown = ("frames", "reference", "similarity", "smoothed", "seconds", "device", "notes")
        return json.dumps({key: report[key] for key in shown}, default=float)

    @staticmethod
    def toHtml(text):
        """text: what toJson gave, or an empty string."""
        if not text:
            return ""
        figures = json.loads(text)
        before, after = (sum(figures["similarity"][key]) / figures["frames"] for key in ("before", "registered"))
        reference = figures["reference"]
        rows = [
            (
                _("Frames"),
                _("{count}, on the mean of all").format(count=figures["frames"])
                if reference == "mean"
                else _("{count}, on frame {number}").format(count=figures["frames"], number=reference),
            ),
            (_("Similarity"), _("{before:.3f} → {after:.3f} (mean)").format(before=before, after=after)),
            (_("Smoothed"), _("{count} frames").format(count=len(figures["smoothed"]))),
            (_("Time"), _("{seconds:.1f} s").format(seconds=sum(figures["seconds"].values()))),
            (_("Device"), html.escape(str(figures["device"]))),
        ]
        rows += [(_("Note"), html.escape(note)) for note in figures["notes"]]
        return (
            "<table cellspacing='2'>"
            + "".join(f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td>{value}</td></tr>" for name, value in rows)
            + "</table>"
        )
