import html
import json

from slicer.i18n import tr as _


class ResultText:
    """The figures of a registration as the panel shows them and as the scene keeps them."""

    @staticmethod
    def figures(result):
        """What to show of a RegistrationResult, as a dictionary that can be kept as JSON text."""
        report = result.report
        return {
            key: report[key]
            for key in (
                "verdict",
                "modality",
                "similarity",
                "landmarks_mm",
                "folding",
                "displacement_mm",
                "seconds",
                "device",
                "model",
            )
            if key in report
        } | {"dice": result.dice, "notes": [*report.get("notes", []), *result.job.notes]}

    @staticmethod
    def toJson(figures):
        return json.dumps(figures, default=float)

    @staticmethod
    def toHtml(text):
        """text: what toJson gave, or an empty string."""
        if not text:
            return _("Nothing registered yet.")
        figures = json.loads(text)
        rows = ResultText._verdict(figures.get("verdict")) + ResultText._modality(figures.get("modality"))
        rows += ResultText._similarity(figures.get("similarity", {}))
        rows += ResultText._landmarks(figures.get("landmarks_mm"))
        rows += ResultText._dice(figures.get("dice"))
        displacement = figures.get("displacement_mm", {})
        if displacement:
            rows.append(
                (
                    _("Displacement"),
                    _("{mean:.2f} mm mean, {maximum:.2f} mm maximum").format(
                        mean=displacement["mean"], maximum=displacement["max"]
                    ),
                )
            )
        folding = figures.get("folding", {})
        if folding:
            rows.append(
                (
                    _("Folded voxels"),
                    _("{share:.4f} % (smallest Jacobian {minimum:.3f})").format(
                        share=100 * folding["share"], minimum=folding["minimum"]
                    ),
                )
            )
        seconds = figures.get("seconds", {})
        if seconds:
            stages = ", ".join(
                f"{html.escape(stage)} {value:.1f}" for stage, value in seconds.items() if stage != "total"
            )
            total = seconds.get("total", sum(seconds.values()))
            rows.append((_("Time"), _("{total:.1f} s ({stages})").format(total=total, stages=stages)))
        model = figures.get("model")
        if isinstance(model, dict):
            model = " ".join(str(model[key]) for key in ("name", "version") if key in model)
        rows += [
            (name, html.escape(str(value)))
            for name, value in ((_("Device"), figures.get("device")), (_("Model"), model))
            if value
        ]
        rows += [(_("Note"), html.escape(note)) for note in figures.get("notes", [])]
        return (
            "<table cellspacing='2'>"
            + "".join(f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td>{value}</td></tr>" for name, value in rows)
            + "</table>"
        )

    @staticmethod
    def _verdict(verdict):
        if not verdict:
            return []
        words = {"good": _("good"), "doubtful": _("doubtful"), "failed": _("failed")}
        return [(_("Verdict"), html.escape(f"{words[verdict['word']]}. {verdict['reason']}"))]

    @staticmethod
    def _modality(modality):
        if not modality:
            return []
        words = {"same": _("same"), "different": _("different")}
        return [(_("Modalities"), html.escape(f"{words[modality['name']]}: {modality['reason']}"))]

    @staticmethod
    def _similarity(similarity):
        names = (
            ("initial", _("as loaded")),
            ("aligned", _("aligned")),
            ("network", _("network")),
            ("registered", _("registered")),
        )
        parts = [f"{name} {similarity[key]:.3f}" for key, name in names if similarity.get(key) is not None]
        return [(_("Similarity"), " → ".join(parts))] if parts else []

    @staticmethod
    def _landmarks(found):
        if not found:
            return []
        names = (
            ("initial", _("as loaded")),
            ("aligned", _("aligned")),
            ("registered", _("registered")),
            ("left_out", _("each left out")),
        )
        parts = [f"{name} {found[key]['mean']:.2f} mm" for key, name in names if key in found]
        return [(_("Landmarks ({count})").format(count=found["number"]), " → ".join(parts))]

    @staticmethod
    def _dice(dice):
        if not dice:
            return []
        before, after = (sum(values) / len(dice) for values in zip(*dice.values()))
        rows = [
            (
                _("Dice"),
                _("{before:.3f} → {after:.3f} (mean of {count})").format(before=before, after=after, count=len(dice)),
            )
        ]
        if len(dice) <= 8:
            rows += [
                ("&nbsp;&nbsp;" + html.escape(name), f"{values[0]:.3f} → {values[1]:.3f}")
                for name, values in dice.items()
            ]
        return rows
