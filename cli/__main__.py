"""``mlops``: the platform from the command line. Results go to stdout, progress and errors to stderr."""

import dataclasses
import datetime as dt
import enum
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import as_json, replay_text, results_content, results_text, status_text, table
from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.clients.prediction_service import PredictionService
from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.registry import ModelRegistry
from mlops_platform.models.routing import Routing
from mlops_platform.pipelines.follow import (
    FeaturesResult,
    TrainingResult,
    answer_approval,
    follow_training,
    run_pipeline,
    start_features,
    start_training,
)
from mlops_platform.pipelines.rollback import roll_back
from mlops_platform.services.doctor import examine
from mlops_platform.services.status import platform_status
from mlops_platform.settings import PROJECT_ROOT, load_settings
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.synthetic import get_generator
from stack.bare import compose
from stack.bare.installation import Refused

app = typer.Typer(
    help="Run pipelines, look things up, and see how the platform is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Raw datasets: numbered versions of what arrived.", no_args_is_help=True)
snapshots = typer.Typer(help="Snapshots of features: what is published, and going back.", no_args_is_help=True)
models = typer.Typer(help="Registered models.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(snapshots, name="snapshots")
app.add_typer(models, name="models")

UseCaseArgument = Annotated[str, typer.Argument(help="the use case, for instance credit_risk")]
UseCaseOption = Annotated[str | None, typer.Option("--use-case", help="the use case [default: the service's default]")]
Json = Annotated[bool, typer.Option("--json", help="answer in JSON, for scripts")]
Timeout = Annotated[float, typer.Option(help="seconds to wait at most", min=1)]
EntityId = Annotated[str, typer.Argument(metavar="ID", help="the entity's id, for instance 5008804")]


class Pipeline(enum.StrEnum):
    """What can be run."""

    FEATURES = "features"
    TRAINING = "training"


@app.command()
def run(
    use_case: UseCaseArgument,
    pipeline: Annotated[Pipeline, typer.Argument(help="features: and the training that follows; training: by itself")],
    *,
    dataset_version: Annotated[int, typer.Option(min=0, help="features: the dataset; 0 is the latest")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="features: compute and check all, write nothing")] = False,
    snapshot: Annotated[str | None, typer.Option(help="training: the snapshot [default: the published one]")] = None,
    require_approval: Annotated[
        bool, typer.Option("--require-approval", help="training: a person decides before the promotion")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="wait for the end and say what came of it")] = True,
    timeout: Timeout = 1800,
    json: Json = False,
) -> None:
    """Run a pipeline through Airflow.

    A features run that publishes a snapshot starts the training, and --wait follows it as well. A rejected candidate is
    a result, not an error: the exit code is 0, and the failed rules are named.
    """
    settings, spec = load_settings(), get_use_case(use_case)
    if pipeline is Pipeline.FEATURES and (snapshot or require_approval):
        raise typer.BadParameter("--snapshot and --require-approval belong to the training pipeline")
    if pipeline is Pipeline.TRAINING and (dataset_version or dry_run):
        raise typer.BadParameter("--dataset-version and --dry-run belong to the features pipeline")
    if pipeline is Pipeline.FEATURES and wait:
        result = run_pipeline(settings, spec.name, dataset_version, _progress, timeout, dry_run=dry_run)
        _show_results(result.features, result.training, json=json)
        return
    with AirflowClient(settings) as airflow:
        if pipeline is Pipeline.FEATURES:
            started = start_features(airflow, spec.name, dataset_version=dataset_version, dry_run=dry_run)
        else:
            started = start_training(airflow, spec.name, snapshot=snapshot, require_approval=require_approval)
            if wait:
                training = follow_training(airflow, spec.name, started, timeout, _progress)
                _show_results(None, training, json=json)
                return
        if json:
            typer.echo(as_json({"dag_id": started.dag_id, "run_id": started.run_id, "state": started.state}))
        else:
            typer.echo(f"started {started.run_id}: {airflow.run_url(started)}")


