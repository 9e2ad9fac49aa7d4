import sys

import pytest

from benchmarks import features


@pytest.mark.parametrize("only", [("duckdb",), ("pandas", "job")])
def test_without_duckdb_it_says_how_to_get_it(
    only: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setattr(sys, "argv", ["features.py", "--only", *only])
    with pytest.raises(SystemExit) as ended:
        features.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(
        "error: DuckDB, which computes and compares, is not installed. "
        "Remedy: `uv pip install -r requirements-dev.txt` (./test.sh does so too)\n"
    )
