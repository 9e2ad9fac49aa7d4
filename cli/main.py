"""``mlops``: the platform from the command line. Results go to stdout, progress and errors to stderr."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from cli.exit_codes import ExitCode, exit_code
from cli.verb import verb
from cli.verbs.approve import approve
from cli.verbs.audit import audit
from cli.verbs.chaos import chaos
from cli.verbs.check import check
from cli.verbs.data import data
from cli.verbs.doctor import doctor
from cli.verbs.features import features
from cli.verbs.keys import keys
from cli.verbs.logs import logs
from cli.verbs.models import models
from cli.verbs.open import open_page
from cli.verbs.predict import predict
from cli.verbs.preview import preview
from cli.verbs.replay import replay
from cli.verbs.rollback import rollback
from cli.verbs.routing import routing
from cli.verbs.run import run
from cli.verbs.snapshots import snapshots
from cli.verbs.status import status
from mlops_platform.errors import PlatformError
from stack.bare.installation import Refused, unusable_file

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed or found something wrong, 2 not understood, 3 no such thing, 75 a service is away "
    "(try again)."
)

app = typer.Typer(
    help="Run pipelines, look things up, and see how the platform is.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
verb(
    app,
    "mlops run features",
    "mlops run credit_risk features --dataset-version 1 --dry-run",
    "mlops run credit_risk training --require-approval",
)(run)
verb(app, "mlops approve", "mlops approve credit_risk --reject")(approve)
verb(app, "mlops status", "mlops status --json")(status)
verb(app, "mlops doctor", "mlops doctor --json")(doctor)
verb(app, "mlops logs serving", "mlops logs airflow-scheduler --lines 20 --follow")(logs)
verb(app, "mlops predict 5008804", "mlops predict credit_risk 5008804")(predict)
verb(app, "mlops features 5008804", "mlops features credit_risk 5008804")(features)
verb(app, "mlops check", "mlops check credit_risk --file loans.csv")(check)
verb(app, "mlops preview", "mlops preview credit_risk --id 5008804", "mlops preview credit_risk --file loans.csv")(
    preview
)
verb(app, "mlops replay 6b015b0ac6d5f1954")(replay)
verb(app, "mlops rollback", "mlops rollback credit_risk --to 3")(rollback)
verb(app, "mlops routing", "mlops routing credit_risk --challenger-share 0.1 --shadow")(routing)
verb(app, "mlops open airflow", "mlops open api --json", name="open")(open_page)
verb(app, "mlops audit", "mlops audit --json")(audit)
verb(app, "mlops chaos", "mlops chaos credit_risk --rounds 30 --seed 7 --yes --json")(chaos)
for name, verbs in {"data": data, "snapshots": snapshots, "models": models, "keys": keys}.items():
    app.add_typer(verbs, name=name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlops {version('local-mlops-platform')}")
        raise typer.Exit


@app.callback()
def mlops(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Run pipelines, look things up, and see how the platform is."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. A known error is one message, not a traceback.

    Args:
        arguments: what follows ``mlops``; by default this process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given, prog_name="mlops", obj=given)
    except PlatformError as error:
        _end(f"error: {error}", exit_code(error))
    except Refused as error:
        _end(f"error: {error}", ExitCode.FAILED)
    except OSError as error:
        _end(unusable_file(error), ExitCode.FAILED)


def _end(message: str, code: ExitCode) -> None:
    typer.echo(message, err=True)
    sys.exit(code)