@app.command()
def approve(
    use_case: UseCaseArgument,
    reject: Annotated[bool, typer.Option("--reject", help="leave the champion as it is")] = False,
    timeout: Timeout = 1800,
) -> None:
    """Let a trained model be promoted, or reject it.

    Answers the training run that asks for an approval, and waits for one that still trains.
    """
    settings, spec = load_settings(), get_use_case(use_case)
    with AirflowClient(settings) as airflow:
        answered = answer_approval(airflow, spec.name, approve=not reject, timeout=timeout, progress=_progress)
    typer.echo(f"{'rejected' if reject else 'approved'}: {answered.subject} ({answered.run_id})")


@app.command()
def status(*, json: Json = False) -> None:
    """Show what runs and what is published."""
    found = platform_status(load_settings())
    if json:
        typer.echo(as_json(dataclasses.asdict(found)))
    else:
        typer.echo(status_text(found))


@app.command()
def doctor(*, json: Json = False) -> None:
    """Find what is wrong, and how to mend it.

    Checks the services, the disk, the DAG files, and that snapshot, Hive and online store agree. The exit code is 1 if
    anything is wrong.
    """
    findings = examine(load_settings(), dt.datetime.now(dt.UTC))
    if json:
        typer.echo(as_json([dataclasses.asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.subject}: {finding.what}. Remedy: {finding.remedy}")
        if not findings:
            typer.echo("nothing is wrong")
    if findings:
        raise typer.Exit(1)


@app.command()
def predict(entity_id: EntityId, use_case: UseCaseOption = None) -> None:
    """Ask the prediction service for the prediction of one id."""
    service, name = _service_for(use_case)
    typer.echo(as_json(service.prediction(name, entity_id)))


@app.command()
def features(entity_id: EntityId, use_case: UseCaseOption = None) -> None:
    """Ask the prediction service for the latest features of one id."""
    service, name = _service_for(use_case)
    typer.echo(as_json(service.features(name, entity_id)))


@app.command()
def replay(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="the request_id of an earlier answer")],
    *,
    json: Json = False,
) -> None:
    """Give an earlier answer again, from the snapshot and the model of that time.

    The exit code is 1 if it is not the one that the prediction log has.
    """
    found = PredictionService(load_settings()).replay(request_id)
    typer.echo(as_json(found) if json else replay_text(found))
    if not all(answer["same"] for answer in found["answers"]):
        raise typer.Exit(1)


@app.command()
def rollback(
    use_case: UseCaseArgument,
    to: Annotated[
        str | None, typer.Option(help="the version [default: the champion before]", metavar="VERSION")
    ] = None,
) -> None:
    """Make an earlier model the champion again, in the registry and in the prediction service."""
    done = PredictionService(load_settings()).roll_back(get_use_case(use_case).name, to)
    typer.echo(f"champion is version {done.champion}, before it was {done.before or 'none'}")


@app.command()
def routing(
    use_case: UseCaseArgument,
    *,
    challenger_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="share of the ids that the challenger answers, by id")
    ] = None,
    shadow: Annotated[
        bool | None, typer.Option("--shadow/--no-shadow", help="the challenger predicts beside, for the log only")
    ] = None,
    json: Json = False,
) -> None:
    """Show who answers, the champion or the challenger; with an option, set it while the service runs."""
    service, name = PredictionService(load_settings()), get_use_case(use_case).name
    found = service.routing(name)
    share = found.challenger_share if challenger_share is None else challenger_share
    wanted = Routing(challenger_share=share, shadow=found.shadow if shadow is None else shadow)
    if wanted != found:
        found = service.set_routing(name, wanted)
    if json:
        typer.echo(as_json(found.model_dump()))
    else:
        typer.echo(f"the challenger answers {found.challenger_share:.6g} of the ids")
        typer.echo(f"shadow predictions are {'on' if found.shadow else 'off'}")


