"""MLflow: every candidate is a run with its model folder as artifacts, and a version of the use case's model."""

from mlflow import MlflowClient
from mlflow.entities import Metric as MlflowMetric
from mlflow.entities import Param, Run

from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.registry import (
    FAMILY_TAG,
    MANIFEST_TAG,
    NOT_COMPILED_TAG,
    RUN_TAG,
    SPEC_HASH_TAG,
    SUPERSEDES_TAG,
    VERDICT_TAG,
    ModelRegistry,
)
from mlops_platform.models.verdict import Decision
from training.model_folder import CandidateModel

MODEL_PATH = "model"


class Registrar:
    """Puts models into the registry of one MLflow server; the runs behind them are logged by MLflow's own client.

    Calls fail with ``RegistryDown`` or ``MlflowException`` where MLflow does.
    """

    def __init__(self, uri: str) -> None:
        self.registry = ModelRegistry(uri)
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def register(self, model: CandidateModel, decision: Decision, supersedes: str | None) -> str:
        """The version of this model folder, made unless the registry has it already. Its verdict is that of today.

        A retry meets what its predecessor left: a version, or a run whose version was not made yet.

        Args:
            supersedes: the digest of the model whose place as the best this one takes when it is promoted.
        """
        name, digest = model.manifest.use_case, model_manifest.manifest_sha256(model.folder)
        self.registry.create_model(name)
        version = self.registry.with_digest(name, digest)
        number = version.version if version else self._create(model, digest)
        if supersedes is None:
            self.registry.delete_tag(name, number, SUPERSEDES_TAG)
        else:
            self.registry.set_tag(name, number, SUPERSEDES_TAG, supersedes)
        # last: without a verdict nothing is promoted
        self.registry.set_tag(name, number, VERDICT_TAG, decision)
        return number

    def _create(self, model: CandidateModel, digest: str) -> str:
        manifest = model.manifest
        tags = {
            "use_case": manifest.use_case,
            "snapshot": manifest.snapshot,
            FAMILY_TAG: manifest.family,
            RUN_TAG: manifest.run_id,
            SPEC_HASH_TAG: manifest.spec_hash,
            "git_sha": manifest.git_sha,
            MANIFEST_TAG: digest,
            **({} if manifest.not_compiled is None else {NOT_COMPILED_TAG: manifest.not_compiled}),
        }
        run = self._run(manifest.use_case, tags)
        self._log(run, model)
        source = f"{run.info.artifact_uri}/{MODEL_PATH}"
        return self.registry.create_version(manifest.use_case, source, run.info.run_id, tags).version

    def _run(self, experiment: str, tags: dict[str, str]) -> Run:
        found = self._client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else self._client.create_experiment(experiment)
        runs = self._client.search_runs([experiment_id], f"tags.{MANIFEST_TAG} = '{tags[MANIFEST_TAG]}'", max_results=1)
        if runs:
            return runs[0]
        return self._client.create_run(experiment_id, tags=tags, run_name=f"{tags[FAMILY_TAG]} {tags['snapshot']}")

    def _log(self, run: Run, model: CandidateModel) -> None:
        run_id, manifest, report = run.info.run_id, model.manifest, model.report
        figures = [("", report.holdout.values()), ("baseline_", report.baseline.values())]
        if report.cross_validation is not None:
            figures.append(("cross_validation_", report.cross_validation.mean))
        self._client.log_batch(
            run_id,
            metrics=[
                MlflowMetric(f"{prefix}{metric}", value, run.info.start_time, 0)
                for prefix, by_metric in figures
                for metric, value in by_metric.items()
            ],
            params=[
                Param(key, str(value))
                for key, value in {
                    **manifest.parameters,
                    "seed": manifest.seed,
                    **({} if manifest.threshold is None else {"threshold": manifest.threshold}),
                    "training_rows": report.training_rows,
                    "holdout_rows": report.holdout_rows,
                }.items()
            ],
        )
        self._client.log_artifacts(run_id, str(model.folder), MODEL_PATH)
        self._client.set_terminated(run_id)
