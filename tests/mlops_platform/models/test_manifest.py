import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import (
    COMPILED_FILE,
    REQUIRED_FILES,
    CompiledInput,
    CompiledModel,
    ModelManifest,
    manifest_sha256,
    read_file,
    sha256,
    verify,
)
from mlops_platform.use_case.spec import UseCase

FILES = (COMPILED_FILE, *REQUIRED_FILES)


@pytest.fixture
def folder(tmp_path: Path, credit_risk: UseCase) -> Path:
    """A model folder that is as it should be; its files say nothing."""
    for name in FILES:
        (tmp_path / name).write_text(f"content of {name}")
    manifest = ModelManifest(
        use_case="credit_risk",
        family="random_forest",
        run_id="run-1",
        snapshot="first",
        spec_hash=credit_risk.spec_hash,
        transform="f" * 64,
        features=credit_risk.feature_names,
        label="status",
        threshold=0.25,
        seed=1,
        parameters={"n_estimators": 100},
        compiled=CompiledModel(
            inputs=(CompiledInput(name="features", type="double", features=credit_risk.feature_names),)
        ),
        libraries={"scikit-learn": "1.9.1"},
        git_sha="0" * 40,
        files={name: sha256((tmp_path / name).read_bytes()) for name in FILES},
    )
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(indent=2))
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def refused(folder: Path, use_case: UseCase, expected: str | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        verify(folder, use_case, expected)
    assert caught.value.remedy == "train the use case again, or promote another version"
    return caught.value.what.replace(str(folder), "<folder>")


def test_a_whole_folder_is_verified(folder: Path, credit_risk: UseCase) -> None:
    manifest = verify(folder, credit_risk, manifest_sha256(folder))
    assert (manifest.family, manifest.threshold) == ("random_forest", 0.25)
    assert read_file(folder, manifest, "model.onnx") == b"content of model.onnx"


def test_another_manifest_than_the_registered_one_is_refused(folder: Path, credit_risk: UseCase) -> None:
    registered = manifest_sha256(folder)
    edit(folder, lambda content: content.update(threshold=0.9))
    assert refused(folder, credit_risk, registered) == (
        f"<folder>/manifest.json has the sha256 {manifest_sha256(folder)}, the registry says {registered}"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_changed_or_missing_file_is_named(folder: Path, credit_risk: UseCase, name: str) -> None:
    was, now = sha256((folder / name).read_bytes()), sha256(b"forged")
    (folder / name).write_bytes(b"forged")
    assert refused(folder, credit_risk) == f"<folder>/{name} has the sha256 {now}, the manifest says {was}"
    (folder / name).unlink()
    assert refused(folder, credit_risk) == f"<folder>/{name} cannot be read: No such file or directory"


def test_a_file_changed_after_the_verification_is_not_read(folder: Path, credit_risk: UseCase) -> None:
    manifest = verify(folder, credit_risk)
    (folder / "model.joblib").write_bytes(b"forged")
    with pytest.raises(ModelError, match=r"model\.joblib has the sha256"):
        read_file(folder, manifest, "model.joblib")
    with pytest.raises(ModelError, match=r"does not list other\.joblib"):
        read_file(folder, manifest, "other.joblib")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"use_case": "titanic"}, "use case: titanic, the spec of credit_risk says credit_risk"),
        ({"label": "id"}, "label: id, the spec of credit_risk says status"),
        (
            {"features": ["flag_own_car", "age"]},
            (
                "feature order: flag_own_car, age, the spec of credit_risk says age, years_on_the_job, "
                "nb_previous_loans, avg_amount_loans_previous, flag_own_car"
            ),
        ),
    ],
)
def test_a_model_of_another_spec_is_refused(
    folder: Path, credit_risk: UseCase, changed: dict[str, Any], message: str
) -> None:
    edit(folder, lambda content: content.update(changed))
    assert refused(folder, credit_risk) == f"the model in <folder> was trained for another {message}"


def test_a_changed_feature_definition_is_another_spec(folder: Path, credit_risk: UseCase) -> None:
    first = credit_risk.features[0].model_copy(update={"maximum": 99})
    changed = credit_risk.model_copy(update={"features": (first, *credit_risk.features[1:])})
    assert refused(folder, changed) == (
        f"the model in <folder> was trained for another spec hash: {credit_risk.spec_hash}, "
        f"the spec of credit_risk says {changed.spec_hash}"
    )


def test_a_folder_of_before_fingerprints_and_with_a_file_of_then_is_verified(
    folder: Path, credit_risk: UseCase
) -> None:
    (folder / "gate.json").write_text("{}")

    def as_it_was(content: dict[str, Any]) -> None:
        del content["transform"]
        content.update(spec_hash="0" * 64)  # of another formula
        content["files"]["gate.json"] = sha256(b"{}")

    edit(folder, as_it_was)
    assert verify(folder, credit_risk).transform is None
    edit(folder, lambda content: content.update(label="id"))
    assert "another label" in refused(folder, credit_risk)


def test_a_malformed_manifest_is_refused(folder: Path, credit_risk: UseCase) -> None:
    edit(folder, lambda content: content["files"].update({"../secret": "0" * 64}))
    assert refused(folder, credit_risk).startswith("<folder>/manifest.json is malformed at files.../secret")
    edit(folder, lambda content: content.update(files={"model.onnx": "0" * 64}))
    assert refused(folder, credit_risk) == (
        "the manifest of <folder> does not list model.joblib, metrics.json, model_card.md"
    )
    (folder / "manifest.json").write_text("{")
    assert refused(folder, credit_risk).startswith("<folder>/manifest.json is malformed at the file: Invalid JSON")
    (folder / "manifest.json").unlink()
    assert refused(folder, credit_risk) == "<folder>/manifest.json cannot be read: No such file or directory"
