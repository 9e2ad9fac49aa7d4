"""What is found where a promise was broken, and that nothing is where none was."""

from dataclasses import replace
from typing import Any

import pytest

from stack.chaos.invariants import INVARIANTS, Observation, judged, missing, representatives
from stack.chaos.traffic import Answer, Refusal

FIRST = Answer(100.0, "a1", "5", 1, 0.75, "2026-01-01", "champion", "3", "s1")
SECOND = replace(FIRST, at=101.0, request_id="a2")
OTHER = replace(FIRST, at=102.0, request_id="a3", entity_id="6", prediction=0, probability=0.25)


def replayed(answer: Answer, **changes: Any) -> dict[str, Any]:
    record = {
        "served": True,
        "snapshot": answer.snapshot,
        "model_version": answer.model_version,
        "features_from": "snapshot",
        "replayed": {"prediction": answer.prediction, "probability": answer.probability},
    }
    return {"request_id": answer.request_id, "answers": [record | changes]}


SOUND = Observation(
    answers=(FIRST, SECOND, OTHER),
    wrong=(),
    refusals=(Refusal(103.0, "503 starting"),),
    healthy_at=110.0,
    ailing=(),
    killed=None,
    bound=1.0,
    rows={"a1": 1, "a2": 1, "a3": 1, "z1": 1, "somebody else's": 2},
    logged={"z1"},
    replays={"a1": replayed(FIRST), "a3": replayed(OTHER)},
    unfit={},
    run_failure=None,
    disagreements=(),
)


def test_errors_while_something_is_down_break_nothing() -> None:
    assert judged(SOUND) == {}


def test_the_table_names_the_invariants() -> None:
    assert list(INVARIANTS) == [
        "no answer is wrong",
        "no mixture answers",
        "stores agree",
        "no answer is lost",
        "no answer is doubled",
        "the run succeeded",
        "every service is healthy",
        "no error once healthy",
    ]


@pytest.mark.parametrize(
    ("broken", "name", "found"),
    [
        (
            {"wrong": ("GET /v1/credit_risk/predict/5 was answered 404 gone",)},
            "no answer is wrong",
            "1 wrong answers: GET /v1/credit_risk/predict/5 was answered 404 gone",
        ),
        (
            {"answers": (FIRST, replace(SECOND, probability=0.7), OTHER)},
            "no answer is wrong",
            (
                "1 answers to the same question that differ: "
                "a2 says (1, 0.7, '2026-01-01'), a1 says (1, 0.75, '2026-01-01')"
            ),
        ),
        (
            {"answers": (FIRST, replace(SECOND, feature_date="2026-01-02"), OTHER)},
            "no answer is wrong",
            (
                "1 answers to the same question that differ: "
                "a2 says (1, 0.75, '2026-01-02'), a1 says (1, 0.75, '2026-01-01')"
            ),
        ),
        (
            {"replays": {"a1": replayed(FIRST, replayed={"prediction": 0, "probability": 0.4})}},
            "no answer is wrong",
            "1 answers that are not what snapshot and model say: a1 said 1, 0.75; computed again it is (0, 0.4)",
        ),
        (
            {"replays": {"a1": replayed(FIRST, snapshot="s2")}},
            "no answer is wrong",
            "1 answers that are not what snapshot and model say: a1 named ('s1', '3'), its record s2, 3",
        ),
        (
            {"replays": {"a1": replayed(FIRST, features_from="log")}},
            "no answer is wrong",
            (
                "1 answers that are not what snapshot and model say: "
                "a1 cannot be computed from its snapshot, which is gone"
            ),
        ),
        (
            {"replays": {"a1": replayed(FIRST, served=False)}},
            "no answer is wrong",
            "1 answers that are not what snapshot and model say: a1 has no served record",
        ),
        (
            {"replays": {"a1": "the model is gone"}},
            "no answer is wrong",
            "1 answers that are not what snapshot and model say: a1 cannot be computed again: the model is gone",
        ),
        (
            {"unfit": {("s1", "3"): "no such snapshot was published"}},
            "no mixture answers",
            "1 pairs that answered: ('s1', '3'): no such snapshot was published",
        ),
        ({"disagreements": ("hive: gone",)}, "stores agree", "1 disagreements: hive: gone"),
        ({"rows": {"a1": 1, "a3": 1, "z1": 1}}, "no answer is lost", "1 answers that are not in the log: a2"),
        ({"logged": {"z1", "z0"}}, "no answer is lost", "1 answers that are not in the log: z0"),
        (
            {"rows": {"a1": 1, "a2": 1, "a3": 1, "z1": 3}},
            "no answer is doubled",
            "1 answers that are there more than once: z1 has 3 rows",
        ),
        (
            {"rows": {"a1": 1, "a2": 2, "a3": 1, "z1": 1}},
            "no answer is doubled",
            "1 answers that are there more than once: a2 has 2 rows",
        ),
        (
            {"answers": (FIRST, SECOND, OTHER, OTHER)},
            "no answer is doubled",
            "1 answers that are there more than once: a3 answered 2 times",
        ),
        ({"run_failure": "train failed"}, "the run succeeded", "train failed"),
        ({"ailing": ("serving is not usable",)}, "every service is healthy", "1 not well: serving is not usable"),
        ({"healthy_at": None}, "every service is healthy", "1 not well: predictions are not answered"),
        (
            {"refusals": (Refusal(110.5, "503 later"),)},
            "no error once healthy",
            "1 errors after everything was usable again: 503 later",
        ),
    ],
)
def test_what_is_broken_is_found_and_named(broken: dict[str, Any], name: str, found: str) -> None:
    assert judged(replace(SOUND, **broken)) == {name: found}


@pytest.mark.parametrize(
    ("at", "lost"),
    [(97.9, ["a1"]), (98.0, []), (99.9, []), (100.5, []), (100.6, ["a1"])],
)
def test_only_answers_younger_than_the_bound_may_be_lost_with_their_process(at: float, lost: list[str]) -> None:
    # it was killed between 99 and 100.5, and the log may take a second
    assert missing([replace(FIRST, at=at)], {}, (99.0, 100.5), bound=1.0) == lost


def test_without_a_kill_none_may_be_lost() -> None:
    assert missing([FIRST], {}, None, bound=1.0) == ["a1"]


def test_one_request_of_each_question_is_computed_again_the_first_that_is_logged() -> None:
    later = replace(FIRST, request_id="a4", snapshot="s2")
    assert representatives([FIRST, SECOND, OTHER, later], {"a2": 1, "a3": 1}) == ["a2", "a3"]


def test_of_many_findings_three_are_shown() -> None:
    found = judged(replace(SOUND, wrong=tuple("abcde")))
    assert found == {"no answer is wrong": "5 wrong answers: a; b; c and 2 more"}
