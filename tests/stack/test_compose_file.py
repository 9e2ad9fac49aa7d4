"""docker-compose.yml and the Dockerfiles against what the local mode is defined by: nothing may be said in two ways."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_platform.services import health
from mlops_platform.services.environment import SECRETS
from mlops_platform.services.table import services, watched_services
from mlops_platform.settings import PlatformSettings
from stack.bare import compose
from stack.bare.compose_override import (
    LAUNCHER,
    USE_CASES_RUN_IN,
    WATCHED,
    WATCHER,
    override,
    watch_folder,
    write_override,
)
from stack.bare.installation import written
from stack.training_launcher.containers import CODE

DOCKERFILES = ("spark_jobs/Dockerfile", "training/Dockerfile")
NOT_IN_LOCAL_MODE = {"postgres", "postgres-roles", "state", "training-launcher"}


@pytest.fixture(scope="module")
def text(project_root: Path) -> str:
    return (project_root / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def file(text: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_every_default_is_the_settings_default(text: str) -> None:
    defaults = {f"MLOPS_{name.upper()}": field.default for name, field in PlatformSettings.model_fields.items()}
    written = dict(re.findall(r"\$\{(MLOPS_\w+):-([^}]*)\}", text))
    ours = {name: str(defaults[name]) for name in written if name in defaults}
    found = {name: value for name, value in written.items() if name in defaults}
    tls = {found.pop(f"MLOPS_SERVING_TLS_{name}") for name in ("CERTIFICATE", "KEY")}
    assert tls <= {"/dev/null", "/run/no-key", "/run/no-certificate"}  # what is mounted where there are none
    assert found == {name: value for name, value in ours.items() if name in found}
    assert len(found) >= 8


def test_every_variable_that_is_passed_on_is_a_setting(file: dict[str, Any]) -> None:
    known = {f"MLOPS_{name.upper()}" for name in PlatformSettings.model_fields}
    passed = {
        name for one in file["services"].values() for name, value in one.get("environment", {}).items() if not value
    }
    assert passed <= known


def test_a_start_ends_inside_where_it_may_ask_for_a_prediction(file: dict[str, Any]) -> None:
    inside, service = (file["services"][name]["environment"] for name in (compose.INSIDE, "serving"))
    assert inside["MLOPS_SERVING_HOST"] == "serving"
    for name in (
        "MLOPS_SERVING_PORT",
        "MLOPS_SERVING_DEFAULT_USE_CASE",
        "MLOPS_SERVING_READ_TOKEN",
    ):
        assert (name in inside, inside.get(name)) == (True, service[name])
    # what the other Airflow services have, it has as well
    other, inside = (file["services"][name] for name in ("airflow-triggerer", compose.INSIDE))
    assert other["environment"].items() <= inside["environment"].items()
    assert set(other["volumes"]) <= set(inside["volumes"])


def test_each_service_is_launched_by_the_command_of_the_local_mode(file: dict[str, Any]) -> None:
    local = {service.name: service for service in services(PlatformSettings())}
    local["spark-worker"] = local.pop("spark-worker-1")
    assert set(file["services"]) == set(local) | NOT_IN_LOCAL_MODE
    for name, service in local.items():
        written = file["services"][name]
        command = written.get("entrypoint") or written["command"]
        assert command == list(service.command[:1]), name


def test_each_service_waits_for_what_it_waits_for_in_the_local_mode(file: dict[str, Any]) -> None:
    local = {service.name: service for service in services(PlatformSettings())}
    for name in set(file["services"]) & set(local):
        given = set(file["services"][name].get("depends_on", {}))
        assert given - {"postgres-roles", "state"} == set(local[name].depends_on), name


def test_every_lasting_service_has_what_a_good_neighbour_has(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        assert service["init"] is True, name
        assert service["user"] not in ("root", "0", ""), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert 64 <= service["pids_limit"] <= 4096, name
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}, name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        once = service["restart"] == "no"
        assert once or service["restart"] == "unless-stopped", name
        assert once or "healthcheck" in service, name


def test_only_the_launcher_holds_the_engines_socket(file: dict[str, Any]) -> None:
    holders = [
        name
        for name, service in file["services"].items()
        if any("docker.sock" in str(volume) for volume in service.get("volumes", []))
    ]
    assert holders == ["training-launcher"]


AIRFLOW = {"MLOPS_POSTGRES_AIRFLOW_PASSWORD", "MLOPS_AIRFLOW_FERNET_KEY"}
SECRETS_OF = {
    "postgres": {"MLOPS_POSTGRES_PASSWORD"},
    "postgres-roles": {
        "MLOPS_POSTGRES_PASSWORD", "MLOPS_POSTGRES_AIRFLOW_PASSWORD", "MLOPS_POSTGRES_METASTORE_PASSWORD",
        "MLOPS_POSTGRES_MLFLOW_PASSWORD",
    },
    "airflow-init": AIRFLOW | {"MLOPS_AIRFLOW_ADMIN_PASSWORD"},
    "airflow-api-server": AIRFLOW | {"MLOPS_AIRFLOW_JWT_SECRET", "MLOPS_AIRFLOW_API_SECRET_KEY"},
    "airflow-scheduler": AIRFLOW | {
        "MLOPS_AIRFLOW_JWT_SECRET", "MLOPS_AIRFLOW_ADMIN_PASSWORD", "MLOPS_NOTIFICATION_WEBHOOK_URL",
        "MLOPS_ONLINE_STORE_URL", "MLOPS_SPARK_AUTH_SECRET",
        # a start ends here, with a prediction
        "MLOPS_SERVING_READ_TOKEN", "MLOPS_TRAINING_LAUNCHER_TOKEN",
    },
    "airflow-dag-processor": AIRFLOW | {"MLOPS_NOTIFICATION_WEBHOOK_URL"},
    "airflow-triggerer": AIRFLOW,
    "class-archive": set(),
    "hive-metastore": {"MLOPS_POSTGRES_METASTORE_PASSWORD"},
    "hive-server": set(),
    "jupyter": {"MLOPS_JUPYTER_TOKEN", "MLOPS_SERVING_READ_TOKEN", "MLOPS_SPARK_AUTH_SECRET"},
    "mlflow": {"MLOPS_POSTGRES_MLFLOW_PASSWORD"},
    "serving": {"MLOPS_SERVING_ADMIN_TOKEN", "MLOPS_SERVING_READ_TOKEN", "MLOPS_ONLINE_STORE_URL"},
    "spark-master": {"MLOPS_SPARK_AUTH_SECRET"},
    "spark-worker": {"MLOPS_SPARK_AUTH_SECRET"},
    "state": set(),
    "training-launcher": {"MLOPS_TRAINING_LAUNCHER_TOKEN"},
    "watcher": {"MLOPS_AIRFLOW_ADMIN_PASSWORD"},
}  # fmt: skip
"""Of each container. tests/mlops_platform/services/test_services.py has the processes' of the local mode."""


