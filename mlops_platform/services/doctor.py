"""Is everything as it should be? Each check looks at one thing and returns what is wrong with it and how to mend it."""

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.lake.tables import latest_view
from mlops_platform.models.registry import CHAMPION, ModelRegistry
from mlops_platform.online_store.published import published_store
from mlops_platform.services.health import HealthReport, read_report
from mlops_platform.services.table import API_SERVER, SCHEDULER, WATCHER
from mlops_platform.settings import PlatformSettings
from mlops_platform.transform.compile import TransformError, still_holds
from mlops_platform.transform.kept import read_kept
from mlops_platform.use_case.find import find_use_cases
from mlops_platform.use_case.spec import UseCase

LEAST_FREE_DISK = 2 * 1024**3
"""Bytes: a feature run at full size needs about half of it."""
SAMPLED_IDS = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    subject: str
    what: str
    remedy: str


def examine(settings: PlatformSettings, now: dt.datetime) -> list[Finding]:
    """Every finding; none on a sound platform. A check that needs a service that is down is left out."""
    return [*examine_services(settings, now), *examine_data(settings, now)]


def examine_services(settings: PlatformSettings, now: dt.datetime) -> list[Finding]:
    """What the watcher has seen, and the disk: needs no service, and no container."""
    try:
        report = read_report(settings)
    except PlatformError as error:
        return [Finding("watcher", error.what, error.remedy), *_disk(settings)]
    if report is None:
        return [Finding("platform", "it was never started", "start it with ./start.sh"), *_disk(settings)]
    if report.watcher_is_away(now):
        what = f"it has not looked at the platform since {report.at:%Y-%m-%d %H:%M:%S} UTC"
        remedy = f"if the platform was stopped, start it with ./start.sh; if not, {_see_log(settings, WATCHER)}"
        return [Finding(WATCHER, what, remedy), *_disk(settings)]
    return [
        *(
            Finding(one.name, f"does not answer, for {one.seconds:.0f} s", _see_log(settings, one.name))
            for one in report.services
            if not one.usable
        ),
        *(
            Finding("airflow", f"{one.subject} {one.what}, for {one.seconds:.0f} s", _see_log(settings, SCHEDULER))
            for one in report.lasting_standstills
        ),
        *_disk(settings),
    ]


def _see_log(settings: PlatformSettings, service: str) -> str:
    if settings.mode == "local":
        return f"see {settings.state_dir / 'log' / f'{service}.log'}, then ./restart.sh"
    return f"see `docker compose logs {service}`, then ./restart.sh"


def examine_data(settings: PlatformSettings, now: dt.datetime) -> list[Finding]:
    """Whether DAG files, lake, Hive, online stores and registry agree: asked now, since the watcher does not."""
    try:
        report = read_report(settings)
    except PlatformError:
        report = None  # said by examine_services
    fresh = report if report is not None and not report.watcher_is_away(now) else HealthReport(at=now)
    findings = list(_dag_files(settings)) if fresh.usable(API_SERVER) else []
    use_cases = find_use_cases()
    findings += [Finding(f"use case {error.name}", error.what, error.remedy) for error in use_cases.broken]
    lake = Lake(settings.lake_root)
    for use_case in use_cases.usable:
        manifest = checked_at = None
        try:
            snapshots = Snapshots(lake, use_case.name)
            manifest, checked_at = snapshots.current(), snapshots.checked_at()
        except PlatformError as error:
            findings.append(Finding(use_case.name, error.what, error.remedy))
        except OSError as error:
            findings.append(Finding("lake", f"it cannot be read ({error.strerror})", "see that the disk is well"))
        if manifest is not None:
            findings += _age(use_case, manifest, checked_at or manifest.created_at, now)
            findings += _snapshot(lake, use_case, manifest)
            findings += _redis(settings, use_case, manifest)
            if fresh.usable("hive-server"):
                findings += _hive(settings, lake, use_case, manifest)
            if fresh.usable("mlflow"):
                findings += _champion(settings, use_case)
    return findings


def _disk(settings: PlatformSettings) -> Iterator[Finding]:
    folder = settings.state_dir if settings.state_dir.exists() else settings.project_root
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_DISK:
        yield Finding(
            "disk",
            f"{free / 1024**3:.1f} GiB are free at {folder}, {LEAST_FREE_DISK / 1024**3:.0f} are needed",
            "free some, or keep fewer snapshots (MLOPS_SNAPSHOTS_KEPT in .env)",
        )


