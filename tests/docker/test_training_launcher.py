"""The training launcher before a real engine: runs from their start to their results, and whoever tries to get past it.

A small image stands in for the training image: its ``train`` does what the run's id says.
"""

import contextlib
import datetime as dt
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from mlops_platform.clients.training_launcher import LauncherRefused, RunLost, TrainingLauncher
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.pipelines.training_run import run_key
from stack.bare.compose import TRAINING_LABEL
from stack.training_launcher.app import application, server
from stack.training_launcher.containers import LONGEST_RUN, UNFETCHED, Launch, TrainingContainers
from tests.docker.conftest import docker
from tests.processes import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

TOKEN = "the-token"
USER = "1234:1234"
DOCKERFILE = """\
FROM python:3.11-slim-bookworm
RUN mkdir -p /opt/ml && cd /opt/ml && mkdir -m 1777 model output
COPY train /usr/local/bin/train
"""
TRAIN = """\
#!/usr/local/bin/python
import json, os, sys, time
from pathlib import Path
job = json.loads(Path("/opt/ml/input/config/hyperparameters.json").read_text())
print("training", job["run_id"], "on", job["snapshot"], file=sys.stderr, flush=True)
for path in sorted(Path("/opt/ml/input/data/training").rglob("*")):
    print("given", path.name, path.read_text() if path.is_file() else "", file=sys.stderr, flush=True)
if job["run_id"].startswith("stays"):
    time.sleep(600)
if job["run_id"].startswith("fails"):
    sys.exit(75)
model = Path("/opt/ml/output/data/random_forest")
model.mkdir(parents=True)
model.joinpath("manifest.json").write_text("a manifest")
model.joinpath("model.onnx").write_text("a model")
os.symlink("/etc/passwd", model / "link")
os.mkfifo(model / "pipe")
model.parent.joinpath("verdict.json").write_text(json.dumps({"of": job["run_id"]}))
"""


@dataclass(frozen=True)
class Launched:
    """A launcher, its lake with a snapshot of credit_risk named ``first``, and the engine behind it."""

    client: TrainingLauncher
    containers: TrainingContainers
    lake: Lake
    folder: Path
    engine: DockerClient
    project: str
    port: int

    def names(self) -> list[str]:
        """The containers of this installation's runs."""
        label = {"label": f"{TRAINING_LABEL}={self.project}"}
        return sorted(container.name for container in self.engine.containers.list(all=True, filters=label))

    def container(self) -> Any:
        (name,) = self.names()
        return self.engine.containers.get(name)

    def follow(self, run_id: str) -> tuple[int, list[str]]:
        lines: list[str] = []
        return self.client.follow("credit_risk", run_id, lines.append), lines


@pytest.fixture(scope="module")
def image(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, name = tmp_path_factory.mktemp("image"), f"mlops-launcher-test-{uuid.uuid4().hex[:8]}"
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "train").write_text(TRAIN)
    (folder / "train").chmod(0o755)
    docker("build", "--quiet", "--tag", name, str(folder))
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture
def launched(image: str, tmp_path: Path) -> Iterator[Launched]:
    project = f"launcher-test-{uuid.uuid4().hex[:8]}"
    for name in ("mlops_platform", "training", "use_cases", "elsewhere"):
        (tmp_path / "checkout" / name).mkdir(parents=True)
    launch = Launch(
        image=image,
        network=project,
        user=USER,
        project=project,
        memory=256 * 1024**2,
        mlflow_url="http://mlflow:5001",
        checkout=tmp_path / "checkout",
        use_cases=(tmp_path / "checkout" / "elsewhere",),
        git_sha="c" * 40,
    )
    lake = Lake(tmp_path / "lake")
    publish(lake, tmp_path)
    engine = DockerClient("unix:///var/run/docker.sock")
    docker("network", "create", "--internal", project)
    containers = TrainingContainers(engine, launch, lake)
    try:
        with (
            served(containers) as port,
            TrainingLauncher(f"http://127.0.0.1:{port}", TOKEN, poll_seconds=0.1) as client,
        ):
            yield Launched(client, containers, lake, tmp_path / "lake", engine, project, port)
    finally:
        left = docker("ps", "--all", "--quiet", "--filter", f"label={TRAINING_LABEL}={project}").split()
        if left:
            docker("rm", "--force", "--volumes", *left)
        docker("network", "rm", project)


