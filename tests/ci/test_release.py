"""A release is what its tag says: the script that holds it, and the workflow, which publishes what it tested."""

import re
import shutil
import subprocess
import sys
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


@pytest.fixture(scope="module")
def jobs(project_root: Path) -> dict[str, Any]:
    text = (project_root / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    workflow: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return workflow["jobs"]


def uses(job: dict[str, Any], action: str) -> dict[str, Any]:
    """What a job gives to an action."""
    (given,) = [step["with"] for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]
    return dict(given)


def test_nothing_is_built_for_a_tag_that_is_not_the_version(jobs: dict[str, Any]) -> None:
    steps = [step.get("run") or step["uses"] for step in jobs["build"]["steps"]]
    assert steps[1] == '.ci/tag-is-version "$GITHUB_REF_NAME"'
    assert not any("push" in step or "login" in step for step in steps[:1])


def test_what_was_built_once_and_tested_is_what_is_published(jobs: dict[str, Any]) -> None:
    builders = [name for name, job in jobs.items() if "build-push-action" in str(job)]
    writers = {name for name, job in jobs.items() if job.get("permissions", {}).get("packages") == "write"}
    assert builders == ["build"]
    assert writers == {"build", "publish-dev", "publish-prod"}
    assert [jobs[name]["needs"] for name in ("try", "publish-dev", "publish-prod", "release")] == [
        "build",
        "try",
        "publish-dev",
        "publish-prod",
    ]
    # no name is given to what was built before it was tested
    built = uses(jobs["build"], "docker/build-push-action")
    assert "push-by-digest=true" in built["outputs"]
    assert "tags" not in built
    assert jobs["try"]["steps"][-1]["run"] == "./test.sh --docker"
    assert jobs["try"]["steps"][-1]["env"] == {"TESTED_IMAGES": uses(jobs["try"], "actions/download-artifact")["path"]}
    for name in ("publish-dev", "publish-prod"):
        assert "imagetools create" in jobs[name]["steps"][-1]["run"]
        assert uses(jobs[name], "actions/download-artifact")["pattern"] == "image-*"


def test_each_image_is_scanned_and_its_list_of_contents_is_released(jobs: dict[str, Any], project_root: Path) -> None:
    targets = {image["target"] for image in jobs["build"]["strategy"]["matrix"]["include"]}
    compose = (project_root / "docker-compose.yml").read_text(encoding="utf-8")
    assert targets == set(re.findall(r"build: \{.*target: (\w+)\}", compose))
    contents = uses(jobs["build"], "anchore/sbom-action")
    assert contents["image"].endswith("@${{ steps.build.outputs.digest }}")
    assert uses(jobs["build"], "anchore/scan-action")["sbom"] == contents["output-file"]
    assert "sboms/*.spdx.json" in jobs["release"]["steps"][-1]["run"]


def test_the_workflow_has_no_known_weakness_and_names_its_actions_by_digest(project_root: Path) -> None:
    linter = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [linter, "--offline", "--no-progress", "--quiet", ".github"],
        cwd=project_root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
