"""What the launcher lets through to an engine, and what the engine is then asked: a socket stands in for the engine."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack.bare.compose import TRAINING_LABEL
from stack.training_launcher import Forbidden, Launch, check_image_query, container_of, listen

LAUNCH = Launch(
    image="here-training",
    lake_volume="here_lake",
    lake=Path("/nowhere/lake"),
    network="here_default",
    user="1000:1000",
    project="here",
    memory=512 * 1024**2,
    mlflow_url="http://mlflow:5001",
    checkout=Path("/home/me/here"),
    use_cases=(Path("/srv/mine"),),
)
CODE = [
    *(
        {"Type": "bind", "Source": f"/home/me/here/{folder}", "Target": f"/opt/mlops/{folder}", "ReadOnly": True}
        for folder in ("mlops_platform", "training", "use_cases")
    ),
    {"Type": "bind", "Source": "/srv/mine", "Target": "/srv/mine", "ReadOnly": True},
]
CONTAINER = "a" * 64
FOREIGN = "b" * 64


def mount(**changes: Any) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Source": "here_lake",
        "Target": "/opt/ml/input/data/training",
        "ReadOnly": True,
        "VolumeOptions": {"Subpath": "features/credit_risk/snapshot=s1/attempt-1"},
    } | changes


def asked(*mounts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"Image": "here-training", "Cmd": ["train"], "Env": [], "HostConfig": {"Mounts": list(mounts)}} | changes


def test_a_run_is_made_as_the_launcher_says_whatever_else_was_asked() -> None:
    wanted = asked(mount(), User="0:0", Labels={"x": "y"}, WorkingDir="/", ExposedPorts={"1/tcp": {}})
    wanted["HostConfig"] |= {"NetworkMode": "host", "PidMode": "host", "CapAdd": ["ALL"], "Memory": 0}
    assert container_of(LAUNCH, wanted, lake=None) == {
        "Image": "here-training",
        "Cmd": ["train"],
        "Env": ["MLFLOW_TRACKING_URI=http://mlflow:5001", "MLOPS_USE_CASES=/srv/mine"],
        "User": "1000:1000",
        "Labels": {TRAINING_LABEL: "here"},
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {
            "Mounts": [
                *CODE,
                {
                    "Type": "volume",
                    "Source": "here_lake",
                    "VolumeOptions": {"Subpath": "features/credit_risk/snapshot=s1/attempt-1", "NoCopy": True},
                    "Target": "/opt/ml/input/data/training",
                    "ReadOnly": True,
                },
            ],
            "NetworkMode": "here_default",
            "Memory": 512 * 1024**2,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "PidsLimit": 512,
            "Init": True,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        },
    }


def test_an_engine_without_subpaths_gets_the_folder_of_the_volume() -> None:
    found = container_of(LAUNCH, asked(mount()), lake="/engine/here_lake/_data")["HostConfig"]["Mounts"]
    assert found[:-1] == CODE
    assert found[-1] == {
        "Type": "bind",
        "Source": "/engine/here_lake/_data/features/credit_risk/snapshot=s1/attempt-1",
        "Target": "/opt/ml/input/data/training",
        "ReadOnly": True,
    }


def test_a_launcher_is_told_of_the_use_cases_by_its_own_environment() -> None:
    variables = {
        f"MLOPS_TRAINING_{name}": name.lower() for name in ("IMAGE", "LAKE_VOLUME", "NETWORK", "USER", "PROJECT")
    }
    more = {"MEMORY_MB": "1", "MLFLOW_URL": "u", "CHECKOUT": "/home/me/here", "USE_CASES": "/srv/a:/srv/b"}
    variables |= {"MLOPS_STATE_DIR": "/state", **{f"MLOPS_TRAINING_{name}": value for name, value in more.items()}}
    launch = Launch.from_environment(variables)
    assert (launch.checkout, launch.use_cases) == (Path("/home/me/here"), (Path("/srv/a"), Path("/srv/b")))


def test_promotion_is_the_other_command() -> None:
    promote = ["promote", "--use-case", "credit_risk", "--version", "12"]
    assert container_of(LAUNCH, asked(Cmd=promote), lake=None)["Cmd"] == promote


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        (asked(Image="debian"), "image 'debian': only here-training is started here"),
        (asked(Cmd=["sh", "-c", "id"]), "command 'sh -c id': only train and promote are run here"),
        (asked(Entrypoint=["sh"]), "command 'train': only train and promote are run here"),
        (
            asked(Cmd=["promote", "--use-case", "../x", "--version", "1"]),
            "command 'promote --use-case ../x --version 1': only train and promote are run here",
        ),
        (asked(Env=["LD_PRELOAD=x"]), "variables are not taken: a run is told by its hyperparameters.json"),
        (asked(HostConfig={"Privileged": True}), "privileges and folders of the host are not given"),
        (asked(HostConfig={"Binds": ["/:/host"]}), "privileges and folders of the host are not given"),
        (
            asked(mount(Type="bind", Source="/")),
            "mount of '/' ('features/credit_risk/snapshot=s1/attempt-1'): only folders of here_lake are mounted",
        ),
        (
            asked(mount(Source="x")),
            "mount of 'x' ('features/credit_risk/snapshot=s1/attempt-1'): only folders of here_lake are mounted",
        ),
        (
            asked(mount(VolumeOptions={"Subpath": "features/../../etc"})),
            "mount of 'here_lake' ('features/../../etc'): only folders of here_lake are mounted",
        ),
        (asked(mount(VolumeOptions={})), "mount of 'here_lake' (''): only folders of here_lake are mounted"),
        (asked(mount(Target="/usr/bin")), "mount at '/usr/bin': only below /opt/ml/"),
        (asked(mount(Target="/opt/ml/../../etc")), "mount at '/opt/ml/../../etc': only below /opt/ml/"),
        (asked(mount(ReadOnly=False)), "mount at '/opt/ml/input/data/training': input is read-only"),
    ],
)  # fmt: skip
def test_what_is_no_training_run_is_refused(request_body: dict[str, Any], message: str) -> None:
    with pytest.raises(Forbidden) as caught:
        container_of(LAUNCH, request_body, lake=None)
    assert str(caught.value) == message


def test_a_link_that_leads_out_of_the_lake_is_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "features").symlink_to("/etc")
    launch = Launch(**{**vars(LAUNCH), "lake": lake})
    with pytest.raises(Forbidden, match="a link leads out of the lake"):
        container_of(launch, asked(mount(VolumeOptions={"Subpath": "features"})), lake="/engine")


def test_only_the_training_image_is_looked_up() -> None:
    check_image_query(LAUNCH, {"filters": ['{"reference": ["here-training"]}']})
    for query in ({}, {"filters": ['{"reference": ["postgres"]}']}, {"filters": ["{}"]}):
        with pytest.raises(Forbidden):
            check_image_query(LAUNCH, query)


class FakeEngine:
    """Answers every request with 200 and what it knows of the path; remembers the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.answers: dict[str, Any] = {
            "/version": {"ApiVersion": "1.41"},
            "/volumes/here_lake": {"Mountpoint": "/engine/here_lake/_data"},
            f"/containers/{CONTAINER}/json": {"Config": {"Labels": {TRAINING_LABEL: "here"}}},
            f"/containers/{FOREIGN}/json": {"Config": {"Labels": {TRAINING_LABEL: "another"}}},
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")), 0
        )
        first, body = head.splitlines()[0].rsplit(" ", 1)[0], await reader.readexactly(length)
        self.requests.append((first, body))
        content = json.dumps(self.answers.get(first.split(" ")[1], {"asked": first})).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + content)
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def launcher(folder: Path) -> AsyncIterator[tuple[FakeEngine, int]]:
    engine = FakeEngine()
    behind = await asyncio.start_unix_server(engine.serve, str(folder / "engine.sock"))
    front = await listen(LAUNCH, "127.0.0.1", 0, str(folder / "engine.sock"))
    async with behind, front:
        yield engine, front.sockets[0].getsockname()[1]


