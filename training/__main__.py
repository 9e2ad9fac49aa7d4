"""The training entry point: ``train``, ``promote`` and ``rollback``.

``train --use-case U --snapshot S --run-id R`` trains on a snapshot of this machine's lake; ``train`` alone, as a
container is started, trains what lies below ``/opt/ml``. Both go through :mod:`training.container`. The verdict or
promotion is the last line of the standard output, as JSON; all else goes to the error output.

The exit code is 0 for every verdict: a rejected candidate is a result, not a failure. It is 75 where another attempt
may succeed by itself, and 1 where somebody has to mend something first.
"""

import argparse
import contextlib
import logging
import os
import sys
from pathlib import Path

# before MLflow is imported: a local platform reports to nobody
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.models.promotion import promote, roll_back
from mlops_platform.models.registry import ModelRegistry
from mlops_platform.pipelines.training_run import OPT_ML, JobFolders
from mlops_platform.settings import load_settings
from mlops_platform.use_case.find import get_use_case
from training import container, local_run
from training.job import REQUIRED
from training.register import Registrar
from training.verdict import TrainingVerdict

TRACKING_URI = "MLFLOW_TRACKING_URI"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        # MLflow prints greetings
        with contextlib.redirect_stdout(sys.stderr):
            result = _run(options)
    except PlatformError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return os.EX_TEMPFAIL if error.transient else 1
    except MlflowException as error:
        print(f"error: MLflow: {error}. Remedy: see that it runs: mlops status", file=sys.stderr)  # noqa: T201
        return os.EX_TEMPFAIL
    print(result.model_dump_json(), flush=True)  # noqa: T201
    return 0


def _run(options: argparse.Namespace) -> BaseModel:
    if options.command == "train":
        job = {name: value for name in REQUIRED if (value := getattr(options, name))}
        return _train_in_container(options.prefix, job) if _is_container(options) else _train_in_lake(job)
    use_case = get_use_case(options.use_case)
    with ModelRegistry(os.environ.get(TRACKING_URI) or load_settings().mlflow_url) as registry:
        if options.command == "promote":
            return promote(registry, use_case, options.version)
        return roll_back(registry, use_case)


def _is_container(options: argparse.Namespace) -> bool:
    return options.prefix is not None or not options.use_case or (OPT_ML.prefix / "input").is_dir()


def _train_in_container(prefix: Path | None, job: dict[str, str]) -> TrainingVerdict:
    """Registers the candidates only where an MLflow server is named: in the cloud there is none."""
    uri = os.environ.get(TRACKING_URI)
    return container.run(OPT_ML if prefix is None else JobFolders(prefix), job, Registrar(uri) if uri else None)


def _train_in_lake(job: dict[str, str]) -> TrainingVerdict:
    missing = [f"--{name.replace('_', '-')}" for name in REQUIRED if name not in job]
    if missing:
        raise PlatformError(f"train lacks {', '.join(missing)}", remedy="give all three, or none in a container")
    settings = load_settings()
    registrar = Registrar(os.environ.get(TRACKING_URI) or settings.mlflow_url)
    return local_run.train(
        Lake(settings.lake_root),
        get_use_case(job["use_case"]),
        job["snapshot"],
        job["run_id"],
        git_sha=settings.git_sha,
        work=settings.state_dir / "training",
        registrar=registrar,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="fit, judge and register the candidates of a use case")
    train.add_argument("--use-case")
    train.add_argument("--snapshot", help="the snapshot's id")
    train.add_argument("--run-id", help="the run that this belongs to; the same run again is a retry")
    train.add_argument("--prefix", type=Path, help=f"SageMaker's folders, instead of {OPT_ML.prefix}")
    promotion = commands.add_parser("promote", help="make a version the champion")
    promotion.add_argument("--use-case", required=True)
    promotion.add_argument("--version", required=True)
    rollback = commands.add_parser("rollback", help="make the previous champion the champion again")
    rollback.add_argument("--use-case", required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