def _dag_files(settings: PlatformSettings) -> Iterator[Finding]:
    try:
        with AirflowClient(settings) as airflow:
            errors = airflow.import_errors()
    except PlatformError as error:
        yield Finding("airflow", error.what, error.remedy)
        return
    for broken in errors:
        yield Finding("airflow", f"a DAG file cannot be read: {broken}", "correct the file; Airflow reads it again")


def _age(use_case: UseCase, manifest: SnapshotManifest, checked_at: dt.datetime, now: dt.datetime) -> Iterator[Finding]:
    age = now - checked_at
    if age > dt.timedelta(days=use_case.stale_after_days):
        days = age / dt.timedelta(days=1)
        what = f"no run has looked for newer data for {days:.1f} days, {use_case.stale_after_days} are allowed"
        yield Finding(_subject(use_case, manifest), what, f"run the pipeline: mlops run {use_case.name} features")


def _snapshot(lake: Lake, use_case: UseCase, manifest: SnapshotManifest) -> Iterator[Finding]:
    again = f"publish anew: mlops run {use_case.name} features --force"
    subject = _subject(use_case, manifest)
    if not lake.exists(manifest.features_path):
        yield Finding(subject, f"its features {manifest.features_path} are missing", again)
    # one of before there were fingerprints has its spec's digest by another formula
    if manifest.transform is not None and manifest.spec_hash != use_case.spec_hash:
        yield Finding(subject, "it was computed for another version of the use case's spec", again)
    try:
        kept = read_kept(lake, manifest)
        if kept is not None and not still_holds(kept, use_case):
            yield Finding(subject, "it was computed by other formulas than those of features.py", again)
    except TransformError as error:
        yield Finding(use_case.name, error.what, error.remedy)
    except PlatformError as error:
        yield Finding(subject, error.what, again)
    try:
        with published_store(lake, manifest) as store:
            if len(store) != manifest.entities:
                what = f"the online store holds {len(store)} entities, the snapshot has {manifest.entities}"
                yield Finding(subject, what, again)
    except PlatformError as error:
        yield Finding(subject, error.what, again)
    except OSError as error:
        yield Finding(subject, f"its online store cannot be read ({error.strerror})", "see that the disk is well")


def _subject(use_case: UseCase, manifest: SnapshotManifest) -> str:
    return f"{use_case.name} snapshot {manifest.snapshot}"


def _redis(settings: PlatformSettings, use_case: UseCase, manifest: SnapshotManifest) -> Iterator[Finding]:
    if settings.online_store_url is None:
        return
    from mlops_platform.online_store.redis import RedisStore  # noqa: PLC0415 - not every image has Redis' client

    url = settings.online_store_url.get_secret_value()
    try:
        RedisStore(url, use_case.name, manifest.snapshot, manifest.attempt).close()
    except PlatformError as error:
        yield Finding(f"{use_case.name} in Redis", error.what, error.remedy)


def _hive(settings: PlatformSettings, lake: Lake, use_case: UseCase, manifest: SnapshotManifest) -> Iterator[Finding]:
    from mlops_platform.online_store.hive import HiveStore  # noqa: PLC0415 - not every image has PyHive

    subject = latest_view(use_case)
    publish = f"mlops snapshots rollback {use_case.name} --to {manifest.snapshot}"
    hive = HiveStore(settings.hiveserver2_host, settings.hiveserver2_port, use_case)
    try:
        if hive.snapshot != manifest.snapshot:
            what = f"the view shows the snapshot {hive.snapshot}, published is {manifest.snapshot}"
            yield Finding(subject, what, f"point the views at it again: {publish}")
            return
        with published_store(lake, manifest) as store:
            ids = store.sample(SAMPLED_IDS)
            online = store.get_many(ids)
        different = [id_ for id_, row, other in zip(ids, online, hive.get_many(ids), strict=True) if row != other]
    except PlatformError as error:
        yield Finding(subject, error.what, error.remedy)
        return
    if different:
        what = f"{len(different)} of {len(ids)} sampled ids have other features online than in Hive"
        yield Finding(subject, what, f"publish anew: mlops run {use_case.name} features --force")


def _champion(settings: PlatformSettings, use_case: UseCase) -> Iterator[Finding]:
    try:
        with ModelRegistry(settings.mlflow_url) as registry:
            champion = registry.aliases_of(use_case.name).get(CHAMPION)
    except PlatformError as error:
        yield Finding("mlflow", error.what, error.remedy)
        return
    if champion is None:
        yield Finding(
            use_case.name,
            "it has a snapshot and no champion, so nothing can be predicted",
            f"mlops run {use_case.name} training; if its candidate is rejected, the run's note names the rules",
        )
