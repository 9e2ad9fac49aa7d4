"""What a raw file is, and reading a CSV once, from its first byte to its last, before anything believes in it."""

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mlops_platform.errors import RawDataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

csv.field_size_limit(2**31 - 1)  # Python's own limit is 131,072 characters; Spark has none
_GZIP_MAGIC, _PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
_GZIP_FORMAT = zlib.MAX_WBITS + 16
_CHUNK = 1 << 18
_OTHER_DELIMITERS = (";", "\t", "|")
_BLANK = "".join(map(chr, range(33)))
"""A line of these alone is none to Spark."""


class Counted(NamedTuple):
    """The rows of a file, and whether fields of theirs hold line breaks: such a file cannot be read by lines."""

    rows: int
    multiline: bool


def is_gzip(path: Path) -> bool:
    """Whether the content, not the name, is gzip's."""
    return _begins_with(path, _GZIP_MAGIC)


def is_parquet(path: Path) -> bool:
    """Whether the content, not the name, is Parquet's."""
    return _begins_with(path, _PARQUET_MAGIC)


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def count_rows(path: Path, name: str, columns: Sequence[str]) -> Counted:
    """Counts the rows below the header of a CSV, plain or gzipped, that has these columns, as Spark reads them.

    ``name`` is what messages call the file. A byte order mark, CRLF, and line breaks in quotes are accepted.

    Raises:
        RawDataError: the file is empty, not UTF-8, a broken gzip, not a CSV of these columns, or has no row.
    """
    try:
        with _as_text(path) as lines:
            first = next(lines, None)
            if first is None:
                raise RawDataError(f"{name} is empty", remedy=f"give a CSV with the columns {', '.join(columns)}")
            check_header(next(csv.reader([first])), name, columns)
            rows = _count_by_lines(lines)
        if rows is not None:
            counted = Counted(rows, multiline=False)
        else:
            with _as_text(path) as lines:
                counted = Counted(_count_records(lines) - 1, multiline=True)
    except UnicodeDecodeError as error:
        raise RawDataError(
            f"{name} is not UTF-8: {_bad_byte(path, error)}", remedy="save the file as UTF-8 and add it again"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RawDataError(
            f"{name} is a damaged or truncated gzip file ({error})", remedy="transfer the file again and add it again"
        ) from None
    except csv.Error as error:
        raise RawDataError(f"{name} is no CSV: {error}", remedy="export the file as comma-separated text") from None
    if counted.rows == 0:
        raise RawDataError(f"{name} has a header and no row", remedy="give a file with at least one row")
    return counted


def _count_by_lines(lines: Iterable[str]) -> int | None:
    """The number of lines that are not blank; None where a quote that opens in one of them does not close in it."""
    rows = 0
    for line in lines:
        if '"' in line and _runs_on(line):
            return None
        rows += bool(line.strip(_BLANK))
    return rows


def _runs_on(line: str) -> bool:
    records = csv.reader([line, '"'])
    next(records)
    return records.line_num > 1


def _count_records(lines: Iterable[str]) -> int:
    """The number of records, each of one line or several.

    Raises:
        csv.Error: a quote never closes, or records end in different ways: Spark takes the first one's end for that of
            all where fields hold line breaks. Names the line.
    """
    last = ""

    def to_the_end() -> Iterator[str]:
        nonlocal last
        for last in lines:
            yield last
        last = '"'  # a record of its own, unless a quote is open
        yield last

    records, count, start, end, expected = csv.reader(to_the_end()), 0, 0, 0, ""
    for record in records:
        start, end = end + 1, records.line_num
        count += bool(record)
        ending = last[len(last.rstrip("\r\n")) :]
        expected = expected or ending
        if ending not in (expected, ""):
            raise csv.Error(f"line {end} ends with {ending!r}, the first one with {expected!r}")
    if start != end:
        raise csv.Error(f"line {start}: a quote opens that never closes")
    return count - 1


def check_header(header: Sequence[str], name: str, expected: Sequence[str]) -> None:
    """Compare a header with the names under which the spec's raw columns arrive.

    Raises:
        RawDataError: they differ; says which columns are missing, unexpected, doubled or out of order.
    """
    if tuple(header) == tuple(expected):
        return
    remedy = f"the first line must be {','.join(expected)}"
    if len(header) == 1:
        for delimiter in _OTHER_DELIMITERS:
            if delimiter in header[0]:
                raise RawDataError(f"{name} is separated by {delimiter!r}, not by commas", remedy=remedy)
    if header[:1] == [""] and tuple(header[1:]) == tuple(expected):
        raise RawDataError(
            f"{name} has an unnamed first column, as pandas writes an index",
            remedy="write it with to_csv(..., index=False)",
        )
    raise RawDataError(f"{name} has the wrong columns: {'; '.join(differences(header, expected))}", remedy=remedy)


def differences(header: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """What is wrong with a file's columns, each in a few words."""
    unexpected = [column for column in header if column not in expected]
    missing = [column for column in expected if column not in header]
    for column in missing:
        close = difflib.get_close_matches(column.lower(), [found.strip().lower() for found in unexpected], n=1)
        renamed = next((found for found in unexpected if close and found.strip().lower() == close[0]), None)
        if renamed is not None:
            unexpected.remove(renamed)
            yield f"{renamed!r} should be {column!r}"
        else:
            yield f"{column!r} is missing"
    for column in unexpected:
        yield f"{column!r} is not expected"
    for column in sorted({column for column in expected if header.count(column) > 1}):
        yield f"{column!r} stands {header.count(column)} times"
    if sorted(header) == sorted(expected):
        first = next(i for i, (found, wanted) in enumerate(zip(header, expected, strict=True)) if found != wanted)
        yield f"column {first + 1} is {header[first]!r} where {expected[first]!r} should be"


def _as_text(path: Path) -> io.TextIOWrapper:
    """The file's lines; they end where Spark's do: at LF, CRLF or CR."""
    return io.TextIOWrapper(_opened(path), encoding="utf-8-sig", newline="")


def _opened(path: Path) -> BinaryIO:
    return io.BufferedReader(_Gzip(path), _CHUNK) if is_gzip(path) else path.open("rb")


class _Gzip(io.RawIOBase):
    """What one gzip member or several hold, by Java's rules: Python's own reader passes over zeros at the end.

    Raises:
        EOFError, zlib.error, gzip.BadGzipFile: from reading; it is damaged, truncated, or longer than its content.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._member = zlib.decompressobj(_GZIP_FORMAT)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        while True:
            compressed = self._member.unconsumed_tail or self._member.unused_data or self._file.read(_CHUNK)
            if self._member.eof:
                if not compressed:
                    return 0
                if compressed[0] != _GZIP_MAGIC[0]:
                    raise gzip.BadGzipFile("it goes on after its end, as if it were padded")
                self._member = zlib.decompressobj(_GZIP_FORMAT)
            elif not compressed:
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            content = self._member.decompress(compressed, len(view))
            if content:
                view[: len(content)] = content
                return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def _bad_byte(path: Path, error: UnicodeDecodeError) -> str:
    """Where the first byte is that is not UTF-8: the decoder only knows its place in a chunk."""
    with _opened(path) as binary:
        for number, line in enumerate(binary, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as found:
                return f"byte 0x{line[found.start]:02x} in line {number}"
    return error.reason
