"""Arguments and options that several verbs have."""

from typing import Annotated

import typer

from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase

UseCaseArgument = Annotated[
    UseCase, typer.Argument(parser=get_use_case, metavar="USE_CASE", help="the use case, for instance credit_risk")
]
UseCaseOption = Annotated[
    UseCase | None,
    typer.Option(
        "--use-case", parser=get_use_case, metavar="USE_CASE", help="the use case [default: the service's default]"
    ),
]
EntityId = Annotated[str, typer.Argument(metavar="ID", help="the entity's id, for instance 5008804")]
Json = Annotated[bool, typer.Option("--json", help="answer in JSON, for scripts")]
Timeout = Annotated[float, typer.Option(help="seconds to wait at most", min=1)]
