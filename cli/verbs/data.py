"""``mlops data``."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cli.installation import with_lake
from cli.output import as_json, show_rows
from cli.parameters import Json, UseCaseArgument
from cli.verb import verb
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.synthetic import get_generator

data = typer.Typer(help="Raw datasets: numbered versions of what arrived.", no_args_is_help=True)


@verb(data, "mlops data generate --rows 777715", "mlops data generate credit_risk --rows 1000 --seed 7")
def generate(
    context: typer.Context,
    use_case: UseCaseArgument,
    *,
    rows: Annotated[int, typer.Option(min=1, help="how many raw rows")] = 100_000,
    seed: Annotated[int | None, typer.Option(help="the same seed gives the same file [default: the spec's]")] = None,
    json: Json = False,
) -> None:
    """Make up raw data with the character of the real data, and add it as a dataset."""
    settings = with_lake(context)
    generator = get_generator(use_case.name)
    seed = use_case.seed if seed is None else seed
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.state_dir) as folder:
        file = Path(folder) / f"generated-{rows}-rows-seed-{seed}.csv"
        generator.write_csv(file, rows, seed)
        _add(settings, use_case, file, json=json)


@verb(data, "mlops data add loans.csv", "mlops data add credit_risk loans.csv.gz")
def add(
    context: typer.Context,
    use_case: UseCaseArgument,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="a CSV file with the columns of the use case, plain or gzip")
    ],
    *,
    json: Json = False,
) -> None:
    """Take a file in as the next dataset version. The same bytes twice are one version."""
    _add(with_lake(context, file), use_case, Path(file), json=json)


@verb(data, "mlops data list", "mlops data list credit_risk --json", name="list")
def list_datasets(context: typer.Context, use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the dataset versions, the oldest first."""
    datasets = Datasets(Lake(with_lake(context).lake_root), use_case)
    found = [one.model_dump() for one in datasets.list()]
    show_rows(found, ("version", "rows", "arrived_at", "source", "sha256"), json=json)


def _add(settings: PlatformSettings, use_case: UseCase, file: Path, *, json: bool) -> None:
    datasets = Datasets(Lake(settings.lake_root), use_case)
    before = {known.version for known in datasets.list()}
    manifest = datasets.add(file)
    if json:
        typer.echo(as_json({**manifest.model_dump(), "known": manifest.version in before}))
        return
    known = ", which was there already" if manifest.version in before else ""
    typer.echo(f"dataset {manifest.version} of {use_case.name}: {manifest.rows} rows{known}")
