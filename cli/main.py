"""``mlops``: the platform from the command line. Results go to stdout, progress and errors to stderr.

The exit code is 0, 1 where something is wrong (an error, or what a verb was asked to find), and 2 for a command line
that cannot be understood.
"""

import sys
from collections.abc import Sequence

import typer

from cli.verbs.approve import approve
from cli.verbs.audit import audit
from cli.verbs.data import data
from cli.verbs.doctor import doctor
from cli.verbs.features import features
from cli.verbs.keys import keys
from cli.verbs.models import models
from cli.verbs.predict import predict
from cli.verbs.replay import replay
from cli.verbs.rollback import rollback
from cli.verbs.routing import routing
from cli.verbs.run import run
from cli.verbs.snapshots import snapshots
from cli.verbs.status import status
from mlops_platform.errors import PlatformError
from stack.bare.installation import Refused, unusable_file

app = typer.Typer(
    help="Run pipelines, look things up, and see how the platform is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (run, approve, status, doctor, predict, features, replay, rollback, routing, audit):
    app.command()(verb)
for name, verbs in {"data": data, "snapshots": snapshots, "models": models, "keys": keys}.items():
    app.add_typer(verbs, name=name)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. A known error is one message, not a traceback.

    Args:
        arguments: what follows ``mlops``; by default this process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given, prog_name="mlops", obj=given)
    except (PlatformError, Refused) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(unusable_file(error), err=True)
        sys.exit(1)
