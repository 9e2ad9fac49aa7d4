"""MLflow: every candidate is a run with its model folder as artifacts, and a version of the use case's model."""

import contextlib
from pathlib import Path
from typing import get_args

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import Metric as MlflowMetric
from mlflow.entities import Param, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mlops_platform.errors import ModelError
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import ModelManifest
from mlops_platform.models.registry import CHAMPION
from mlops_platform.use_case.spec import Metric, UseCase
from training.quality_gate import Judgement
from training.report import Report

PREVIOUS = "previous"
"""The alias of the version that was champion before: where a rollback goes."""
MODEL_PATH = "model"
MANIFEST_TAG = "manifest_sha256"
GATE_TAG = "quality_gate"
ACCEPTED, REJECTED = "accepted", "rejected"


class Registry:
    """The registered model of each use case. Calls fail with ``MlflowException`` where MLflow does."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def register(self, folder: Path, manifest: ModelManifest, report: Report, judgement: Judgement) -> str:
        """The version of this model folder, made unless the registry has it already.

        A retry meets what its predecessor left: a version, or a run whose version was not made yet.
        """
        digest = model_manifest.manifest_sha256(folder)
        name = manifest.use_case
        with _tolerated("RESOURCE_ALREADY_EXISTS"):
            self._client.create_registered_model(name)
        for version in self._client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(MANIFEST_TAG) == digest:
                return str(version.version)
        tags = {
            "use_case": name,
            "snapshot": manifest.snapshot,
            "family": manifest.family,
            "run_id": manifest.run_id,
            "spec_hash": manifest.spec_hash,
            "git_sha": manifest.git_sha,
            MANIFEST_TAG: digest,
            GATE_TAG: ACCEPTED if judgement.accepted else REJECTED,
        }
        run = self._run(name, tags)
        self._log(run, folder, manifest, report)
        version = self._client.create_model_version(
            name, f"{run.info.artifact_uri}/{MODEL_PATH}", run_id=run.info.run_id, tags=tags
        )
        return str(version.version)

    def alias(self, use_case: str, alias: str) -> ModelVersion | None:
        """The version that the alias points at."""
        with _tolerated("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return self._client.get_model_version_by_alias(use_case, alias)
        return None

    def version(self, use_case: str, version: str) -> ModelVersion:
        """One version.

        Raises:
            ModelError: there is none; names those that there are.
        """
        with _tolerated("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return self._client.get_model_version(use_case, version)
        known = sorted(int(found.version) for found in self._client.search_model_versions(f"name = '{use_case}'"))
        raise ModelError(
            f"{use_case} has no model version {version}; registered: {', '.join(map(str, known)) or 'none yet'}",
            remedy="name one of these, or train first",
        )

    def download(self, version: ModelVersion, use_case: UseCase, target: Path) -> tuple[Path, ModelManifest]:
        """The version's model folder, copied below ``target`` and verified against the registry's digest.

        Raises:
            ModelError: the version has no digest, its files are gone, or they are not what was registered.
        """
        subject = f"version {version.version} of {use_case.name}"
        digest = version.tags.get(MANIFEST_TAG)
        if digest is None:
            raise ModelError(
                f"{subject} has no tag {MANIFEST_TAG}", remedy="promote a version that training registered"
            )
        try:
            folder = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=version.source, dst_path=str(target), tracking_uri=self._uri
                )
            )
        except (MlflowException, OSError) as error:
            raise ModelError(f"{subject} cannot be downloaded: {error}", remedy=model_manifest.REMEDY) from None
        return folder, model_manifest.verify(folder, use_case, digest)

    def point(self, use_case: str, alias: str, version: str) -> None:
        """Make the alias point at the version, in one step."""
        self._client.set_registered_model_alias(use_case, alias, version)

    def champion(self, use_case: str) -> ModelVersion | None:
        return self.alias(use_case, CHAMPION)

    def _run(self, experiment: str, tags: dict[str, str]) -> Run:
        found = self._client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else self._client.create_experiment(experiment)
        runs = self._client.search_runs([experiment_id], f"tags.{MANIFEST_TAG} = '{tags[MANIFEST_TAG]}'", max_results=1)
        if runs:
            return runs[0]
        return self._client.create_run(experiment_id, tags=tags, run_name=f"{tags['family']} {tags['snapshot']}")

    def _log(self, run: Run, folder: Path, manifest: ModelManifest, report: Report) -> None:
        run_id = run.info.run_id
        self._client.log_batch(
            run_id,
            metrics=[
                MlflowMetric(f"{prefix}{metric}", figures.value(metric), run.info.start_time, 0)
                for prefix, figures in (("", report.holdout), ("baseline_", report.baseline))
                for metric in get_args(Metric)
            ],
            params=[
                Param(key, str(value))
                for key, value in {
                    **manifest.parameters,
                    "seed": manifest.seed,
                    "threshold": manifest.threshold,
                    "training_rows": report.training_rows,
                    "holdout_rows": report.holdout_rows,
                }.items()
            ],
        )
        self._client.log_artifacts(run_id, str(folder), MODEL_PATH)
        self._client.set_terminated(run_id)


@contextlib.contextmanager
def _tolerated(*codes: str):  # type: ignore[no-untyped-def]
    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise
