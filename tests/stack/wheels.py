"""Small wheels for installations that need no package index."""

import hashlib
import zipfile
from pathlib import Path

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(folder: Path, name: str, version: str, *, requires: str = "", says: str = "") -> str:
    """Makes a wheel with one module and a program, both of the package's name; its sha256.

    Args:
        requires: a requirement of the package.
        says: what the program prints; by default the version.
    """
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print({says or version!r})\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": _WHEEL,
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()
