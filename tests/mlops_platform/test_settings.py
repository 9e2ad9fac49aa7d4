from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops_platform.errors import PlatformError
from mlops_platform.settings import load_settings


def test_addresses_follow_hosts_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SPARK_MASTER_HOST", "spark-master")
    monkeypatch.setenv("MLOPS_METASTORE_PORT", "19083")
    settings = load_settings(env_file=None)
    assert settings.spark_master_url == "spark://spark-master:7077"
    assert settings.metastore_uri == "thrift://127.0.0.1:19083"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("MLOPS_SERVING_PORT=18000\nMLOPS_AIRFLOW_PORT=18080\n")
    monkeypatch.setenv("MLOPS_SERVING_PORT", "28000")
    settings = load_settings(env_file)
    assert (settings.serving_port, settings.airflow_port) == (28000, 18080)


def test_a_wrong_value_is_named_with_what_it_takes(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("MLOPS_SERVING_PORT=eighty\n")
    with pytest.raises(PlatformError) as caught:
        load_settings(env_file)
    assert str(caught.value) == (
        "settings: MLOPS_SERVING_PORT: Input should be a valid integer, unable to parse string as an integer "
        f"(found 'eighty'). Remedy: correct it in {env_file} or in the environment"
    )


def test_no_secret_shows_in_a_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_AIRFLOW_ADMIN_PASSWORD", "open sesame")
    assert "open sesame" not in repr(load_settings(env_file=None))


def test_folders_of_use_cases_are_meant_from_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_USE_CASES", "mine::/srv/theirs")
    monkeypatch.setenv("MLOPS_PROJECT_ROOT", str(tmp_path))
    monkeypatch.chdir("/")
    assert load_settings(env_file=None).use_case_folders == (tmp_path / "mine", Path("/srv/theirs"))


def test_a_service_knows_what_its_environment_has_and_not_the_secrets_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MLOPS_SERVING_ADMIN_TOKEN=the-token\n", encoding="utf-8")
    assert load_settings(tmp_path / ".env").serving_admin_token == SecretStr("the-token")
    monkeypatch.setenv("MLOPS_ENVIRONMENT_COMPLETE", "1")
    assert load_settings(tmp_path / ".env").serving_admin_token is None


@pytest.mark.parametrize(("queue", "batch", "fits"), [(2000, 1000, True), (1999, 1000, False), (100, 50, True)])
def test_the_logs_queue_has_room_for_a_batch_and_its_shadow(
    tmp_path: Path, *, queue: int, batch: int, fits: bool
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"MLOPS_SERVING_LOG_QUEUE={queue}\nMLOPS_SERVING_BATCH_LIMIT={batch}\n")
    if fits:
        assert load_settings(env_file).serving_log_queue == queue
        return
    with pytest.raises(PlatformError) as caught:
        load_settings(env_file)
    assert str(caught.value) == (
        "settings: MLOPS_SERVING_LOG_QUEUE: Value error, expected at least 2000, twice MLOPS_SERVING_BATCH_LIMIT "
        f"(found '1999'). Remedy: correct it in {env_file} or in the environment"
    )


def test_with_a_certificate_the_service_is_asked_by_tls(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("MLOPS_SERVING_TLS_CERTIFICATE=\nMLOPS_SERVING_TLS_KEY=\n")
    assert load_settings(env_file).serving_url == "http://127.0.0.1:8000"
    env_file.write_text("MLOPS_SERVING_TLS_CERTIFICATE=~/risk.pem\n")
    assert load_settings(env_file).serving_url == "https://127.0.0.1:8000"
    assert load_settings(env_file).serving_tls_certificate == Path.home() / "risk.pem"
