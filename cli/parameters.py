"""Arguments and options that several verbs have."""

from typing import Annotated

import typer

from cli.installation import default_use_case
from cli.verb import DEFAULT_USE_CASE, use_case_names
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase


def _use_case(text: str) -> UseCase:
    return get_use_case(default_use_case() if text == DEFAULT_USE_CASE else text)


UseCaseArgument = Annotated[
    UseCase,
    typer.Argument(
        parser=_use_case,
        metavar="USE_CASE",
        autocompletion=use_case_names,
        help="the use case [default: MLOPS_SERVING_DEFAULT_USE_CASE]",
    ),
]
"""The first argument of a verb; :class:`cli.verb.Verb` lets it be left out."""

EntityId = Annotated[str, typer.Argument(metavar="ID", help="the entity's id, for instance 5008804")]
Json = Annotated[bool, typer.Option("--json", help="answer in JSON, for scripts")]
Timeout = Annotated[float, typer.Option(help="seconds to wait at most", min=1)]
