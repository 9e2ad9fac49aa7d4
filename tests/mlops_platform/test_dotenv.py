"""``.env``: what each line means, and which lines nobody may write. tests/docker asks Compose about the same lines."""

import stat
from pathlib import Path

import pytest

from mlops_platform.dotenv import EnvFileError, line_of, overridden, read
from mlops_platform.errors import PlatformError
from mlops_platform.settings import load_settings
from stack.bare.env_file import set_value

LINES = [
    ("plain", "V=plain", "plain"),
    ("spaces around the sign", "V = x", "x"),
    ("indented", "  V=x", "x"),
    ("exported", "export V=x", "x"),
    ("double quotes", 'V="a b"', "a b"),
    ("single quotes", "V='a b'", "a b"),
    ("spaces", "V=a b c", "a b c"),
    ("spaces at the end", "V=x   ", "x"),
    ("comment", "V=x # y", "x"),
    ("no comment", "V=x#y", "x#y"),
    ("no comment after a tab", "V=a\t#b", "a\t#b"),
    ("no comment at the start", "V=#x", "#x"),
    ("comment after double quotes", 'V="a # b" # c', "a # b"),
    ("comment after single quotes", "V='a # b' # c", "a # b"),
    ("empty", "V=", ""),
    ("empty in quotes", 'V=""', ""),
    ("backslash", "V=a\\nb", "a\\nb"),
    ("backslash in single quotes", "V='a\\nb'", "a\\nb"),
    ("dollar in single quotes", "V='pa$$wo$rd'", "pa$$wo$rd"),
    ("apostrophe within", "V=it's", "it's"),
    ("quote within", 'V=a"b"', 'a"b"'),
    ("apostrophe in double quotes", 'V="it\'s"', "it's"),
    ("equals sign", "V=a=b", "a=b"),
    ("twice", "V=first\nV=second", "second"),
    ("carriage return", "V=x\r\nW=1\r", "x"),
    ("byte order mark", "\ufeffV=x", "x"),
    ("comments and empty lines", "# V=y\n\nV=x\n  # V=z", "x"),
]
REFUSED = ["V=a$b", "V=$HOME", 'V="a$b"', 'V="a\\nb"', 'V="a" b', "V='a", 'V="a', "V: x", "V", "V-W=x", "=x"]


def written(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(("line", "value"), [(line, value) for _, line, value in LINES], ids=[one[0] for one in LINES])
def test_a_line_and_what_it_means(tmp_path: Path, line: str, value: str) -> None:
    assert read(written(tmp_path, line))["V"] == value


@pytest.mark.parametrize("line", REFUSED)
def test_a_line_that_is_read_in_two_ways_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f"MLOPS_AIRFLOW_PORT=18080\n{line}\n")
    with pytest.raises(EnvFileError) as raised:
        read(path)
    assert str(raised.value) == (
        f"{path}, line 2 is not of the form NAME=value, "
        "with a value that has $, a quote or a backslash in single quotes"
    )
    with pytest.raises(PlatformError, match=r"correct it; \.env\.example shows how lines are written"):
        load_settings(path)


@pytest.mark.parametrize(
    "value", ["x", "/a b/c", "a$b", "it's", 'say "x"', "a#b", "a # b", "a\\b", "", "~/x", "C'est \u00e0 moi", " x "]
)
def test_what_is_written_is_read_back(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, "# mine\nW=1")
    set_value(path, "V", value)
    set_value(path, "V", value)
    assert read(path) == {"W": "1", "V": value}
    assert path.read_text(encoding="utf-8").startswith("# mine\nW=1\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "it's $5"])
def test_what_no_line_can_say_is_refused(value: str) -> None:
    with pytest.raises(EnvFileError, match="V cannot be written to"):
        line_of("V", value)


def test_the_environment_counts_more_and_what_is_empty_is_not_set(tmp_path: Path) -> None:
    file = {"MLOPS_A": "1", "MLOPS_B": "2", "MLOPS_C": "", "OTHER": "3"}
    assert overridden(file, {"MLOPS_B": "", "MLOPS_D": "4", "E": "5"}) == {"MLOPS_A": "1", "OTHER": "3", "MLOPS_D": "4"}
    assert read(tmp_path / "nothing") == {}


def test_a_setting_that_is_empty_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "MLOPS_AIRFLOW_PORT=\nMLOPS_MLFLOW_PORT=15001 # moved\nMLOPS_JUPYTER_PORT=18888\n")
    monkeypatch.setenv("MLOPS_JUPYTER_PORT", "")
    settings = load_settings(path)
    assert (settings.airflow_port, settings.mlflow_port, settings.jupyter_port) == (8080, 15001, 8888)
