import gzip
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mlops_platform.errors import RawDataError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.use_case.spec import UseCase

ROW = "1,5008804,M,Y,Y,0,427500.0,Working,Higher education,Civil marriage,Rented apartment,-12005,-4542,1,1,0,0,,2.0,0,"
ROW += "1988-11-04,2009-04-11,2019-02-01,102.283361\n"


@pytest.fixture
def header(credit_risk: UseCase) -> str:
    return ",".join(credit_risk.raw_columns) + "\n"


@pytest.fixture
def datasets(tmp_path: Path, credit_risk: UseCase) -> Datasets:
    return Datasets(Lake(tmp_path / "lake"), credit_risk)


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    return tmp_path / "loans.csv"


def test_a_file_becomes_a_numbered_version_with_its_manifest(
    datasets: Datasets, arrived: Path, header: str, tmp_path: Path
) -> None:
    arrived.write_text(header + ROW)
    first = datasets.add(arrived)
    assert (first.version, first.rows, first.source, first.keys) == (
        1,
        1,
        "loans.csv",
        ("raw/credit_risk/version=1/data.csv",),
    )
    assert (tmp_path / "lake" / first.keys[0]).read_bytes() == arrived.read_bytes()
    arrived.write_text(header + ROW * 3)
    assert datasets.add(arrived).version == 2
    assert [one.version for one in datasets.list()] == [1, 2]
    assert datasets.get(0) == datasets.latest() == datasets.get(2)


def test_the_same_bytes_twice_are_one_version(datasets: Datasets, arrived: Path, header: str, tmp_path: Path) -> None:
    arrived.write_text(header + ROW)
    first = datasets.add(arrived)
    renamed = arrived.rename(arrived.with_name("again.csv"))
    assert datasets.add(renamed) == first
    assert Lake(tmp_path / "lake").folders("raw/credit_risk") == ["version=1"]


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_a_byte_order_mark_and_crlf_are_accepted(
    datasets: Datasets, arrived: Path, header: str, mark: str, newline: str
) -> None:
    arrived.write_text(mark + header + ROW * 2, newline=newline, encoding="utf-8")
    assert datasets.add(arrived).rows == 2


def test_gzip_is_told_by_its_content(datasets: Datasets, arrived: Path, header: str) -> None:
    arrived.write_bytes(gzip.compress((header + ROW * 4).encode()))
    manifest = datasets.add(arrived)
    assert (manifest.files[0].file_name, manifest.rows) == ("data.csv.gz", 4)


def test_a_newline_in_quotes_is_no_new_row(datasets: Datasets, arrived: Path, header: str) -> None:
    arrived.write_text(header + ROW.replace("Working", '"Wor\nking"'))
    manifest = datasets.add(arrived)
    assert (manifest.rows, manifest.files[0].multiline) == (1, True)


def test_gzip_of_several_members_is_read_to_its_end(datasets: Datasets, arrived: Path, header: str) -> None:
    arrived.write_bytes(gzip.compress((header + ROW).encode()) + gzip.compress(b"") + gzip.compress(ROW.encode()))
    assert datasets.add(arrived).rows == 2


@pytest.mark.parametrize("field", ['"Working" hard', '"Work"ing', '"Work"i"ng"', '"Working" '])
def test_a_field_is_taken_alike_whether_or_not_another_holds_a_line_break(
    datasets: Datasets, arrived: Path, header: str, field: str
) -> None:
    rows = ROW.replace("Working", field) + ROW
    arrived.write_text(header + rows)
    assert datasets.add(arrived).rows == 2
    arrived.write_text(header + rows + ROW.replace("Working", '"Wor\nking"'))
    assert datasets.add(arrived).rows == 3


@pytest.mark.parametrize(
    "field",
    ['"Working, ""really"""', 'Work"ing', '"Working" hard', "Wor\\king", "Wor\u2028king", "Wor\x0bking", "Wor\x00king"],
)
def test_other_marks_in_a_field_break_no_line(datasets: Datasets, arrived: Path, header: str, field: str) -> None:
    arrived.write_text(header + ROW.replace("Working", field) + ROW, encoding="utf-8")
    manifest = datasets.add(arrived)
    assert (manifest.rows, manifest.files[0].multiline) == (2, False)


def test_blank_lines_are_no_rows(datasets: Datasets, arrived: Path, header: str) -> None:
    arrived.write_text(header + "\n" + ROW + "  \t \n" + ROW + "\n\n")
    assert datasets.add(arrived).rows == 2


