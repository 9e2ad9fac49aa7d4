"""What model answers."""

from typing import Any

from serving.predict.predictor import require_champion
from serving.problems import Problem
from serving.served import Served, Variant


def model_card(served: Served, variant: Variant) -> dict[str, Any]:
    """The content of ``ModelCard``: version, metrics, schema, snapshot, trained when.

    Raises:
        Problem: 503 without a champion, 404 without a challenger.
    """
    model = require_champion(served) if variant == "champion" else served.challenger
    if model is None:
        raise Problem(404, "no-challenger", f"{served.use_case.name} has no challenger")
    spec: list[dict[str, Any]] = [
        feature.model_dump(exclude_none=True, exclude_defaults=True) for feature in served.use_case.features
    ]
    return {
        "use_case": served.use_case.name,
        "variant": variant,
        "model_version": model.version,
        "family": model.manifest.family,
        "registered_at": model.registration.registered_at.isoformat(),
        "trained_on_snapshot": model.manifest.snapshot,
        "fingerprint": model.manifest.transform,
        "git_sha": model.manifest.git_sha,
        "manifest_sha256": model.registration.manifest_sha256,
        "task": model.manifest.task,
        "classes": model.manifest.classes,
        "threshold": model.manifest.threshold,
        "compiled": model.is_compiled,
        "not_compiled": model.manifest.not_compiled,
        "features": spec,
        "metrics": model.metrics,
        "snapshot": served.snapshot_id,
    }
