"""What the shell scripts take."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Iterable, NamedTuple  # noqa: UP035 - Python 3.8

DEFAULT_ROWS = 100_000


class SourceFile(NamedTuple):
    """A file, and the source of the use case that it is of; ``""`` where its place among the files says so."""

    source: str
    path: Path

    def __str__(self) -> str:
        """As ``mlops data add`` takes it."""
        return f"{self.source}:{self.path}" if self.source else str(self.path)


def start_parser(program: str) -> argparse.ArgumentParser:
    """What ./start.sh takes, and ./restart.sh, which is called ``program`` as well."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Brings the whole platform up, runs the credit-risk pipeline if there is no champion yet, shows a "
        "prediction, and brings up the other use cases side by side. On a running platform ./start.sh changes nothing; "
        "./restart.sh stops it first, once all is checked and installed that a start needs.",
    )
    parser.add_argument(
        "--mode",
        choices=["auto", "docker", "local"],
        default="auto",
        help="containers or local processes; auto: as before, else containers where a Docker engine answers",
    )
    add_first_data(parser)
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="Spark workers, now and in later starts (default 1)"
    )
    parser.add_argument("--check", action="store_true", help="only say what stands in the way of a start")
    return parser


def add_first_data(parser: argparse.ArgumentParser) -> None:
    """What the first pipelines run on: ``rows``, ``data`` as pairs of a use case and its files, and ``use_cases``."""
    parser.add_argument(
        "--rows", type=_positive, default=DEFAULT_ROWS, metavar="N", help=f"loans to generate (default {DEFAULT_ROWS})"
    )
    parser.add_argument(
        "--data",
        type=named_files,
        action="append",
        default=[],
        metavar="USE_CASE=FILE",
        help="a CSV or Parquet file to use instead; several, as FILE1,FILE2 in the order of the use case's sources or "
        "as SOURCE:FILE each, where it has several; may be repeated",
    )
    parser.add_argument(
        "--use-cases",
        type=_names,
        default=[],
        metavar="NAME,...",
        help="the use cases that come up; the default one always does (by default all of which data can be made up)",
    )


def first_data(rows: int, data: Iterable[tuple[str, Iterable[SourceFile]]], use_cases: Iterable[str] = ()) -> list[str]:
    """The arguments that :func:`add_first_data` reads as these."""
    given = [part for use_case, files in data for part in ("--data", f"{use_case}={','.join(map(str, files))}")]
    named = ",".join(use_cases)
    return ["--rows", str(rows), *given, *(["--use-cases", named] if named else [])]


def stop_parser(program: str) -> argparse.ArgumentParser:
    """What ./stop.sh takes: nothing."""
    return argparse.ArgumentParser(prog=program, description="Stops the platform and keeps all of its data.")


def reset_parser(program: str) -> argparse.ArgumentParser:
    """What ./reset.sh takes."""
    parser = argparse.ArgumentParser(prog=program, description="Removes this project's state, and nothing else.")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--all", action="store_true", help="remove the environment (.venv) as well")
    return parser


def install_parser(program: str) -> argparse.ArgumentParser:
    """What installing takes."""
    parser = argparse.ArgumentParser(prog=program, description="Makes .venv what the lock says.")
    parser.add_argument("--dev", action="store_true", help="what the tests need as well")
    return parser


def _positive(given: str) -> int:
    number = int(given) if given.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is no whole number from 1 on")
    return number


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def named_files(given: str) -> tuple[str, list[SourceFile]]:
    """A use case and its files, out of ``USE_CASE=FILE``, ``USE_CASE=FILE1,FILE2`` or ``USE_CASE=SOURCE:FILE,...``.

    The scripts work in the project's folder; a relative path is meant as seen from where they were called.
    """
    use_case, separator, listed = given.partition("=")
    whole = _source_file(listed)  # a name may have a comma
    files = [whole] if whole else [_source_file(one) for one in listed.split(",")]
    if not (separator and use_case and all(files)):
        raise argparse.ArgumentTypeError(f"{given}: no such file. Remedy: give it as USE_CASE=FILE")
    return use_case, [file for file in files if file]


def _source_file(given: str) -> SourceFile | None:
    """None where there is no such file."""
    source, _, named = given.partition(":")
    for file in (SourceFile("", _seen_from_caller(given)), SourceFile(source, _seen_from_caller(named))):
        if file.path.is_file():
            return file
    return None


def _seen_from_caller(path: str) -> Path:
    return Path(os.environ.get("MLOPS_CALLED_FROM", "."), path).resolve()
