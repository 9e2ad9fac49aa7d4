"""A release is what its tag says: the script that holds it, and the workflow that asks the script."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def checkout(tmp_path: Path, project_root: Path) -> Path:
    """What the script needs of a checkout whose version is 1.2.3."""
    (tmp_path / ".ci").mkdir()
    shutil.copy2(project_root / ".ci" / "tag-is-version", tmp_path / ".ci")
    text = (project_root / "pyproject.toml").read_text(encoding="utf-8")
    version = tomllib.loads(text)["project"]["version"]
    (tmp_path / "pyproject.toml").write_text(text.replace(f'"{version}"', '"1.2.3"'), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("v1.2.3",), None),
        (("v1.2.4",), "the tag v1.2.4 is not v1.2.3"),
        (("1.2.3",), "the tag 1.2.3 is not v1.2.3"),
        (("v1.2.3-rc1",), "the tag v1.2.3-rc1 is not v1.2.3"),
        ((), "the tag  is not v1.2.3"),
    ],
)
def test_a_tag_is_the_version(checkout: Path, arguments: tuple[str, ...], said: str | None) -> None:
    done = subprocess.run(
        [checkout / ".ci" / "tag-is-version", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    remedy = ", the version in pyproject.toml. Remedy: set the version, commit, and tag that commit\n"
    assert (done.returncode, done.stderr) == ((0, "") if said is None else (1, said + remedy))


def test_nothing_is_published_under_another_tag(project_root: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(
        (project_root / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    )
    jobs = workflow["jobs"]
    steps = [step.get("run") or step["uses"] for step in jobs["publish-dev"]["steps"]]
    assert steps[1] == '.ci/tag-is-version "$GITHUB_REF_NAME"'
    assert not any("push" in step or "login" in step for step in steps[:1])
    assert jobs["publish-prod"]["needs"] == "publish-dev"
    publishing = {name for name, job in jobs.items() if "write" in job.get("permissions", {}).values()}
    assert publishing == {"publish-dev", "publish-prod"}
