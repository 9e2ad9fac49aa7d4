"""``python -m stack``: the commands of the shell scripts, run in the project's environment."""

import argparse
import os
import shutil
import sys

from mlops_platform.console import begin, complain, elapsed, say, step
from mlops_platform.errors import PlatformError
from mlops_platform.services.environment import prepare_state, require_java, service_environment
from mlops_platform.services.table import is_usable, services
from mlops_platform.settings import PROJECT_ROOT, PlatformSettings, load_settings
from mlops_platform.state import bring_up_to_date
from stack.bare.arguments import add_first_data
from stack.bare.env_file import ensure_secrets
from stack.bare.installation import UnderWay, lock, unusable_file
from stack.first_run import has_champion, prediction_for_real_id, run_first_pipeline, run_other_pipelines
from stack.logs import SUPERVISOR
from stack.startup import start_services, stop_services
from stack.summary import summary
from stack.supervision import Supervisor


def start(options: argparse.Namespace) -> None:
    """Brings everything up and ends with a prediction; on a running platform it only says so."""
    ensure_secrets(PROJECT_ROOT / ".env")
    settings = load_settings()
    with lock(settings.state_dir):
        supervisor = Supervisor.running(settings)
        if supervisor is not None and _is_complete(settings, supervisor):
            say("The platform is already running; nothing was changed.")
        else:
            _bring_up(settings, supervisor)
            run_first_pipeline(settings, options.rows, dict(options.data), step)
        say(summary(settings, prediction_for_real_id(settings), elapsed()))
        run_other_pipelines(settings, options.use_cases, dict(options.data), step)


def _is_complete(settings: PlatformSettings, supervisor: Supervisor) -> bool:
    lasting = [service for service in services(settings) if service.usable is not None]
    return (
        supervisor.is_up_to_date()
        and all(supervisor.process(service.name).state in ("STARTING", "RUNNING") for service in lasting)
        and all(is_usable(service, settings) for service in lasting)
        and has_champion(settings, settings.serving_default_use_case)
    )


def _bring_up(settings: PlatformSettings, supervisor: Supervisor | None) -> None:
    if supervisor is None:
        stop_services(settings)  # leftovers of a supervisord that was killed
        shutil.rmtree(settings.state_dir / "tmp", ignore_errors=True)
        for line in bring_up_to_date(settings):
            say(line)
    prepare_state(settings)
    environment = service_environment(settings, os.environ)
    require_java(environment)
    if supervisor is None:
        supervisor = Supervisor.launched(settings, environment)
    else:
        supervisor.update()
    step("Starting the services")
    start_services(settings, supervisor, step)


def revive(options: argparse.Namespace) -> None:
    """Starts all services anew after their supervisor was killed; leaves alone what was stopped or runs again."""
    begin()
    settings = load_settings()
    with lock(settings.state_dir):
        # a stop ends the watcher, which has started this, before it gives up the lock
        if os.getppid() == options.watcher and Supervisor.running(settings) is None:
            step(f"{SUPERVISOR} is gone: it and all services are started anew")
            _bring_up(settings, None)


def stop(_options: argparse.Namespace) -> None:
    """Stops everything and keeps the data."""
    settings = load_settings()
    with lock(settings.state_dir):
        stopped = stop_services(settings)
    say(f"Stopped ({stopped} processes); all data is kept." if stopped else "Nothing is running.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    commands = parser.add_subparsers(required=True)
    starting = commands.add_parser("start", help="bring everything up")
    starting.set_defaults(run=start)
    add_first_data(starting)
    reviving = commands.add_parser("revive", help="bring the services up again after their supervisor was killed")
    reviving.set_defaults(run=revive)
    reviving.add_argument("watcher", type=int, help="the process that asks for it")
    commands.add_parser("stop", help="stop everything").set_defaults(run=stop)
    return parser


def main(arguments: list[str]) -> int:
    """One command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (PlatformError, UnderWay) as error:
        complain(f"error: {error}")
        return 1
    except OSError as error:
        complain(unusable_file(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
