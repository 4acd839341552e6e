"""Lists the files of the core and of the module in their CMakeLists.txt: Slicer's build copies only what is listed.

python Testing/slicer/update_cmake_lists.py
"""

import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "DiffuseMorphCore", ROOT / "DiffuseMorphSlicer")
# The package from PyPI has these; inside Slicer nothing uses them, and recipes need data that the extension has not.
LEFT_OUT = (
    "DiffuseMorphCore/evaluation/*",
    "DiffuseMorphCore/weights/voxelmorph3d*",
    "DiffuseMorphCore/training/configurations/*",
)
KEPT = "DiffuseMorphCore/training/configurations/own_images.toml"
RESOURCES = {".pt", ".toml", ".md", ".txt", ".ui", ".png", ".json", ".csv", ".html", ".css", ".js"}


def is_packaged(name: str) -> bool:
    return name == KEPT or not any(fnmatch(name, pattern) for pattern in LEFT_OUT)


def packaged_files(folder: Path) -> dict[str, list[str]]:
    """{CMake variable: sorted paths relative to the folder}."""
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and is_packaged(path.relative_to(ROOT).as_posix())
    )
    return {
        "MODULE_PYTHON_SCRIPTS": [path.relative_to(folder).as_posix() for path in paths if path.suffix == ".py"],
        "MODULE_PYTHON_RESOURCES": [
            path.relative_to(folder).as_posix()
            for path in paths
            if path.suffix in RESOURCES and path.name != "CMakeLists.txt"
        ],
    }


def main() -> None:
    for folder in FOLDERS:
        file = folder / "CMakeLists.txt"
        text = file.read_text(encoding="utf-8")
        for variable, names in packaged_files(folder).items():
            block = f"set({variable}\n" + "".join(f"  {name}\n" for name in names) + "  )"
            text = re.sub(rf"set\({variable}\n.*?\)", lambda _match, block=block: block, text, flags=re.DOTALL)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
