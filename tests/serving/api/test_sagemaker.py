"""SageMaker's ``/invocations``: what is taken as JSON and as CSV, and as what it is answered."""

from typing import Any

import httpx
import pytest

from serving.api.media_types import preferred
from tests.serving.conftest import Trained
from tests.serving.test_lookups_and_predictions import FEATURES, expected_probability

JSON, CSV = "application/json", "text/csv"
LINE = "31,12,9,153.12,1\n"
NAMES = list(FEATURES["5008804"])


@pytest.mark.parametrize(
    ("accept", "offered", "chosen"),
    [
        (None, (JSON, CSV), JSON),
        ("", (CSV, JSON), CSV),
        ("*/*", (CSV, JSON), CSV),
        ("text/csv", (JSON, CSV), CSV),
        ("Text/CSV; charset=utf-8", (JSON, CSV), CSV),
        ("text/*", (JSON, CSV), CSV),
        ("text/csv;q=0.5, application/json;q=0.6", (CSV, JSON), JSON),
        ("text/csv;q=0, */*", (CSV, JSON), JSON),
        ("text/html, */*;q=0.1", (JSON, CSV), JSON),
        ("application/json;q=0", (JSON,), None),
        ("text/html", (JSON, CSV), None),
        ("application/json;q=many", (JSON, CSV), None),
    ],
)
def test_the_type_that_a_caller_likes_best(accept: str | None, offered: tuple[str, ...], chosen: str | None) -> None:
    assert preferred(accept, offered) == chosen


def invoke(client: httpx.Client, content: str | bytes, sent: str, accept: str = "*/*") -> httpx.Response:
    return client.post("/invocations", content=content, headers={"content-type": sent, "accept": accept})


def test_an_answer_is_of_the_type_that_is_asked_for(asked: httpx.Client, forest: Trained) -> None:
    several = '{"ids": ["5008804", "1", "5008806"]}'
    first, last = (expected_probability(forest, entity_id) for entity_id in ("5008804", "5008806"))
    as_csv = invoke(asked, several, JSON, CSV)
    one = invoke(asked, '{"id": "5008804"}', JSON, "text/csv, application/json;q=0.5")
    as_json = invoke(asked, LINE, CSV, JSON)
    neither = invoke(asked, LINE, CSV, "text/html")
    unread = invoke(asked, "no CSV, and nobody looks", CSV, "text/html")
    assert as_csv.headers["content-type"].startswith(CSV)
    lines = [line.split(",") for line in as_csv.text.splitlines()]
    assert lines[1] == ["", ""]
    assert [float(lines[at][1]) for at in (0, 2)] == [pytest.approx(first, abs=1e-9), pytest.approx(last, abs=1e-9)]
    assert one.text.count("\n") == 1
    assert one.text.startswith(f"{lines[0][0]},{lines[0][1]}")
    assert as_json.json()["predictions"][0]["probability"] == pytest.approx(first, abs=1e-9)
    assert (neither.status_code, unread.status_code) == (406, 406)
    assert neither.json()["detail"] == "an answer is application/json or text/csv; name one of them in Accept"


@pytest.mark.parametrize(
    "content",
    [
        "31.0,12.0,9.0,153.12,1.0\n",  # as pandas writes a column with a gap
        "3.1e1, 12 ,+9,153.12,1",
        '"31","12","9","153.12","1"\r\n',
        "\r\n31,12,9,153.12,1\r\n\r\n",
        "31,12,9,153.12,1\r",
        f"{','.join(NAMES)}\n{LINE}",
        f"{','.join(reversed(NAMES))}\n1,153.12,9,12,31\n",
        f"\ufeff{LINE}",
    ],
)
def test_a_row_may_be_spelled_in_many_ways(asked: httpx.Client, forest: Trained, content: str) -> None:
    answer = invoke(asked, content.encode(), CSV)
    assert answer.status_code == 200, answer.text
    assert [float(line.split(",")[1]) for line in answer.text.splitlines()] == [
        pytest.approx(expected_probability(forest, "5008804"), abs=1e-9)
    ]


@pytest.mark.parametrize("null", ["", "nan", "NaN", '""'])
def test_a_gap_is_a_null(asked: httpx.Client, forest: Trained, null: str) -> None:
    answer = invoke(asked, f"67,{null},0,{null},{null}\n", CSV)
    assert float(answer.text.split(",")[1]) == pytest.approx(expected_probability(forest, "5008805"), abs=1e-9)


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        ("31.5,12,9,153.12,1", 422, "line 1.age: Input should be a valid integer"),
        ("\n\n3_1,12,9,153.12,1", 422, "line 3.age: Input should be a valid integer"),
        ("\u0663,12,9,153.12,1", 422, "line 1.age: Input should be a valid integer"),
        ("nan,12,9,153.12,1", 422, "line 1.age: Input should be a valid integer"),
        ("31,12,9,inf,1", 422, "line 1.avg_amount_loans_previous: Input should be a valid number"),
        ("31,12,9,1e999,1", 422, "line 1.avg_amount_loans_previous: Input should be a finite number"),
        (f"{LINE}31,12\n", 422, f"line 2: expected 5 fields ({', '.join(NAMES)}), found 2"),
        ('31,12,9,"153.12,1', 422, "body: expected CSV in utf-8"),
        (b"\xff\xfe", 422, "body: expected CSV in utf-8"),
        ("", 422, "body: expected between 1 and 3 lines, found 0"),
        (LINE * 4, 422, "body: expected between 1 and 3 lines, found more"),
    ],
)
def test_what_is_no_row_is_refused_by_its_line(
    asked: httpx.Client, content: str | bytes, status: int, detail: str
) -> None:
    answer = invoke(asked, content if isinstance(content, bytes) else content.encode(), CSV)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


@pytest.mark.parametrize(
    ("sent", "content", "status"),
    [
        ("text/csv; charset=latin-1", LINE.encode("latin-1"), 200),
        ("text/csv; charset=UTF-16", LINE.encode("utf-16"), 200),
        ("text/csv; charset=klingon", LINE.encode(), 415),
        ("text/csv; charset=hex", LINE.encode(), 415),
        ("text/xml", b"<a/>", 415),
        (JSON, b"{", 422),
    ],
)
def test_a_body_is_read_as_it_says_it_is(asked: httpx.Client, sent: str, content: bytes, status: int) -> None:
    assert (invoke(asked, content, sent)).status_code == status


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/credit_risk/invocations"])
def test_a_body_may_have_six_mebibytes(asked: httpx.Client, path: str) -> None:
    def padded(size: int) -> bytes:
        return LINE.encode().ljust(size, b"\n")

    headers: dict[str, Any] = {"content-type": CSV}
    taken = asked.post(path, content=padded(6 * 1024 * 1024), headers=headers)
    refused = asked.post(path, content=padded(6 * 1024 * 1024 + 1), headers=headers)
    assert (taken.status_code, refused.status_code) == (200, 413)
