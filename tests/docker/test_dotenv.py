"""Compose reads each line of ``.env`` that is allowed as the platform does. Needs its client, and no engine."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.mlops_platform.test_dotenv import LINES

pytestmark = pytest.mark.docker


@pytest.mark.parametrize(("line", "value"), [(line, value) for _, line, value in LINES], ids=[one[0] for one in LINES])
def test_compose_reads_a_line_in_the_same_way(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "docker-compose.yml").write_text(
        'services: {a: {image: x, environment: {V: "<${V-unset}>"}}}\n', encoding="utf-8"
    )
    (tmp_path / ".env").write_bytes(line.encode())
    environment = {name: text for name, text in os.environ.items() if name != "V"}
    shown = subprocess.run(
        ["docker", "compose", "config", "--format", "json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    found = json.loads(shown)["services"]["a"]["environment"]["V"]
    assert found.replace("$$", "$") == f"<{value}>"