@data.command("generate")
def generate_data(
    use_case: UseCaseArgument,
    rows: Annotated[int, typer.Option(min=1, help="how many raw rows")] = 100_000,
    seed: Annotated[int | None, typer.Option(help="the same seed gives the same file [default: the spec's]")] = None,
) -> None:
    """Make up raw data with the character of the real data, and add it as a dataset."""
    settings, spec = load_settings(), get_use_case(use_case)
    generator = get_generator(spec.name)
    seed = spec.seed if seed is None else seed
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.state_dir) as folder:
        file = Path(folder) / f"generated-{rows}-rows-seed-{seed}.csv"
        generator.write_csv(file, rows, seed)
        _add(spec.name, file)


@data.command("add")
def add_data(
    use_case: UseCaseArgument,
    file: Annotated[Path, typer.Argument(help="a CSV file with the columns of the use case, plain or gzip")],
) -> None:
    """Take a file in as the next dataset version. The same bytes twice are one version."""
    _add(get_use_case(use_case).name, file)


@data.command("list")
def list_data(use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the dataset versions, the oldest first."""
    spec = get_use_case(use_case)
    found = [one.model_dump() for one in Datasets(Lake(load_settings().lake_root), spec).list()]
    _show_rows(found, ("version", "rows", "arrived_at", "source", "sha256"), json=json)


@snapshots.command("list")
def list_snapshots(use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the kept snapshots, the newest first; the published one is marked."""
    found = Snapshots(Lake(load_settings().lake_root), get_use_case(use_case).name)
    current = found.current()
    rows = [
        {"published": "*" if current and current.snapshot == one.snapshot else "", **one.model_dump()}
        for one in found.published()
    ]
    _show_rows(rows, ("published", "snapshot", "dataset_version", "rows", "entities", "created_at"), json=json)


@snapshots.command("rollback")
def rollback_snapshot(
    use_case: UseCaseArgument,
    to: Annotated[str | None, typer.Option(help="the snapshot [default: the one before the published one]")] = None,
) -> None:
    """Publish a kept snapshot again. The champion stays as it is."""
    manifest = roll_back(load_settings(), get_use_case(use_case), to)
    typer.echo(f"published is {manifest.snapshot} of dataset {manifest.dataset_version}")


@models.command("list")
def list_models(use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the registered versions, the newest first."""
    with ModelRegistry(load_settings().mlflow_url) as registry:
        found = registry.versions(get_use_case(use_case).name)
    rows = [{**dataclasses.asdict(one), "aliases": ", ".join(one.aliases)} for one in found]
    rows = [{**row, "family": row["tags"].get("family", "")} for row in rows]
    _show_rows(rows, ("version", "aliases", "family", "created_at"), json=json)


def _add(use_case: str, file: Path) -> None:
    datasets = Datasets(Lake(load_settings().lake_root), get_use_case(use_case))
    before = {known.version for known in datasets.list()}
    manifest = datasets.add(file)
    known = ", which was there already" if manifest.version in before else ""
    typer.echo(f"dataset {manifest.version} of {use_case}: {manifest.rows} rows{known}")


def _service_for(use_case: str | None) -> tuple[PredictionService, str]:
    settings = load_settings()
    return PredictionService(settings), get_use_case(use_case or settings.serving_default_use_case).name


def _show_results(features: FeaturesResult | None, training: TrainingResult | None, *, json: bool) -> None:
    typer.echo(as_json(results_content(features, training)) if json else results_text(features, training))


def _show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    typer.echo(as_json(rows) if json else table(rows, columns))


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. A known error is one message, not a traceback."""
    try:
        if load_settings().mode == "docker":  # the lake and the services are in containers, and so is the work
            sys.exit(compose.mlops(PROJECT_ROOT, list(sys.argv[1:] if arguments is None else arguments)))
        app(arguments)
    except (PlatformError, Refused) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
