"""The notebook as a page of the site: its texts, its code, and what came out when it was last run."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
from mkdocs.structure.files import File

NAME = "notebook"


def on_files(files, config):
    """Add the page and its pictures; the notebook itself can be downloaded."""
    notebook = nbformat.read(Path(config.docs_dir) / f"{NAME}.ipynb", as_version=4)
    title, *parts = notebook.cells[0].source.split("\n")
    lines = [title, "", f"[Download the notebook]({NAME}.ipynb)", *parts, ""]
    pictures = 0
    for cell in notebook.cells[1:]:
        if cell.cell_type == "markdown":
            lines += [cell.source, ""]
            continue
        lines += ["```python", cell.source, "```", ""]
        for output in cell.outputs:
            if output.output_type == "stream":
                lines += ["```text", output.text.rstrip(), "```", ""]
            elif "image/png" in output.data:
                pictures += 1
                name = f"{NAME}-{pictures}.png"
                files.append(File.generated(config, name, content=base64.b64decode(output.data["image/png"])))
                lines += [f"![What the code above draws]({name})", ""]
    files.append(File.generated(config, f"{NAME}.md", content="\n".join(lines)))
    return files
