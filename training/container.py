"""SageMaker's contract for a training container, which the local mode keeps as well: a job by the files in its folders
(:class:`mlops_platform.pipelines.training_run.JobFolders`)."""

import json
import traceback
from collections.abc import Mapping
from pathlib import Path

from mlops_platform.errors import ModelError, PlatformError
from mlops_platform.files import write_text
from mlops_platform.pipelines.training_run import CHANNEL, JobFolders
from training import model_folder, train
from training.job import from_hyperparameters
from training.register import Registrar
from training.verdict import TrainingVerdict


def run(folders: JobFolders, overrides: Mapping[str, str], registrar: Registrar | None) -> TrainingVerdict:
    """Train the job that lies in the folders. ``overrides`` go before the file of hyperparameters.

    Raises:
        PlatformError: there is no model; ``output/failure`` has the message. So it has with any other error.
    """
    folders.failure.unlink(missing_ok=True)
    try:
        job = from_hyperparameters({**_hyperparameters(folders), **overrides})
        verdict = train.run(job, _channel(folders), folders.candidates, registrar)
        model_folder.copy_model(folders.candidates / verdict.family, folders.model)
    except PlatformError as error:
        write_text(folders.failure, f"{error}\n")
        raise
    except Exception:
        write_text(folders.failure, traceback.format_exc())
        raise
    return verdict


def _hyperparameters(folders: JobFolders) -> dict[str, str]:
    remedy = 'give one JSON object of strings, such as {"use_case": "credit_risk", "snapshot": "…", "run_id": "…"}'
    if not folders.hyperparameters.exists():
        return {}
    try:
        content = json.loads(folders.hyperparameters.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folders.hyperparameters} cannot be read: {error}", remedy=remedy) from None
    if not isinstance(content, dict):
        raise ModelError(f"{folders.hyperparameters} holds no JSON object", remedy=remedy)
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}


def _channel(folders: JobFolders) -> Path:
    """The one channel there is, or the one named ``training``."""
    found = sorted(path for path in folders.channels.iterdir() if path.is_dir()) if folders.channels.is_dir() else []
    named = [path for path in found if path.name == CHANNEL]
    if len(named or found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelError(
            f"{folders.channels} has the channels: {names}", remedy=f"mount the snapshot's parquet as {CHANNEL}"
        )
    return (named or found)[0]
