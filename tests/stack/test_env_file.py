"""The secrets of an installation."""

import base64
import stat
from pathlib import Path

from mlops_platform.settings import load_settings
from stack.bare.env_file import GENERATED, ensure_secrets


def test_a_new_file_is_private_and_has_every_secret(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    assert ensure_secrets(env_file) == tuple(GENERATED)
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    settings = load_settings(env_file)
    for name in GENERATED:
        secret = getattr(settings, name.removeprefix("MLOPS_").lower())
        assert len(secret.get_secret_value()) >= 32
    assert settings.airflow_fernet_key is not None
    assert len(base64.urlsafe_b64decode(settings.airflow_fernet_key.get_secret_value())) == 32
    assert list(tmp_path.iterdir()) == [env_file]


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    ensure_secrets(env_file)
    before = env_file.read_bytes()
    assert ensure_secrets(env_file) == ()
    assert env_file.read_bytes() == before


def test_what_is_there_stays_and_what_is_missing_is_added(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("MLOPS_AIRFLOW_PORT=18080\nMLOPS_JUPYTER_TOKEN=mine", encoding="utf-8")
    added = ensure_secrets(env_file)
    assert added == tuple(name for name in GENERATED if name != "MLOPS_JUPYTER_TOKEN")
    lines = env_file.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["MLOPS_AIRFLOW_PORT=18080", "MLOPS_JUPYTER_TOKEN=mine"]
    assert [line.split("=")[0] for line in lines[2:]] == list(added)
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    ensure_secrets(tmp_path / "a")
    ensure_secrets(tmp_path / "b")
    first, second = ((tmp_path / name).read_text(encoding="utf-8").splitlines() for name in "ab")
    assert {line for line in first if "=" in line} & {line for line in second if "=" in line} == set()