def test_each_container_is_given_its_secrets_and_no_other(file: dict[str, Any]) -> None:
    names = {variables[0] for variables in SECRETS.values()} | set(compose.SECRETS)
    found = {
        name: {
            secret
            for variable, value in service["environment"].items()
            for secret in names
            if (variable == secret and value is None) or f"${{{secret}:?" in str(value)
        }
        for name, service in file["services"].items()
    }
    assert found == SECRETS_OF


NETWORKS = {
    "airflow": {"airflow-api-server", "airflow-dag-processor", "airflow-scheduler", "airflow-triggerer", "watcher"},
    "database-airflow": {
        "airflow-api-server", "airflow-dag-processor", "airflow-init", "airflow-scheduler", "airflow-triggerer",
        "postgres", "postgres-roles",
    },
    "database-metastore": {"hive-metastore", "postgres"},
    "database-mlflow": {"mlflow", "postgres"},
    "platform": {"airflow-scheduler", "hive-metastore", "hive-server", "jupyter", "mlflow", "serving", "watcher"},
    "spark": {"airflow-scheduler", "class-archive", "jupyter", "spark-master", "spark-worker", "watcher"},
    "training": {"mlflow"},
    "training-launch": {"airflow-scheduler", "training-launcher"},
}  # fmt: skip


