"""``python -m stack.training_launcher``: the only way from Airflow to the Docker engine.

Whoever reaches an engine's socket owns the machine. So the socket is in this process's container alone, and what passes
is the life of training runs: create, start, attach, wait, logs, inspect, stop, remove. A container is made of this
installation's training image, runs ``train`` or ``promote`` as the services' user on their network, and sees folders of
the lake below ``/opt/ml``; whatever else the request says about it is replaced. The code that it runs is that of the
checkout, its use cases included, which this process's own environment names. The other operations take only containers
made here. Everything else is refused with status 403.

One request per connection: after the head has been judged, bytes go both ways until either side closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import posixpath
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from mlops_platform.console import complain
from mlops_platform.search_path import search_path
from mlops_platform.services.probes import TRAINING_LAUNCHER_PORT
from stack.bare.compose import TRAINING_LABEL

SOCKET = "/var/run/docker.sock"
PREFIX = "/opt/ml/"
PROJECT = "/opt/mlops"
CODE = ("mlops_platform", "training", "use_cases")
"""The folders of the checkout that a training run imports."""
_LONGEST_HEAD = 16 * 1024
_LONGEST_BODY = 256 * 1024
_PATIENCE = 30.0
_VERSION = r"(?:/v1\.\d+)?"
_ASKS_THE_ENGINE = re.compile(rf"^{_VERSION}/(_ping|version)$")
_LISTS_IMAGES = re.compile(rf"^{_VERSION}/images/json$")
_CREATES = re.compile(rf"^({_VERSION})/containers/create$")
_CONCERNS_ONE = re.compile(rf"^{_VERSION}/containers/([0-9a-f]{{64}})(?:/(\w+))?$")
_OPERATIONS = {
    ("GET", "json"),
    ("GET", "logs"),
    ("POST", "attach"),
    ("POST", "start"),
    ("POST", "wait"),
    ("POST", "stop"),
    ("POST", "kill"),
    ("DELETE", None),
}
_COMMANDS = (["train"], ["promote", "--use-case", "[a-z][a-z0-9_]*", "--version", "[0-9]+"])
_SUBPATH = re.compile(r"^[A-Za-z0-9][A-Za-z0-9=_.:+-]*(/[A-Za-z0-9][A-Za-z0-9=_.:+-]*)*$")


class Forbidden(Exception):
    """A request that does not pass; its message goes to the client."""


@dataclass(frozen=True)
class Launch:
    """What every training run's container is made of."""

    image: str
    lake_volume: str
    lake: Path
    network: str
    user: str
    project: str
    memory: int
    mlflow_url: str
    checkout: Path
    use_cases: tuple[Path, ...]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Launch:
        return cls(
            image=environ["MLOPS_TRAINING_IMAGE"],
            lake_volume=environ["MLOPS_TRAINING_LAKE_VOLUME"],
            lake=Path(environ["MLOPS_STATE_DIR"]) / "lake",
            network=environ["MLOPS_TRAINING_NETWORK"],
            user=environ["MLOPS_TRAINING_USER"],
            project=environ["MLOPS_TRAINING_PROJECT"],
            memory=int(environ["MLOPS_TRAINING_MEMORY_MB"]) * 1024**2,
            mlflow_url=environ["MLOPS_TRAINING_MLFLOW_URL"],
            checkout=Path(environ["MLOPS_TRAINING_CHECKOUT"]),
            use_cases=search_path(environ["MLOPS_TRAINING_USE_CASES"], Path("/")),
        )


