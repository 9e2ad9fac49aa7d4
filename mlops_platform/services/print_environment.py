"""``python -m mlops_platform.services.print_environment``: the environment of services, for a shell to evaluate."""

import os
import shlex
import sys

from mlops_platform.console import complain, say
from mlops_platform.errors import PlatformError
from mlops_platform.services.environment import prepare_state, service_environment
from mlops_platform.settings import load_settings


def main() -> int:
    """Makes the state's folders, and prints what the environment lacks as ``export`` lines."""
    try:
        settings = load_settings()
        prepare_state(settings)
        environment = service_environment(settings, os.environ)
    except PlatformError as error:
        complain(f"error: {error}")
        return 1
    for name, value in sorted(environment.items()):
        if os.environ.get(name) != value:
            say(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