async def answer_to(port: int, first_line: str, body: bytes = b"") -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{first_line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    head, _, content = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ")[1]), json.loads(content)


def test_a_run_passes_from_its_creation_to_its_removal(tmp_path: Path) -> None:
    async def life() -> list[tuple[str, bytes]]:
        async with launcher(tmp_path) as (engine, port):
            created = await answer_to(port, "POST /v1.41/containers/create?name=x", json.dumps(asked(mount())).encode())
            assert created == (200, {"asked": "POST /v1.41/containers/create"})
            for step in (
                f"POST /v1.41/containers/{CONTAINER}/start",
                f"POST /v1.41/containers/{CONTAINER}/wait",
                f"GET /v1.41/containers/{CONTAINER}/logs?stdout=1",
                f"DELETE /v1.41/containers/{CONTAINER}?force=1",
            ):
                assert await answer_to(port, step) == (200, {"asked": step})
            return engine.requests

    created = next(body for line, body in asyncio.run(life()) if line.endswith("/containers/create"))
    source = json.loads(created)["HostConfig"]["Mounts"][-1]["Source"]
    assert source == "/engine/here_lake/_data/features/credit_risk/snapshot=s1/attempt-1"


@pytest.mark.parametrize(
    ("first_line", "message"),
    [
        (f"POST /containers/{FOREIGN}/start", "container bbbbbbbbbbbb: not one of this installation's training runs"),
        (f"POST /containers/{CONTAINER}/exec", f"POST /containers/{CONTAINER}/exec: not part of a training run"),
        ("POST /containers/postgres/stop", "POST /containers/postgres/stop: not part of a training run"),
        (f"GET /containers/{CONTAINER}/top", f"GET /containers/{CONTAINER}/top: not part of a training run"),
        ("GET /containers/json", "GET /containers/json: not part of a training run"),
        ("GET /info", "GET /info: not part of a training run"),
        ("POST /images/create?fromImage=x", "POST /images/create: not part of a training run"),
        ("POST /build", "POST /build: not part of a training run"),
        ("GET /v1.41/../info", "GET /v1.41/../info: not part of a training run"),
        ("GET //_ping/../info", "GET //_ping/../info: not part of a training run"),
        ("GET //info/_ping", "GET //info/_ping: not part of a training run"),
        ("GET http://engine/_ping", "GET http://engine/_ping: not part of a training run"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_and_never_reaches_the_engine(tmp_path: Path, first_line: str, message: str) -> None:
    async def refused() -> tuple[tuple[int, Any], list[str]]:
        async with launcher(tmp_path) as (engine, port):
            return await answer_to(port, first_line), [line for line, _ in engine.requests]

    answer, reached = asyncio.run(refused())
    assert answer == (403, {"message": message})
    assert [line for line in reached if not line.endswith("/json")] == []
