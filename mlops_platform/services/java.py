"""Which Java the JVM services run on: the machine's, where it is 17 or newer, else a runtime from PyPI.

Standard library only, in syntax that Python 3.8 reads: the preflight runs before anything is installed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Mapping  # noqa: UP035 - Python 3.8

MINIMUM_MAJOR = 17

# The wheel's runtime lacks a module that Spark asks for by name, and a JVM dies over a module it does not know.
_WRAPPER = """#!/usr/bin/env bash
arguments=()
for argument in "$@"; do
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || arguments+=("$argument")
done
exec "{java}" "${{arguments[@]}}"
"""


def major_version(java: Path) -> int | None:
    """The major version of a ``java`` executable; None where it does not run or does not say."""
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def machine_javas(environ: Mapping[str, str]) -> list[tuple[Path, int | None]]:
    """The ``java`` of ``JAVA_HOME``, then the one on ``PATH``, each with its major version.

    On a Mac without Java, /usr/bin/java is a stub that runs nothing: it comes with the version None.
    """
    found = []
    if environ.get("JAVA_HOME"):
        found.append(Path(environ["JAVA_HOME"]) / "bin" / "java")
    on_path = shutil.which("java", path=environ.get("PATH", os.defpath))
    if on_path:
        found.append(Path(on_path))
    return [(java, major_version(java)) for java in found]


def usable_machine_home(environ: Mapping[str, str]) -> Path | None:
    """The home of the machine's Java where one is new enough, else None."""
    for java, major in machine_javas(environ):
        if major is not None and major >= MINIMUM_MAJOR:
            return java.resolve().parent.parent
    return None


def runtime_can_be_brought() -> bool:
    """Whether PyPI has a Java runtime for this machine."""
    glibc = platform.system() == "Darwin" or platform.libc_ver()[0] == "glibc"
    return glibc and platform.machine().lower() in ("x86_64", "amd64", "arm64", "aarch64")


def wrapped_home(state_dir: Path) -> Path:
    """The folder that acts as ``JAVA_HOME`` for the runtime from PyPI."""
    return state_dir / "java"


def write_wrapper(state_dir: Path, runtime_java: Path) -> Path:
    """Writes the ``java`` that hides what the wheel's runtime lacks from Spark's options; returns its ``JAVA_HOME``."""
    wrapper = wrapped_home(state_dir) / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    draft = wrapper.with_suffix(".draft")
    draft.write_text(_WRAPPER.format(java=runtime_java), encoding="utf-8")
    draft.chmod(0o755)
    draft.replace(wrapper)
    return wrapped_home(state_dir)


def java_home(state_dir: Path, environ: Mapping[str, str]) -> Path | None:
    """The ``JAVA_HOME`` that services get: the machine's, else the wrapped runtime, else None."""
    usable = usable_machine_home(environ)
    if usable is not None:
        return usable
    wrapped = wrapped_home(state_dir)
    return wrapped if (wrapped / "bin" / "java").exists() else None
