"""``python -m mlops_platform.stack``: what start.sh, stop.sh, restart.sh, reset.sh and the launch commands call."""

import argparse
import os
import shlex
import sys

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PROJECT_ROOT, load_settings
from mlops_platform.stack.env_file import ensure_secrets
from mlops_platform.stack.environment import prepare_state, require_java, service_environment
from mlops_platform.stack.startup import start_services, stop_services
from mlops_platform.stack.supervision import Supervisor


def _print_environment() -> None:
    settings = load_settings()
    prepare_state(settings)
    environment = service_environment(settings, os.environ)
    for name, value in sorted(environment.items()):
        if os.environ.get(name) != value:
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _start() -> None:
    ensure_secrets(PROJECT_ROOT / ".env")
    settings = load_settings()
    prepare_state(settings)
    environment = service_environment(settings, os.environ)
    require_java(environment)
    supervisor = Supervisor.running(settings) or Supervisor.launched(settings, environment)
    start_services(settings, supervisor, print)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mlops_platform.stack", description=__doc__)
    parser.add_argument("command", choices=["environment", "start", "stop"])
    command = parser.parse_args().command
    try:
        if command == "environment":
            _print_environment()
        elif command == "start":
            _start()
        else:
            print(f"{stop_services(load_settings())} processes stopped")
    except PlatformError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