@dataclass(frozen=True)
class Request:
    """The head of one HTTP request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    target: str


def container_of(launch: Launch, asked: Mapping[str, Any], lake: str | None) -> dict[str, Any]:
    """The body of the create request that goes to the engine, for the one that was asked.

    Args:
        lake: where the lake's volume lies on the engine's machine, for an engine that cannot mount part of a volume.

    Raises:
        Forbidden: another image or command, variables, or a mount that is no folder of the lake.
    """
    if asked.get("Image") != launch.image:
        raise Forbidden(f"image {asked.get('Image')!r}: only {launch.image} is started here")
    host = asked.get("HostConfig") or {}
    if host.get("Privileged") or host.get("Binds"):
        raise Forbidden("privileges and folders of the host are not given")
    command = [str(word) for word in asked.get("Cmd") or []]
    if asked.get("Entrypoint") or not any(_matches(command, known) for known in _COMMANDS):
        raise Forbidden(f"command {' '.join(command)!r}: only train and promote are run here")
    if asked.get("Env"):
        raise Forbidden("variables are not taken: a run is told by its hyperparameters.json")
    return {
        "Image": launch.image,
        "Cmd": command,
        "Env": [
            f"MLFLOW_TRACKING_URI={launch.mlflow_url}",
            f"MLOPS_USE_CASES={os.pathsep.join(map(str, launch.use_cases))}",
        ],
        "User": launch.user,
        "Labels": {TRAINING_LABEL: launch.project},
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {
            "Mounts": [*_code(launch), *(_mount(launch, mount, lake) for mount in host.get("Mounts") or [])],
            "NetworkMode": launch.network,
            "Memory": launch.memory,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "PidsLimit": 512,
            "Init": True,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        },
    }


def _matches(command: list[str], known: list[str]) -> bool:
    return len(command) == len(known) and all(re.fullmatch(*pair) for pair in zip(known, command, strict=True))


def _code(launch: Launch) -> list[dict[str, Any]]:
    """The checkout's code over the image's, and each other folder of use cases where it is on the engine's machine."""
    own = [(launch.checkout / folder, f"{PROJECT}/{folder}") for folder in CODE]
    folders = [*own, *((folder, str(folder)) for folder in launch.use_cases)]
    return [{"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True} for source, target in folders]


def _mount(launch: Launch, asked: Mapping[str, Any], lake: str | None) -> dict[str, Any]:
    subpath = str((asked.get("VolumeOptions") or {}).get("Subpath", ""))
    target = str(asked.get("Target", ""))
    if asked.get("Type") != "volume" or asked.get("Source") != launch.lake_volume or not _SUBPATH.match(subpath):
        raise Forbidden(
            f"mount of {asked.get('Source')!r} ({subpath!r}): only folders of {launch.lake_volume} are mounted"
        )
    if posixpath.normpath(target) != target or not target.startswith(PREFIX):
        raise Forbidden(f"mount at {target!r}: only below {PREFIX}")
    if not (launch.lake / subpath).resolve().is_relative_to(launch.lake):
        raise Forbidden(f"mount of {subpath!r}: a link leads out of the lake")
    read_only = bool(asked.get("ReadOnly"))
    if not read_only and not target.startswith((f"{PREFIX}model", f"{PREFIX}output")):
        raise Forbidden(f"mount at {target!r}: input is read-only")
    if lake is None:
        source = {"Type": "volume", "Source": launch.lake_volume, "VolumeOptions": {"Subpath": subpath, "NoCopy": True}}
    else:
        source = {"Type": "bind", "Source": f"{lake}/{subpath}"}
    return {**source, "Target": target, "ReadOnly": read_only}


def check_image_query(launch: Launch, query: Mapping[str, list[str]]) -> None:
    """Lets only this installation's training image be looked up."""
    wanted = json.loads((query.get("filters") or ["{}"])[0]).get("reference")
    names = list(wanted) if isinstance(wanted, (list, dict)) else [wanted]
    if names != [launch.image]:
        raise Forbidden(f"images {names}: only {launch.image} may be looked up")


class Engine:
    """The engine behind the socket, for the launcher's own questions."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._socket)

    async def get(self, path: str) -> Any:
        """The JSON answer to a GET, None where the engine knows no such thing."""
        reader, writer = await self.connect()
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
            await writer.drain()
            head, _, body = (await asyncio.wait_for(reader.read(), _PATIENCE)).partition(b"\r\n\r\n")
        finally:
            writer.close()
        return json.loads(body) if head.split(b" ", 2)[1] == b"200" else None

    async def mounts_part_of_a_volume(self) -> bool:
        """Whether the engine takes a volume's Subpath: those of API 1.45 and later do."""
        version = await self.get("/version")
        major, minor = version["ApiVersion"].split(".")
        return (int(major), int(minor)) >= (1, 45)


class Launcher:
    """Judges each connection's one request and passes on what is a training run's."""

    def __init__(self, launch: Launch, engine: Engine) -> None:
        self._launch = launch
        self._engine = engine

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(_head(reader), _PATIENCE)
            body = await asyncio.wait_for(_body(reader, request), _PATIENCE)
            target, body = await self._judged(request, body)
            await self._pass_on(request, target, body, reader, writer)
        except Forbidden as refusal:
            complain(f"refused: {refusal}")
            writer.write(_refusal(str(refusal)))
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            complain(f"broken off: {error!r}")
        finally:
            with contextlib.suppress(OSError):
                await writer.drain()
                writer.close()

    async def _judged(self, request: Request, body: bytes) -> tuple[str, bytes]:
        """The target and the body that go to the engine."""
        if request.method in ("GET", "HEAD") and _ASKS_THE_ENGINE.match(request.path):
            return request.target, b""
        if request.method == "GET" and _LISTS_IMAGES.match(request.path):
            check_image_query(self._launch, request.query)
            return request.target, b""
        creates = _CREATES.match(request.path)
        if request.method == "POST" and creates:
            container = container_of(self._launch, json.loads(body), await self._lake())
            return f"{creates.group(1)}/containers/create", json.dumps(container).encode()
        one = _CONCERNS_ONE.match(request.path)
        if one and (request.method, one.group(2)) in _OPERATIONS:
            await self._check_made_here(one.group(1))
            return request.target, b""
        raise Forbidden(f"{request.method} {request.path}: not part of a training run")

    async def _lake(self) -> str | None:
        if await self._engine.mounts_part_of_a_volume():
            return None
        volume = await self._engine.get(f"/volumes/{self._launch.lake_volume}")
        if volume is None:
            raise Forbidden(f"there is no volume {self._launch.lake_volume}")
        return str(volume["Mountpoint"])

    async def _check_made_here(self, container: str) -> None:
        found = await self._engine.get(f"/containers/{container}/json")
        labels = {} if found is None else found["Config"]["Labels"] or {}
        if labels.get(TRAINING_LABEL) != self._launch.project:
            raise Forbidden(f"container {container[:12]}: not one of this installation's training runs")

    async def _pass_on(
        self,
        request: Request,
        target: str,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        from_engine, to_engine = await self._engine.connect()
        upgrade = "upgrade" in request.headers
        connection = ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else ["Connection: close"]
        head = [
            f"{request.method} {target} HTTP/1.1",
            "Host: engine",
            *connection,
            *(["Content-Type: application/json"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        to_engine.write("\r\n".join([*head, "", ""]).encode() + body)
        # what the client sends after its request ends nothing: it is the answer that says when all is over
        upward = asyncio.create_task(_pump(reader, to_engine))
        try:
            await _pump(from_engine, writer)
        finally:
            upward.cancel()
            to_engine.close()


async def _head(reader: asyncio.StreamReader) -> Request:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    # split by hand: what is judged has to be what the engine gets, to the letter
    path, _, query = target.partition("?")
    return Request(method, path, parse_qs(query), headers, target)


async def _body(reader: asyncio.StreamReader, request: Request) -> bytes:
    if "transfer-encoding" in request.headers:
        raise Forbidden("a body must say its length")
    length = int(request.headers.get("content-length", "0"))
    if not 0 <= length <= _LONGEST_BODY:
        raise Forbidden(f"a body of {length} bytes")
    return await reader.readexactly(length)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(64 * 1024):
            writer.write(chunk)
            await writer.drain()


def _refusal(message: str) -> bytes:
    body = json.dumps({"message": message}).encode()
    head = (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def listen(launch: Launch, host: str, port: int, socket: str = SOCKET) -> asyncio.Server:
    """Starts to listen; the caller keeps the server running."""
    return await asyncio.start_server(Launcher(launch, Engine(socket)).serve, host, port, limit=_LONGEST_HEAD)


async def main() -> None:
    server = await listen(Launch.from_environment(os.environ), "0.0.0.0", TRAINING_LAUNCHER_PORT)  # noqa: S104
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
