"""What every verb has in common: its use case may be left out, and its help ends with examples."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from mlops_platform.use_case.find import find_use_cases

DEFAULT_USE_CASE = ""
"""Stands for the use case that was left out, until somebody asks which one that is."""


_Function = TypeVar("_Function", bound=Callable[..., None])


def verb(app: typer.Typer, *examples: str, name: str | None = None) -> Callable[[_Function], _Function]:
    """Make a function a verb of this app.

    Args:
        examples: command lines, which its help ends with.
        name: by default the function's.
    """
    return app.command(name, cls=Verb, epilog="\n".join(examples))


class Verb(TyperCommand):
    """A verb whose first argument, where it is a use case, may be left out: then it is the default one.

    Its epilog is examples, one command to a line.
    """

    def __init__(self, name: str | None, **given: Any) -> None:
        super().__init__(name, **given)
        if self._takes_use_case():
            self.params[0].required = False  # as the help has it; when it is parsed it is there

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if ctx.resilient_parsing else self._with_use_case(ctx, args))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            with formatter.section("Examples"):
                for example in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")

    def _with_use_case(self, ctx: Any, args: list[str]) -> list[str]:
        """The command line with something in the place of a use case that was left out."""
        if not self._takes_use_case():
            return args
        names = [param.name for param in self.params if param.param_type_name == "argument"]
        values, extra, _ = self.make_parser(ctx).parse_args(args=list(args))
        given = [value for name in names for value in _values(values.get(name))] + extra
        # `mlops predict credit_risk` lacks an id: it does not ask for the id credit_risk
        if len(given) >= len(names) or (given and given[0] in use_case_names()):
            return args
        return [DEFAULT_USE_CASE, *args]

    def _takes_use_case(self) -> bool:
        return any(one.name == "use_case" and one.param_type_name == "argument" for one in self.params[:1])


def _values(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """What an argument was given: nothing, a value, or several where it takes as many as there are."""
    return (given,) if isinstance(given, str) else given or ()


def use_case_names() -> list[str]:
    """Of all that there are, the broken ones too."""
    found = find_use_cases()
    return sorted({*(use_case.name for use_case in found.usable), *(error.name for error in found.broken)})