@contextlib.contextmanager
def served(containers: TrainingContainers) -> Iterator[int]:
    """The launcher as it serves, on a port of its own."""
    serving = server(application(containers, TOKEN), "127.0.0.1", 0)
    thread = threading.Thread(target=serving.run)
    thread.start()
    try:
        wait_until(lambda: serving.started, "the launcher", 30)
        yield serving.servers[0].sockets[0].getsockname()[1]
    finally:
        serving.should_exit = True
        thread.join(30)


def publish(lake: Lake, folder: Path, name: str = "first") -> None:
    snapshots = Snapshots(lake, "credit_risk")
    attempt = snapshots.claim(name)
    (folder / "rows").write_text("rows")
    lake.add(f"{snapshots.features_key(name, attempt)}/part-0.parquet", folder / "rows")
    with snapshots.publishing(name, attempt):
        snapshots.publish(
            SnapshotManifest(
                snapshot=name,
                use_case="credit_risk",
                attempt=attempt,
                dataset_version=1,
                run_date=dt.date(2026, 1, 1),
                created_at=dt.datetime.now(dt.UTC),
                spec_hash="0" * 64,
                rows=1,
                entities=1,
                features_path=snapshots.features_key(name, attempt),
                online_path="none",
                quality=Quality(rows_read=1, rows_valid=1, rows_quarantined=0),
            )
        )


def test_a_run_leaves_its_results_in_the_lake_and_nothing_behind(launched: Launched) -> None:
    volumes = set(docker("volume", "ls", "--quiet").split())
    launched.client.start("credit_risk", "first", "run:1")
    exit_code, lines = launched.follow("run:1")
    assert (exit_code, lines) == (0, ["training run:1 on first", "given part-0.parquet rows"])
    run = run_key("credit_risk", "run:1")
    assert {key: launched.lake.read(key) for key in launched.lake.keys(run) if "/job/" not in key} == {
        f"{run}/random_forest/manifest.json": b"a manifest",
        f"{run}/random_forest/model.onnx": b"a model",
        f"{run}/verdict.json": b'{"of": "run:1"}',
    }
    launched.client.remove("credit_risk", "run:1")
    launched.client.remove("credit_risk", "run:1")
    assert launched.names() == []
    assert set(docker("volume", "ls", "--quiet").split()) == volumes
    with pytest.raises(RunLost):
        launched.follow("run:1")


