"""``python -m stack.bare COMMAND``: what the shell scripts call, with any Python, before anything is installed."""

from __future__ import annotations

import argparse
import sys
from typing import Callable  # noqa: UP035 - Python 3.8

from mlops_platform.console import complain
from stack.bare.arguments import install_parser, reset_parser, start_parser, stop_parser
from stack.bare.commands import install, reset, restart, start, stop
from stack.bare.installation import Refused, UnderWay, unusable_file

COMMANDS: dict[str, tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], int]]] = {
    "install": (install_parser("python -m stack.bare install"), install),
    "start": (start_parser("./start.sh"), start),
    "stop": (stop_parser("./stop.sh"), stop),
    "restart": (start_parser("./restart.sh"), restart),
    "reset": (reset_parser("./reset.sh"), reset),
}


def main(arguments: list[str]) -> int:
    """One command with its arguments; says what is in its way."""
    parser, run = COMMANDS[arguments[0]]
    options = parser.parse_args(arguments[1:])
    try:
        return run(options)
    except (Refused, UnderWay) as error:
        complain(f"error: {error}")
        return 1
    except OSError as error:
        complain(unusable_file(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
