"""Which snapshot and which champion are served, by what there is."""

import datetime as dt
from typing import cast

import pytest

from mlops_platform.models.scorer import Scorer
from serving.follow.pairing import OpenSnapshot, Pair, next_pair
from serving.model import Registration, ServedModel
from serving.served import ServedStore
from tests.manifests import model_manifest, snapshot_manifest

DAY = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def snapshot(name: str, transform: str | None, spec: str = "a") -> OpenSnapshot:
    manifest = snapshot_manifest(
        name, use_case="toy", attempt="attempt-1", spec_hash=spec * 64, transform=transform and transform * 64
    )
    return OpenSnapshot(manifest, cast(ServedStore, None))


def model(version: str, transform: str | None, spec: str = "a") -> ServedModel:
    manifest = model_manifest(use_case="toy", spec_hash=spec * 64, transform=transform and transform * 64)
    registration = Registration(version=version, manifest_sha256=version * 64, registered_at=DAY)
    return ServedModel(registration, cast(Scorer, None), manifest, {})


S1, S2, OLD = snapshot("s1", "1"), snapshot("s2", "2"), snapshot("old", None, "b")
M1, M2, MOLD = model("1", "1"), model("2", "2"), model("3", None, "b")
OTHER_SPEC = snapshot("s3", "1", "c")


@pytest.mark.parametrize(
    ("now", "newest", "expected"),
    [
        pytest.param((None, None), (None, None), (None, None), id="nothing"),
        pytest.param((None, None), (S1, None), (S1, None), id="a snapshot before any champion"),
        pytest.param((None, None), (None, M1), (None, M1), id="a champion before any snapshot"),
        pytest.param((S1, None), (S1, M1), (S1, M1), id="a champion that fits"),
        pytest.param((S1, M1), (S2, M1), (S1, M1), id="a snapshot of other formulas waits"),
        pytest.param((S1, M1), (OTHER_SPEC, M1), (S1, M1), id="a snapshot of another spec waits"),
        pytest.param((S1, M1), (S2, M2), (S2, M2), id="and is served with the first champion that fits it"),
        pytest.param((S1, M1), (S1, M2), (S1, M1), id="a champion of other formulas waits"),
        pytest.param((S1, M1), (None, None), (S1, M1), id="what is gone is served on"),
        pytest.param((None, None), (S2, M1), (S2, None), id="of two that do not fit, the one that can be looked up in"),
        pytest.param((S1, None), (S2, M1), (S1, M1), id="a whole pair goes before a newer half"),
        pytest.param((None, M1), (S2, M1), (None, M1), id="a champion that answers is not given up"),
        pytest.param((OLD, MOLD), (S1, MOLD), (OLD, MOLD), id="what is of before fingerprints fits its like"),
        pytest.param((None, None), (OLD, MOLD), (OLD, MOLD), id="and is served with it"),
    ],
)
def test_only_what_fits_is_served_together(
    now: tuple[OpenSnapshot | None, ServedModel | None],
    newest: tuple[OpenSnapshot | None, ServedModel | None],
    expected: tuple[OpenSnapshot | None, ServedModel | None],
) -> None:
    assert next_pair(Pair(*now), Pair(*newest)) == Pair(*expected)