def test_only_those_who_talk_share_a_network(file: dict[str, Any]) -> None:
    services = file["services"]
    found = {
        network: {name for name, one in services.items() if network in one.get("networks", [])} for network in NETWORKS
    }
    assert found == NETWORKS
    internal = {name for name, network in file["networks"].items() if network and network["internal"]}
    assert set(file["networks"]) == set(NETWORKS)
    assert internal == {name for name in NETWORKS if name.startswith(("database-", "training"))}
    # ports are published from a network that leads outside
    assert [name for name, one in services.items() if "ports" in one and not set(one["networks"]) - internal] == []
    assert services["training-launcher"]["environment"]["MLOPS_TRAINING_NETWORK"].endswith("_training")


def test_of_several_addresses_a_driver_names_the_one_that_workers_reach(file: dict[str, Any]) -> None:
    drivers = {"airflow-scheduler", "jupyter"}
    for name in drivers:
        assert file["services"][name]["environment"]["SPARK_LOCAL_HOSTNAME"] == name


def test_nobody_reads_state_before_its_layout_is_known(file: dict[str, Any]) -> None:
    services = file["services"]

    def waits_for(name: str) -> set[str]:
        before = services[name].get("depends_on", {})
        return set(before).union(*map(waits_for, before))

    assert services["state"]["entrypoint"] == ["python", "-m", "mlops_platform.state"]
    assert "depends_on" not in services["state"]
    # the database gives out what services ask for; the class archive is run by hand, once all else is up
    others = set(services) - {"state", "postgres", "postgres-roles", "class-archive"}
    assert {name for name in others if "state" not in waits_for(name)} == set()
    assert all(
        one["depends_on"]["state"] == {"condition": "service_completed_successfully"}
        for one in services.values()
        if "state" in one.get("depends_on", {})
    )


def test_images_are_made_of_the_lock_for_any_architecture(project_root: Path) -> None:
    for name in DOCKERFILES:
        text = (project_root / name).read_text(encoding="utf-8")
        assert set(re.findall(r"^FROM (\S+:\S+)", text, re.MULTILINE)) == {"python:3.11-slim-bookworm"}
        assert re.findall(r" pip install (.*)", text)[0].endswith("--require-hashes --target /uv -r /uv.txt")
        assert "source=stack/bare/requirements/uv.txt,target=/uv.txt" in text
        assert re.findall(r"UV_REQUIRE_HASHES=1 UV_BUILD_CONSTRAINT=(\S+)", text) == ["build.txt"]
        assert "COPY pyproject.toml requirements.txt stack/bare/requirements/build.txt ./" in text
        installs = re.findall(r"uv pip install (.*)", text)
        assert installs
        assert all("-r pyproject.toml" in line and "--constraint requirements.txt" in line for line in installs)
        assert not re.search(r"amd64|x86_64|arm64|aarch64|TARGETARCH", text), name


def test_the_project_of_a_checkout_is_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "Loans & more", tmp_path / "b" / "Loans & more"
    one.mkdir(parents=True)
    other.mkdir(parents=True)
    first, second = (compose.project_name(folder, {}) for folder in (one, other))
    assert re.fullmatch(r"loans-more-[0-9a-f]{6}", first)
    assert first != second
    (one / ".env").write_text("COMPOSE_PROJECT_NAME=mine\n", encoding="utf-8")
    assert compose.project_name(one, {}) == "mine"


@pytest.mark.parametrize(("version", "fits"), [((2, 23, 0), False), ((2, 23, 1), True), ((5, 0, 0), True)])
def test_an_old_compose_is_a_finding(version: tuple[int, ...], fits: bool) -> None:
    found = compose.check_compose(version)
    assert (found is None) == fits
    if found is not None:
        assert str(found) == (
            "Docker Compose: 2.23.0 is too old, 2.23.1 or newer is needed. "
            "Remedy: update Docker, or use ./start.sh --mode local"
        )


def test_nothing_is_mounted_twice(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        volumes = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume) for volume in service["volumes"]]
        targets = [(volume.split(":") * 2)[1] for volume in volumes]
        targets += [volume.split(":")[0] for volume in service.get("tmpfs", [])]
        assert len(targets) == len(set(targets)), name


def test_use_cases_are_where_they_run_and_nowhere_else(file: dict[str, Any]) -> None:
    own = {name for name, one in file["services"].items() if any("use_cases" in str(v) for v in one["volumes"])}
    assert own == set(USE_CASES_RUN_IN)


