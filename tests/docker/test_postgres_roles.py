"""stack/postgres/roles.sql before a real PostgreSQL that an older installation filled as one user."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.conftest import docker
from tests.processes import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

IMAGE = "postgres:15-bookworm"
PASSWORDS = {"airflow": 'it\'s "a" $1 \\ password', "mlflow": "m", "metastore": "h"}
OLDER_INSTALLATION = """
CREATE DATABASE airflow;
CREATE DATABASE mlflow;
\\connect airflow
CREATE EXTENSION pgcrypto;
CREATE TYPE mood AS ENUM ('calm');
CREATE TABLE task (id serial PRIMARY KEY, mood mood);
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY);
CREATE SEQUENCE counter;
CREATE VIEW tasks AS SELECT * FROM task;
CREATE FUNCTION same(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
\\connect mlflow
CREATE TABLE "Runs" ("Id" bigint PRIMARY KEY);
"""


@dataclass(frozen=True)
class Database:
    name: str
    roles: Path

    def ask(self, user: str, database: str, statements: str, password: str | None = None) -> str:
        """What psql prints, over TCP, where a password is asked for."""
        given = PASSWORDS.get(user, "super") if password is None else password
        done = subprocess.run(
            ["docker", "exec", "--interactive", "--env", f"PGPASSWORD={given}", self.name, "psql", "--no-psqlrc",
             "--quiet", "--tuples-only", "--no-align", "--host=127.0.0.1", "--username", user, "--dbname", database],
            input=f"\\set ON_ERROR_STOP on\n{statements}", text=True, check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout.strip()

    def make_roles(self) -> None:
        """As the service postgres-roles does."""
        passwords = [f"MLOPS_POSTGRES_{name.upper()}_PASSWORD={password}" for name, password in PASSWORDS.items()]
        given = [word for variable in ["PGPASSWORD=super", *passwords] for word in ("--env", variable)]
        docker(
            *("run", "--rm", "--init", "--user", "postgres", "--read-only", "--cap-drop", "ALL"),
            *("--network", f"container:{self.name}", "--volume", f"{self.roles}:/sql:ro", *given),
            *("--entrypoint", "psql", IMAGE, "--no-psqlrc", "--quiet", "--host=127.0.0.1", "--username=mlops"),
            *("--dbname=postgres", "--file=/sql/roles.sql"),
        )


@pytest.fixture
def database(engine: None, project_root: Path) -> Iterator[Database]:
    name = f"roles-test-{uuid.uuid4().hex[:8]}"
    docker(
        *("run", "--detach", "--name", name, "--init", "--user", "postgres", "--read-only", "--cap-drop", "ALL"),
        *("--tmpfs", "/tmp", "--volume", "/var/run/postgresql", "--tmpfs", "/var/lib/postgresql/data"),
        *("--volume", "/var/lib/postgresql", "--env", "PGDATA=/var/lib/postgresql/cluster"),
        *("--env", "POSTGRES_USER=mlops", "--env", "POSTGRES_PASSWORD=super", IMAGE),
    )
    found = Database(name, project_root / "stack" / "postgres")
    try:
        wait_until(lambda: found.ask("mlops", "postgres", "SELECT 1") == "1", "PostgreSQL", 60)
        yield found
    finally:
        docker("rm", "--force", "--volumes", name)


def test_each_program_owns_its_database_and_enters_no_other(database: Database) -> None:
    database.make_roles()
    assert database.ask("mlops", "postgres", "SELECT rolname FROM pg_roles WHERE rolsuper") == "mlops"
    for role in PASSWORDS:
        for name in (*PASSWORDS, "postgres", "mlops"):
            answer = database.ask(role, name, "CREATE TABLE one (id int); DROP TABLE one; SELECT 'done'")
            assert (answer == "done") == (role == name), answer
            assert role == name or "permission denied for database" in answer
        assert "password authentication failed" in database.ask(role, role, "SELECT 1", password="super")


def test_what_an_older_installation_made_is_its_owners(database: Database) -> None:
    assert database.ask("mlops", "postgres", OLDER_INSTALLATION) == ""
    database.make_roles()
    database.make_roles()
    change = """
    ALTER TABLE task ADD note text;
    INSERT INTO task (mood) VALUES ('calm');
    INSERT INTO numbered DEFAULT VALUES;
    ALTER TYPE mood ADD VALUE 'glad';
    ALTER SEQUENCE counter RESTART;
    DROP VIEW tasks;
    DROP FUNCTION same;
    SET client_min_messages = warning;
    CREATE EXTENSION IF NOT EXISTS pgcrypto;
    SELECT count(*) FROM task;
    """
    assert database.ask("airflow", "airflow", change) == "1"
    assert database.ask("mlflow", "mlflow", 'ALTER TABLE "Runs" ADD "End" int') == ""


def test_a_password_that_was_changed_counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.make_roles()
    monkeypatch.setitem(PASSWORDS, "mlflow", "another")
    database.make_roles()
    assert database.ask("mlflow", "mlflow", "SELECT 1") == "1"
    assert "password authentication failed" in database.ask("mlflow", "mlflow", "SELECT 1", password="m")
