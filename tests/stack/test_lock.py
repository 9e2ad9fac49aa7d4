"""The lock files against what they are made of: nothing is asked of the package index."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

OWN = "stack/bare/requirements"
SOURCES = {
    "requirements.txt": "pyproject.toml",
    "requirements-dev.txt": "requirements-dev.in",
    **{f"{OWN}/{name}.txt": f"{OWN}/{name}.in" for name in ("build", "java", "uv")},
}
# No argument is a word of its own but the source: else Renovate, which runs the same, refuses it.
COMMAND = re.compile(
    r"#    uv pip compile (--all-extras )?--universal --python-version=3\.11 --generate-hashes "
    r"--output-file=(\S+) (\S+)"
)
PLATFORMS = [
    {"python_version": version, "python_full_version": f"{version}.4", "sys_platform": system, "os_name": "posix"}
    for version in ("3.11", "3.12", "3.13")
    for system in ("linux", "darwin")
]


@dataclass(frozen=True)
class Pin:
    """One line of a lock."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> NormalizedName:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> Version:
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        return Version(only.version)

    def holds(self, platform: dict[str, str]) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate(platform)


def pins(text: str) -> list[Pin]:
    joined = text.replace("\\\n", " ")
    lines = [line.split("--hash=") for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    return [Pin(Requirement(line), frozenset(value.strip() for value in hashes)) for line, *hashes in lines]


def declared(root: Path, source: str) -> Iterator[Requirement]:
    """What a lock's source asks for."""
    text = (root / source).read_text(encoding="utf-8")
    if source.endswith(".toml"):
        project = tomllib.loads(text)["project"]
        for group in (project["dependencies"], *project["optional-dependencies"].values()):
            yield from map(Requirement, group)
    else:
        yield from (Requirement(line) for line in text.splitlines() if line and line[0] not in "#-")


def unmet(wanted: Iterable[Requirement], locked: Iterable[Pin], platform: dict[str, str]) -> list[str]:
    """The requirements that no pin of this platform satisfies."""
    versions = {pin.name: pin.version for pin in locked if pin.holds(platform)}
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({**platform, "extra": ""})]
    names = {one: canonicalize_name(one.name) for one in needed}
    return [str(one) for one, name in names.items() if name not in versions or versions[name] not in one.specifier]


@pytest.fixture(scope="module")
def locks(project_root: Path) -> dict[str, list[Pin]]:
    return {name: pins((project_root / name).read_text(encoding="utf-8")) for name in SOURCES}


@pytest.mark.parametrize("lock", SOURCES)
def test_each_lock_says_by_which_command_it_is_renewed(project_root: Path, lock: str) -> None:
    command = COMMAND.fullmatch((project_root / lock).read_text(encoding="utf-8").splitlines()[1])
    assert command is not None
    folder = Path(lock).parent
    assert [(folder / name).as_posix() for name in command.groups()[1:]] == [lock, SOURCES[lock]]
    assert (command[1] is not None) == (SOURCES[lock] == "pyproject.toml")


@pytest.mark.parametrize("lock", SOURCES)
def test_each_pin_has_hashes_and_no_address(project_root: Path, locks: dict[str, list[Pin]], lock: str) -> None:
    assert [pin.name for pin in locks[lock] if not pin.hashes] == []
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for pin in locks[lock] for one in pin.hashes)
    assert "://" not in (project_root / lock).read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", SOURCES)
def test_everything_that_is_asked_for_is_locked_in_its_range(
    project_root: Path, locks: dict[str, list[Pin]], lock: str
) -> None:
    wanted = list(declared(project_root, SOURCES[lock]))
    assert wanted
    assert [unmet(wanted, locks[lock], platform) for platform in PLATFORMS] == [[]] * len(PLATFORMS)


def test_what_the_locked_packages_ask_for_is_locked_too(locks: dict[str, list[Pin]]) -> None:
    """By the metadata of those that are installed here, without what their extras ask for."""
    both = [*locks["requirements.txt"], *locks["requirements-dev.txt"]]
    installed = {canonicalize_name(one.name): one for one in importlib.metadata.distributions()}
    here = [pin for pin in both if pin.holds({})]
    assert {pin.name: installed[pin.name].version for pin in here} == {pin.name: str(pin.version) for pin in here}
    missing = {pin.name: unmet(map(Requirement, installed[pin.name].requires or ()), both, {}) for pin in here}
    assert {name: wanted for name, wanted in missing.items() if wanted} == {}


def test_what_both_locks_name_is_the_same(locks: dict[str, list[Pin]]) -> None:
    names = {pin.name for pin in locks["requirements.txt"]} & {pin.name for pin in locks["requirements-dev.txt"]}
    assert names
    run, dev = (
        {(pin.name, pin.version, pin.hashes) for pin in locks[lock] if pin.name in names}
        for lock in ("requirements.txt", "requirements-dev.txt")
    )
    assert dev <= run


def test_this_project_is_built_with_what_is_locked(project_root: Path, locks: dict[str, list[Pin]]) -> None:
    build = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert unmet(map(Requirement, build["requires"]), locks[f"{OWN}/build.txt"], {}) == []