def test_a_run_has_nothing_of_the_machine_but_the_code(launched: Launched) -> None:
    launched.client.start("credit_risk", "first", "stays")
    found = launched.container().attrs
    host, checkout = found["HostConfig"], launched.folder.parent / "checkout"
    mounts = {(mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) for mount in found["Mounts"]}
    assert {mount for mount in mounts if mount[2] != "/opt/ml"} == {
        *(
            ("bind", str(checkout / name), f"/opt/mlops/{name}", False)
            for name in ("mlops_platform", "training", "use_cases")
        ),
        ("bind", str(checkout / "elsewhere"), str(checkout / "elsewhere"), False),
    }
    assert [mount[0] for mount in mounts if mount[2] == "/opt/ml"] == ["volume"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"], host["Privileged"]) == (True, ["ALL"], None, False)
    assert (host["SecurityOpt"], host["PidsLimit"], host["Memory"]) == (
        ["no-new-privileges:true"], 512, 256 * 1024**2,
    )  # fmt: skip
    assert (found["Config"]["User"], found["Config"]["Cmd"]) == (USER, ["train"])
    assert list(found["NetworkSettings"]["Networks"]) == [launched.project]
    # what it was given is not its to change
    refused = docker("exec", launched.container().id, "touch", "/opt/ml/input/config/hyperparameters.json", expect=1)
    assert "Permission denied" in refused


def test_a_run_that_is_under_way_is_taken_up_by_whoever_asks_next(launched: Launched) -> None:
    launched.client.start("credit_risk", "first", "stays")
    before = launched.container().id
    # the launcher died, and another took its place
    with served(launched.containers) as port, TrainingLauncher(f"http://127.0.0.1:{port}", TOKEN) as another:
        another.start("credit_risk", "first", "stays")
        assert launched.container().id == before
        with pytest.raises(LauncherRefused, match="stays of credit_risk is under way on the snapshot first"):
            another.start("credit_risk", "another", "stays")
        another.remove("credit_risk", "stays")
    assert launched.names() == []


def test_what_was_killed_or_failed_is_started_anew(launched: Launched) -> None:
    launched.client.start("credit_risk", "first", "fails")
    assert launched.follow("fails")[0] == 75
    before = launched.container().id
    launched.client.start("credit_risk", "first", "fails")
    assert launched.container().id != before
    assert launched.follow("fails")[0] == 75
    launched.client.remove("credit_risk", "fails")
    launched.client.start("credit_risk", "first", "stays")
    docker("kill", "--signal", "KILL", launched.container().id)
    assert launched.follow("stays")[0] == 137


def test_what_ended_well_and_was_not_fetched_is_taken_up_on_its_own_snapshot_alone(launched: Launched) -> None:
    launched.client.start("credit_risk", "first", "run-1")
    wait_until(lambda: launched.container().status == "exited", "the run's end", 60)
    before = launched.container().id
    launched.client.start("credit_risk", "first", "run-1")
    assert launched.container().id == before
    publish(launched.lake, launched.folder, "second")
    launched.client.start("credit_risk", "second", "run-1")
    assert launched.container().id != before
    assert launched.follow("run-1")[1][0] == "training run-1 on second"


def test_half_made_containers_are_made_anew(launched: Launched) -> None:
    launched.client.start("credit_risk", "first", "run-1")
    launched.follow("run-1")
    made = launched.container()
    name, labels = made.name, made.labels
    made.remove(v=True)
    # as a launcher leaves it that was killed before it could start it
    launched.engine.containers.create(launched.containers._launch.image, name=name, labels=labels)
    with pytest.raises(RunLost):
        launched.follow("run-1")
    launched.client.start("credit_risk", "first", "run-1")
    assert launched.follow("run-1")[0] == 0


def test_what_nobody_asks_for_any_more_is_swept_up(launched: Launched) -> None:
    for run_id in ("fails", "stays"):
        launched.client.start("credit_risk", "first", run_id)
    launched.follow("fails")
    ended, runs = launched.names()
    now = dt.datetime.now(dt.UTC)
    launched.containers.sweep(now + UNFETCHED - dt.timedelta(minutes=1))
    assert launched.names() == [ended, runs]
    launched.containers.sweep(now + UNFETCHED + dt.timedelta(minutes=1))
    assert launched.names() == [runs]
    launched.containers.sweep(now + LONGEST_RUN - dt.timedelta(minutes=1))
    assert launched.names() == [runs]
    launched.containers.sweep(now + LONGEST_RUN + dt.timedelta(minutes=1))
    assert launched.names() == []


def test_another_container_of_a_runs_name_is_left_alone(launched: Launched) -> None:
    launched.client.start("credit_risk", "first", "fails")
    name = launched.container().name
    launched.client.remove("credit_risk", "fails")
    foreign = docker("run", "--detach", "--name", name, "python:3.11-slim-bookworm", "sleep", "600").strip()
    try:
        not_ours = pytest.raises(LauncherRefused, match=f"the container {name} is not that of fails")
        with not_ours:
            launched.client.start("credit_risk", "first", "fails")
        with not_ours:
            launched.follow("fails")
        with not_ours:
            launched.client.remove("credit_risk", "fails")
        assert docker("inspect", foreign, "--format", "{{.State.Running}}").strip() == "true"
    finally:
        docker("rm", "--force", foreign)


def test_a_link_in_the_lake_leads_nowhere(launched: Launched, tmp_path: Path) -> None:
    secret = tmp_path / "secret.parquet"
    secret.write_text("of the host")
    manifest = Snapshots(launched.lake, "credit_risk").get("first")
    (launched.folder / manifest.features_path / "part-1.parquet").symlink_to(secret)
    launched.client.start("credit_risk", "first", "run-1")
    assert launched.follow("run-1")[1] == ["training run-1 on first", "given part-0.parquet rows"]


AUTHORISED = f"Authorization: Bearer {TOKEN}\r\n"
PRIVILEGED = json.dumps(
    {"Image": "python:3.11-slim-bookworm", "HostConfig": {"Privileged": True, "Binds": ["/:/host"]}}
)
CREATES = (
    f"POST /containers/create HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n{AUTHORISED}"
    f"Content-Length: {len(PRIVILEGED)}\r\n\r\n{PRIVILEGED}"
)
RUN = "/training-runs/credit_risk/run"


LAST = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""After it the launcher closes the connection."""


def exchanged(port: int, request: bytes) -> bytes:
    """All that comes back until the launcher closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):  # closed before all was taken
            connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
        return received


