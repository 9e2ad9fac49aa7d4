"""``python -m stack``: the commands of the shell scripts, run in the project's environment."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from mlops_platform.console import complain, say
from mlops_platform.errors import PlatformError
from mlops_platform.services.environment import prepare_state, require_java, service_environment
from mlops_platform.services.table import is_usable, services
from mlops_platform.settings import PROJECT_ROOT, PlatformSettings, load_settings
from stack.bare.bootstrap import start_arguments
from stack.bare.env_file import ensure_secrets
from stack.bare.installation import UnderWay, lock
from stack.first_run import has_champion, prediction_for_real_id, run_first_pipelines
from stack.startup import start_services, stop_services
from stack.summary import summary
from stack.supervision import Supervisor


def start(arguments: list[str]) -> None:
    """Brings everything up and ends with a prediction; on a running platform it only says so."""
    options = start_arguments().parse_args(arguments)
    files = dict(_named_file(given) for given in options.data)
    ensure_secrets(PROJECT_ROOT / ".env")
    settings = load_settings()
    with lock(settings.state_dir):
        supervisor = Supervisor.running(settings)
        if supervisor is not None and _is_complete(settings, supervisor):
            say("The platform is already running; nothing was changed.")
        else:
            _bring_up(settings, supervisor)
            run_first_pipelines(settings, options.rows, files, say)
        say(summary(settings, prediction_for_real_id(settings)))


def _named_file(given: str) -> tuple[str, Path]:
    use_case, separator, file = given.partition("=")
    # The scripts work in the project's folder; a file is meant as seen from where they were called.
    path = Path(os.environ.get("MLOPS_CALLED_FROM", "."), file).resolve()
    if not separator or not path.is_file():
        raise PlatformError(f"--data {given}: no such file", remedy="give it as --data USE_CASE=FILE")
    return use_case, path


def _is_complete(settings: PlatformSettings, supervisor: Supervisor) -> bool:
    lasting = [service for service in services(settings) if service.usable is not None]
    running = all(supervisor.state(service.name)[0] in ("STARTING", "RUNNING") for service in lasting)
    return (
        running
        and all(is_usable(service, settings) for service in lasting)
        and has_champion(settings, settings.serving_default_use_case)
    )


def _bring_up(settings: PlatformSettings, supervisor: Supervisor | None) -> None:
    if supervisor is None:
        stop_services(settings)  # leftovers of a supervisord that was killed
        shutil.rmtree(settings.state_dir / "tmp", ignore_errors=True)
    prepare_state(settings)
    environment = service_environment(settings, os.environ)
    require_java(environment)
    if supervisor is None:
        supervisor = Supervisor.launched(settings, environment)
    say("Starting the services")
    start_services(settings, supervisor, say)


def stop(_arguments: list[str]) -> None:
    """Stops everything and keeps the data."""
    settings = load_settings()
    with lock(settings.state_dir):
        stopped = stop_services(settings)
    say(f"Stopped ({stopped} processes); all data is kept." if stopped else "Nothing is running.")


COMMANDS: dict[str, Callable[[list[str]], None]] = {"start": start, "stop": stop}


def main(arguments: list[str]) -> int:
    """One command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args(arguments[:1]).command](arguments[1:])
    except (PlatformError, UnderWay) as error:
        complain(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
