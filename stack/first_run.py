"""From services that run to a prediction: raw data, the pipeline through Airflow, an answer for a real id.

``python -m stack.first_run`` does it all inside a container.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from mlops_platform.clients.airflow import AWAY_SECONDS, AirflowClient
from mlops_platform.clients.prediction_service import connect
from mlops_platform.console import complain, elapsed, say, step, waiting
from mlops_platform.errors import PlatformError
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.registry import CHAMPION, ModelRegistry
from mlops_platform.online_store.published import published_store
from mlops_platform.pipelines.follow import (
    TrainingResult,
    follow_pipeline,
    follow_training,
    start_features,
    start_training,
)
from mlops_platform.settings import PlatformSettings, load_settings
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.synthetic import generators
from stack.bare.arguments import SourceFile, add_first_data
from stack.summary import summary

Report = Callable[[str], None]
Data = Mapping[str, Sequence[SourceFile]]
"""The files that use cases were given, by name."""

PIPELINE_DEADLINE = 1800.0
"""Seconds for a use case's features and training."""
SERVED_DEADLINE = 120.0
"""Seconds within which the prediction service has loaded a new champion."""
_POLL_SECONDS = 0.5


def has_champion(settings: PlatformSettings, use_case: str) -> bool:
    """Whether the registry names a champion of the use case."""
    with ModelRegistry(settings.mlflow_url) as registry:
        return CHAMPION in registry.aliases_of(use_case)


def run_first_pipeline(settings: PlatformSettings, rows: int, data: Data, report: Report) -> None:
    """Brings a champion to the default use case, if it has none or was given files.

    Args:
        rows: how many to make up where it has no data.

    Raises:
        PlatformError: the data was refused, a run failed, or its candidate was rejected by the quality gate.
    """
    use_case = settings.serving_default_use_case
    if use_case in data or not has_champion(settings, use_case):
        _provide_data(settings, use_case, data.get(use_case, []), rows)
        with waiting(f"the pipeline of {use_case}"):
            _reach_champion(settings, use_case, report)


def run_other_pipelines(settings: PlatformSettings, named: Sequence[str], data: Data, report: Report) -> None:
    """Brings a champion to other use cases than the default one, side by side, if they have none or were given files.

    Args:
        named: which; where none is, all of which data can be made up. Those that were given files come up anyway.

    Raises:
        PlatformError: as in :func:`run_first_pipeline`. One that fails keeps none of the rest from coming up.
    """
    wanted = dict.fromkeys([*(named or generators()), *data])
    others = [get_use_case(name).name for name in wanted if name != settings.serving_default_use_case]
    lacking = [name for name in others if name in data or not has_champion(settings, name)]
    if not lacking:
        return
    for name in lacking:
        _provide_data(settings, name, data.get(name, []), None)
    with waiting(f"the pipelines of {', '.join(lacking)}"), ThreadPoolExecutor(len(lacking)) as threads:
        failures = list(threads.map(lambda name: _failure(settings, name, report), lacking))
    failed = [failure for failure in failures if failure is not None]
    if failed:
        raise PlatformError(
            "; ".join(error.what for error in failed), remedy="; ".join(dict.fromkeys(error.remedy for error in failed))
        )


def _failure(settings: PlatformSettings, use_case: str, report: Report) -> PlatformError | None:
    try:
        _reach_champion(settings, use_case, report)
    except PlatformError as error:
        return error
    return None


def _provide_data(settings: PlatformSettings, use_case: str, files: Sequence[SourceFile], rows: int | None) -> None:
    """Adds the files, or makes up data where there is none; how many rows, the generator knows if nobody says."""
    if files:
        _mlops(settings, "data", "add", use_case, *map(str, files))
    elif not Lake(settings.lake_root).exists(layout.raw(use_case)):
        _mlops(settings, "data", "generate", use_case, *(["--rows", str(rows)] if rows else []))


def _reach_champion(settings: PlatformSettings, use_case: str, report: Report) -> None:
    report(f"Running the pipeline of {use_case} through Airflow ({settings.public.airflow_url})")
    training = _run_pipeline(settings, use_case, lambda line: report(f"  {line}"))
    if training.verdict is not None and not training.promoted:
        report(str(training.verdict))
    if not has_champion(settings, use_case):
        raise PlatformError(
            f"{use_case} has no champion after its pipeline: the quality gate rejected the candidate",
            remedy="see the run's log in Airflow for the rules that failed; more data helps (--rows)",
        )


def _run_pipeline(settings: PlatformSettings, use_case: str, report: Report) -> TrainingResult:
    with AirflowClient(settings, patience=AWAY_SECONDS, progress=report) as airflow:
        features_run = start_features(airflow, use_case)
        done = follow_pipeline(airflow, use_case, features_run, PIPELINE_DEADLINE, report)
        if done.training is not None:
            return done.training
        # the snapshot is there already: a start that ended before there was a champion goes on from it
        return follow_training(airflow, start_training(airflow, use_case), PIPELINE_DEADLINE, report)


def _mlops(settings: PlatformSettings, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "cli", *arguments], cwd=settings.project_root, check=False)
    if done.returncode != 0:
        raise PlatformError(f"mlops {' '.join(arguments)} failed", remedy="see the message above")


def prediction_for_real_id(settings: PlatformSettings) -> tuple[str, str]:
    """A prediction of the default use case: the URL that was asked and the body of its answer.

    Waits until the service has the champion and the snapshot.

    Raises:
        PlatformError: it has not within ``SERVED_DEADLINE`` seconds.
    """
    use_case = settings.serving_default_use_case
    lake = Lake(settings.lake_root)
    manifest = Snapshots(lake, use_case).current()
    if manifest is None:
        raise PlatformError(f"{use_case} has no published snapshot", remedy=f"mlops run {use_case} features --wait")
    with published_store(lake, manifest) as store:
        (entity_id,) = store.sample(1)
    path = f"/predict/{entity_id}"
    url = settings.serving_url + path
    end = time.monotonic() + SERVED_DEADLINE
    while True:
        found = _answer(settings, path)
        if found is not None and found.is_success:
            return settings.public.serving_url + path, found.text.strip()
        if time.monotonic() > end:
            last = "no answer" if found is None else f"{found.status_code} {found.text.strip()}"
            raise PlatformError(
                f"{url} gives no prediction after {SERVED_DEADLINE:.0f} s ({last})",
                remedy=f"see {settings.state_dir / 'log' / 'serving.log'}",
            )
        time.sleep(_POLL_SECONDS)


def _answer(settings: PlatformSettings, path: str) -> httpx.Response | None:
    try:
        with connect(settings, timeout=10) as client:
            return client.get(path)
    except httpx.TransportError:
        return None


def main(arguments: list[str]) -> int:
    """Runs the first pipelines where they have not run yet, and says what a start ends with."""
    parser = argparse.ArgumentParser(prog="python -m stack.first_run", description=__doc__)
    add_first_data(parser)
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        data = dict(options.data)
        run_first_pipeline(settings, options.rows, data, step)
        say(summary(settings.public, prediction_for_real_id(settings), elapsed()))
        run_other_pipelines(settings, options.use_cases, data, step)
    except PlatformError as error:
        complain(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