def bad_files(header: str) -> dict[str, tuple[bytes, str]]:
    first_line = header.strip()
    needed = f"Remedy: the first line must be {first_line}"
    return {
        "empty": (b"", f"{{}} is empty. Remedy: give a CSV with the columns {first_line.replace(',', ', ')}"),
        "only a header": (
            header.encode(),
            "{} has a header and no row. Remedy: give a file with at least one row",
        ),
        "not UTF-8": (
            (header + ROW).encode() + ROW.replace("Working", "Pensionär").encode("latin-1"),
            "{} is not UTF-8: byte 0xe4 in line 3. Remedy: save the file as UTF-8 and add it again",
        ),
        "missing column": (
            (first_line.replace(",status", "") + "\n" + ROW).encode(),
            f"{{}} has the wrong columns: 'status' is missing. {needed}",
        ),
        "renamed column": (
            (first_line.replace("loan_amount", "loan_amuont") + "\n" + ROW).encode(),
            f"{{}} has the wrong columns: 'loan_amuont' should be 'loan_amount'. {needed}",
        ),
        "extra column": (
            (first_line + ",note\n" + ROW).encode(),
            f"{{}} has the wrong columns: 'note' is not expected. {needed}",
        ),
        "doubled column": (
            (first_line + ",status\n" + ROW).encode(),
            f"{{}} has the wrong columns: 'status' stands 2 times. {needed}",
        ),
        "other order": (
            (first_line.replace("loan_id,id", "id,loan_id") + "\n" + ROW).encode(),
            f"{{}} has the wrong columns: column 1 is 'id' where 'loan_id' should be. {needed}",
        ),
        "semicolons": (
            (header + ROW).replace(",", ";").encode(),
            f"{{}} is separated by ';', not by commas. {needed}",
        ),
        "pandas index": (
            ("," + header + "0," + ROW).encode(),
            "{} has an unnamed first column, as pandas writes an index. Remedy: write it with to_csv(..., index=False)",
        ),
        "a quote that never closes": (
            (header + ROW + ROW.replace("Working", '"Working') + ROW).encode(),
            "{} is no CSV: line 3: a quote opens that never closes. Remedy: export the file as comma-separated text",
        ),
        "lines that end in different ways, and a line break in a field": (
            (header + ROW.replace("Working", '"Wor\nking"') + ROW.replace("\n", "\r\n")).encode(),
            "{} is no CSV: line 4 ends with '\\r\\n', the first one with '\\n'. "
            + "Remedy: export the file as comma-separated text",
        ),
        "padded gzip": (
            gzip.compress((header + ROW).encode()) + bytes(3),
            "{} is a damaged or truncated gzip file (it goes on after its end, as if it were padded). "
            + "Remedy: transfer the file again and add it again",
        ),
        "an empty first line": (
            ("\n" + header + ROW).encode(),
            "{} has the wrong columns: "
            + "; ".join(f"{column!r} is missing" for column in first_line.split(","))
            + f". {needed}",
        ),
        "truncated gzip": (
            gzip.compress((header + ROW * 50).encode())[:-20],
            "{} is a damaged or truncated gzip file "
            + "(Compressed file ended before the end-of-stream marker was reached). "
            + "Remedy: transfer the file again and add it again",
        ),
    }


