"""``mlops data``."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.installation import with_lake
from cli.output import as_json, show_rows
from cli.parameters import Json, UseCaseArgument
from cli.verb import verb
from mlops_platform.errors import RawDataError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.synthetic import get_generator

MOST_ROWS = 100_000
"""Rows that are made up where nobody says how many: more take longer than they teach."""

data = typer.Typer(help="Raw datasets: numbered versions of what arrived.", no_args_is_help=True)


@verb(data, "mlops data generate --rows 777715", "mlops data generate credit_risk --rows 1000 --seed 7")
def generate(
    context: typer.Context,
    use_case: UseCaseArgument,
    *,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help=f"how many raw rows [default: as the real data, at most {MOST_ROWS}]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="the same seed gives the same file [default: the spec's]")] = None,
    json: Json = False,
) -> None:
    """Make up raw data with the character of the real data, and add it as a dataset."""
    settings = with_lake(context)
    generator = get_generator(use_case.name)
    rows = min(MOST_ROWS, generator.FULL_ROWS) if rows is None else rows
    seed = use_case.seed if seed is None else seed
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.state_dir) as folder:
        names = [f"-{source.name}" for source in use_case.sources] if len(use_case.sources) > 1 else [""]
        files = [Path(folder) / f"generated-{rows}-rows-seed-{seed}{name}.csv" for name in names]
        generator.write_csv(*files, rows=rows, seed=seed)
        _add(settings, use_case, files, json=json)


@verb(
    data,
    "mlops data add loans.csv",
    "mlops data add credit_risk loans.csv.gz",
    "mlops data add song_genre todotipo:rest.csv reggaeton:these.csv",
)
def add(
    context: typer.Context,
    use_case: UseCaseArgument,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="CSV (plain or gzip) or Parquet: one for each source of the use case in the order of its spec, or "
            "each as SOURCE:FILE",
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """Take files in as the next dataset version. The same bytes twice are one version."""
    split = [_source_and_path(use_case, given) for given in files]
    settings = with_lake(context, {given: path for given, (_, path) in zip(files, split, strict=True)})
    _add(settings, use_case, _in_order(use_case, split), json=json)


@verb(data, "mlops data list", "mlops data list credit_risk --json", name="list")
def list_datasets(context: typer.Context, use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the dataset versions, the oldest first."""
    datasets = Datasets(Lake(with_lake(context).lake_root), use_case)
    found = [one.model_dump() for one in datasets.list()]
    show_rows(found, ("version", "rows", "arrived_at", "source", "sha256"), json=json)


def _source_and_path(use_case: UseCase, given: str) -> tuple[str | None, str]:
    """What ``SOURCE:FILE`` says; no source where there is none, or a file of this very name."""
    source, colon, path = given.partition(":")
    if colon and source in {known.name for known in use_case.sources} and not Path(given).is_file():
        return source, path
    return None, given


def _in_order(use_case: UseCase, given: Sequence[tuple[str | None, str]]) -> list[Path]:
    named = {source: path for source, path in given if source is not None}
    if not named:
        return [Path(path) for _, path in given]
    if len(named) < len(given):
        raise RawDataError(
            "the files do not say of which source each of them is",
            remedy="name the source of each: " + " ".join(f"{source.name}:FILE" for source in use_case.sources),
        )
    return [Path(named[source.name]) for source in use_case.sources if source.name in named]


def _add(settings: PlatformSettings, use_case: UseCase, files: Sequence[Path], *, json: bool) -> None:
    datasets = Datasets(Lake(settings.lake_root), use_case)
    before = {known.version for known in datasets.list()}
    manifest = datasets.add(*files)
    if json:
        typer.echo(as_json({**manifest.model_dump(), "known": manifest.version in before}))
        return
    known = ", which was there already" if manifest.version in before else ""
    typer.echo(f"dataset {manifest.version} of {use_case.name}: {manifest.rows} rows{known}")
