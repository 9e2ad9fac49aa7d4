"""``mlops models``."""

import dataclasses

import typer

from cli.installation import installation
from cli.output import show_rows
from cli.parameters import Json, UseCaseArgument
from cli.verb import verb
from mlops_platform.models.registry import FAMILY_TAG, ModelRegistry

models = typer.Typer(help="Registered models.", no_args_is_help=True)


@verb(models, "mlops models list", "mlops models list credit_risk --json", name="list")
def list_models(use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the registered versions, the newest first."""
    with ModelRegistry(installation().mlflow_url) as registry:
        found = registry.versions(use_case.name)
    rows = [
        {**dataclasses.asdict(one), "aliases": ", ".join(one.aliases), "family": one.tags.get(FAMILY_TAG, "")}
        for one in found
    ]
    show_rows(rows, ("version", "aliases", "family", "created_at"), json=json)