KINDS = tuple(bad_files("a\n"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_refused_with_one_message_and_nothing_is_stored(
    datasets: Datasets, arrived: Path, header: str, kind: str
) -> None:
    content, message = bad_files(header)[kind]
    arrived.write_bytes(content)
    with pytest.raises(RawDataError) as caught:
        datasets.add(arrived)
    assert str(caught.value) == message.format(arrived)
    assert datasets.latest() is None
    assert list(arrived.parent.glob("lake/raw/credit_risk/**/*")) == []


def test_a_directory_and_a_missing_file_are_named(datasets: Datasets, tmp_path: Path) -> None:
    with pytest.raises(RawDataError) as caught:
        datasets.add(tmp_path)
    assert str(caught.value) == f"{tmp_path} is a directory. Remedy: name a CSV or Parquet file"
    with pytest.raises(RawDataError) as caught:
        datasets.add(tmp_path / "none.csv")
    assert str(caught.value) == f"{tmp_path / 'none.csv'} does not exist. Remedy: name a CSV or Parquet file"


def test_a_pipe_is_not_waited_for(datasets: Datasets, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RawDataError) as caught:
        datasets.add(tmp_path / "pipe")
    assert str(caught.value) == f"{tmp_path / 'pipe'} is no regular file. Remedy: name a CSV or Parquet file"


def test_without_room_nothing_is_stored_and_the_reason_is_said(datasets: Datasets, arrived: Path, header: str) -> None:
    arrived.write_text(header + ROW * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(RawDataError) as caught:
            datasets.add(arrived)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value).startswith(f"{arrived} could not be stored: File too large (")
    assert datasets.list() == []
    assert list(arrived.parent.glob("lake/raw/credit_risk/**/*")) == []


def test_an_unknown_version_names_the_known_ones(datasets: Datasets, arrived: Path, header: str) -> None:
    with pytest.raises(RawDataError, match=r"credit_risk has no dataset yet; there are: none"):
        datasets.get(0)
    arrived.write_text(header + ROW)
    datasets.add(arrived)
    with pytest.raises(RawDataError) as caught:
        datasets.get(7)
    assert str(caught.value) == (
        "credit_risk has no dataset version 7; there are: 1. Remedy: add a file with `mlops data add credit_risk FILE`"
    )


def test_bytes_that_changed_after_arrival_are_found(
    datasets: Datasets, arrived: Path, header: str, tmp_path: Path
) -> None:
    arrived.write_text(header + ROW)
    manifest = datasets.add(arrived)
    datasets.verify(manifest)
    (tmp_path / "lake" / manifest.keys[0]).write_text(header + ROW.replace("427500.0", "1.0"))
    with pytest.raises(RawDataError, match="was changed after it arrived"):
        datasets.verify(manifest)


def test_a_killed_arrival_leaves_no_version_and_its_draft_goes_with_the_next(
    datasets: Datasets, arrived: Path, header: str, tmp_path: Path
) -> None:
    arrived.write_text(header + ROW)
    program = """
        import os, signal, sys
        from pathlib import Path
        from mlops_platform.lake import datasets
        from mlops_platform.lake.lake import Lake
        from mlops_platform.use_case.find import get_use_case
        datasets.count_rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        datasets.Datasets(Lake(Path(sys.argv[1])), get_use_case("credit_risk")).add(Path(sys.argv[2]))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "lake"), str(arrived)]
    assert subprocess.run(command, check=False).returncode == -9
    assert datasets.latest() is None
    assert datasets.add(arrived).version == 1
    assert [path.name for path in (tmp_path / "lake/.scratch").iterdir() if path.is_dir()] == []
    assert sorted(path.name for path in (tmp_path / "lake/raw/credit_risk").iterdir()) == ["version=1"]


def test_a_file_without_a_manifest_is_no_version_and_gives_way(
    datasets: Datasets, arrived: Path, header: str, tmp_path: Path
) -> None:
    left = tmp_path / "lake/raw/credit_risk/version=1/data.csv"
    left.parent.mkdir(parents=True)
    left.write_text("of a process that was killed before it wrote the manifest")
    assert datasets.latest() is None
    arrived.write_text(header + ROW)
    assert datasets.add(arrived).version == 1
    datasets.verify(datasets.get(1))


def test_a_damaged_version_is_mended_by_adding_the_file_again(
    datasets: Datasets, arrived: Path, header: str, tmp_path: Path
) -> None:
    arrived.write_text(header + ROW)
    first = datasets.add(arrived)
    (tmp_path / "lake" / first.keys[0]).write_text("damaged")
    second = datasets.add(arrived)
    assert (second.version, second.sha256) == (2, first.sha256)
    datasets.verify(second)
    assert datasets.add(arrived) == second


def test_a_failure_at_the_manifest_leaves_no_file(
    datasets: Datasets, arrived: Path, header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived.write_text(header + ROW)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Lake, "write_once", full_disk)
    with pytest.raises(RawDataError, match="could not be stored: No space left on device"):
        datasets.add(arrived)
    assert Lake(tmp_path / "lake").keys("raw") == []


def test_a_file_of_any_name_is_taken(datasets: Datasets, arrived: Path, header: str) -> None:
    odd = Path(os.fsdecode(os.fsencode(arrived.parent) + b"/l\xf6hne.csv"))
    odd.write_text(header + ROW)
    assert datasets.add(odd).source == "l\ufffdhne.csv"