def test_the_watcher_is_in_a_network_with_everyone_it_asks(file: dict[str, Any]) -> None:
    reached = set(file["services"][WATCHER]["networks"])
    assert [name for name in WATCHED if not reached & set(file["services"][name]["networks"])] == []


def test_the_watcher_shares_its_folder_with_those_it_watches(file: dict[str, Any], tmp_path: Path) -> None:
    inside = PlatformSettings(mode="container")
    assert sorted(WATCHED) == sorted(service.name for service in watched_services(inside))
    services = override(tmp_path, (), "", watch_folder(tmp_path / "var"))["services"]
    assert watch_folder(tmp_path / "var") == health.watch_folder(PlatformSettings(state_dir=tmp_path / "var"))
    for name in (*WATCHED, WATCHER):
        (shared,) = services[name]["volumes"]
        assert (shared["source"], shared["target"], shared["read_only"]) == (
            str(tmp_path / "var" / "watch"),
            "/var/lib/mlops/watch",
            name != WATCHER,
        )
        assert file["services"][name]["healthcheck"]["test"] == ["CMD", "mlops_platform/services/usable.sh", name]


def test_a_training_run_runs_the_code_that_its_dag_tells_it_by(file: dict[str, Any]) -> None:
    mounted = {volume.split(":")[0] for volume in file["services"]["airflow-scheduler"]["volumes"]}
    assert {f"./{folder}" for folder in CODE} <= mounted


def test_what_only_the_checkout_knows(tmp_path: Path) -> None:
    use_cases = (Path("/srv/mine"), Path("/home/me/$cases"))
    content = override(tmp_path, use_cases, "c" * 40, Path("/srv/var/watch"))
    assert set(content["services"]) == {*USE_CASES_RUN_IN, *WATCHED, WATCHER, LAUNCHER}
    assert content["services"]["class-archive"] == {
        "environment": {"MLOPS_USE_CASES": "/srv/mine:/home/me/$$cases", "MLOPS_GIT_SHA_AT_START": "c" * 40},
        "volumes": [
            {
                "type": "bind",
                "source": folder,
                "target": folder,
                "read_only": True,
                "bind": {"create_host_path": False},
            }
            for folder in ("/srv/mine", "/home/me/$$cases")
        ],
    }
    assert content["services"][LAUNCHER] == {
        "environment": {
            "MLOPS_TRAINING_CHECKOUT": str(tmp_path),
            "MLOPS_TRAINING_USE_CASES": "/srv/mine:/home/me/$$cases",
            "MLOPS_GIT_SHA_AT_START": "c" * 40,
        }
    }


def test_compose_by_hand_reads_what_the_start_wrote(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "MLOPS_USE_CASES=mine\nMLOPS_STATE_DIR=\nMLOPS_UID=1234\nMLOPS_GID=567\n", encoding="utf-8"
    )
    write_override(tmp_path, {})
    second = tmp_path / "var" / "run" / "compose.checkout.json"
    assert written(tmp_path)["COMPOSE_FILE"] == f"{tmp_path / 'docker-compose.yml'}:{second}"
    content = json.loads(second.read_text(encoding="utf-8"))
    users, groups = (Path(content["configs"][name]["file"]) for name in ("users", "groups"))
    assert users == second.with_name("passwd")
    assert users.read_text(encoding="utf-8").splitlines()[1] == "mlops:x:1234:567:mlops:/var/lib/mlops:/bin/bash"
    assert groups.read_text(encoding="utf-8") == "root:x:0:\nmlops:x:567:\n"
    assert stat.S_IMODE(users.stat().st_mode) == 0o644, "services read it, whatever their uid"
    services = content["services"]
    assert services["jupyter"]["environment"]["MLOPS_USE_CASES"] == str(tmp_path / "mine")
    (tmp_path / "docker-compose.override.yml").touch()
    write_override(tmp_path, {"MLOPS_USE_CASES": ""})
    assert written(tmp_path)["COMPOSE_FILE"].split(":")[1] == str(tmp_path / "docker-compose.override.yml")
    services = json.loads(second.read_text(encoding="utf-8"))["services"]
    assert [volume["target"] for volume in services["jupyter"]["volumes"]] == ["/var/lib/mlops/watch"]