@pytest.mark.parametrize(
    ("request_text", "statuses"),
    [
        # what got past a proxy of the engine's interface
        (f"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{CREATES}", [404, 404]),
        (f"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{CREATES}", [204, 404]),
        (f"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n{CREATES}", [204, 404]),
        (
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n{CREATES}",
            [204, 404],
        ),
        # two requests at once: each is judged
        (f"GET {RUN} HTTP/1.1\r\nHost: x\r\n\r\n{CREATES}", [401, 404]),
        (f"GET {RUN} HTTP/1.1\r\nHost: x\r\n{AUTHORISED}\r\nGET {RUN} HTTP/1.1\r\nHost: x\r\n\r\n", [404, 401]),
        # bodies hide nothing
        (
            f"DELETE {RUN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CREATES)}\r\n\r\n{CREATES}",
            [401],
        ),
        (
            f"DELETE {RUN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
            f"{len(CREATES):x}\r\n{CREATES}\r\n0\r\n\r\n",
            [401],
        ),
        (
            f"PUT {RUN} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            + CREATES,
            [401, 404],
        ),
        # not HTTP, or too much of it
        ("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", [400]),
        (f"GET /{'a' * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
        (f"GET /healthz HTTP/1.1\r\nHost: x\r\nX: {'a' * 200_000}\r\n\r\n", [400]),
        (f"CONNECT engine:2375 HTTP/1.1\r\nHost: engine\r\n\r\n{CREATES}", [404, 404]),
        ("GET http://engine/_ping HTTP/1.1\r\nHost: engine\r\n\r\n", [404]),
        (f"POST /v1.41/../containers/create HTTP/1.1\r\nHost: x\r\n{AUTHORISED}\r\n", [404]),
        (f"GET {RUN}/../../../containers/json HTTP/1.1\r\nHost: x\r\n{AUTHORISED}\r\n", [404]),
    ],
)  # fmt: skip
def test_nobody_gets_past_it_to_the_engine(launched: Launched, request_text: str, statuses: list[int]) -> None:
    before = launched.engine.containers.list(all=True)
    received = exchanged(launched.port, (request_text + LAST).encode("latin-1"))
    heads = [line for line in received.decode("latin-1").split("\r\n") if "HTTP/1.1 " in line]
    expected = statuses if statuses == [400] else [*statuses, 204]
    assert [int(line.split("HTTP/1.1 ")[1][:3]) for line in heads] == expected, received
    assert b"Api-Version" not in received, "the engine's own answer"
    assert launched.engine.containers.list(all=True) == before


def test_a_body_without_end_is_not_read(launched: Launched) -> None:
    head = f"PUT {RUN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
    assert exchanged(launched.port, head + bytes(8 * 1024**2)).startswith(b"HTTP/1.1 401")
