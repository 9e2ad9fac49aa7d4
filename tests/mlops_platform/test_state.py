"""State of an older layout is taken along, of a newer one refused, and a killed step is done again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from mlops_platform.state import LAYOUT, STEPS, Step, bring_up_to_date


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(state_dir=tmp_path / "var")


def layout(settings: PlatformSettings) -> int:
    content: dict[str, int] = json.loads((settings.lake_root / "layout.json").read_text(encoding="utf-8"))
    return content["layout"]


def of_layout_1(settings: PlatformSettings) -> Path:
    """A dataset, and what a killed arrival left; gives the dataset's folder."""
    raw = settings.lake_root / "raw" / "credit_risk"
    (raw / "version=1").mkdir(parents=True)
    (raw / "version=1" / "manifest.json").touch()
    (raw / ".arriving-0123").mkdir()
    (raw / ".arriving-0123" / "copy").touch()
    (raw / ".lock").touch()
    return raw


def test_there_is_a_step_from_each_older_layout() -> None:
    assert sorted(STEPS) == list(range(1, LAYOUT))


def test_a_fresh_installation_has_the_newest_layout(settings: PlatformSettings) -> None:
    (settings.lake_root).mkdir(parents=True)
    assert bring_up_to_date(settings) == []
    assert layout(settings) == LAYOUT


def test_state_that_says_nothing_is_the_first_layout(settings: PlatformSettings) -> None:
    raw = of_layout_1(settings)
    assert bring_up_to_date(settings) == ["The state has the layout 2 now; it was 1."]
    assert sorted(path.name for path in raw.iterdir()) == [".lock", "version=1"]
    assert layout(settings) == 2
    assert bring_up_to_date(settings) == []


def test_a_lake_of_the_first_layout_in_which_nothing_ever_arrived_whole(settings: PlatformSettings) -> None:
    draft = settings.lake_root / "raw" / "credit_risk" / ".arriving-0123"
    draft.mkdir(parents=True)
    assert bring_up_to_date(settings) == ["The state has the layout 2 now; it was 1."]
    assert not draft.exists()


def test_a_step_counts_once_it_is_done_and_is_done_again_if_it_was_killed(settings: PlatformSettings) -> None:
    of_layout_1(settings)
    ran: list[int] = []

    def step(number: int) -> Step:
        def run(_settings: PlatformSettings) -> None:
            ran.append(number)
            if ran == [1, 2]:
                raise KeyboardInterrupt

        return run

    steps = {number: step(number) for number in (1, 2, 3)}
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(settings, steps, 4)
    assert layout(settings) == 2
    assert len(bring_up_to_date(settings, steps, 4)) == 2
    assert ran == [1, 2, 2, 3]
    assert layout(settings) == 4


def test_an_older_platform_refuses_newer_state_at_its_start(settings: PlatformSettings, project_root: Path) -> None:
    settings.lake_root.mkdir(parents=True)
    (settings.lake_root / "layout.json").write_text('{"layout": 3}\n', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mlops_platform.state"],
        cwd=project_root,
        env={"MLOPS_STATE_DIR": str(settings.state_dir), "PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: the state in {settings.state_dir} has the layout 3, this version of the platform knows {LAYOUT}. "
        "Remedy: use the version that it comes from or a newer one, or start anew: ./reset.sh\n"
    )
    assert layout(settings) == 3


@pytest.mark.parametrize("content", ["", "[]", '{"layout": "2"}', '{"layout": 0}', "{}"])
def test_a_layout_that_cannot_be_read_is_not_guessed(settings: PlatformSettings, content: str) -> None:
    settings.lake_root.mkdir(parents=True)
    (settings.lake_root / "layout.json").write_text(content, encoding="utf-8")
    with pytest.raises(PlatformError, match=r"layout\.json in the lake says .*, expected is"):
        bring_up_to_date(settings)
