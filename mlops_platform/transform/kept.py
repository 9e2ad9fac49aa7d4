"""The compiled transform that a snapshot keeps, and under which name its formulas are known."""

import hashlib
import logging

from pydantic import ValidationError

from mlops_platform.errors import LakeError, SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.transform.compile import same_formulas
from mlops_platform.transform.compiled import CompiledTransform

log = logging.getLogger(__name__)


def keep(lake: Lake, key: str, compiled: CompiledTransform) -> str:
    """Write the object durably; what is there gives way. Returns its sha256."""
    content = (compiled.model_dump_json(indent=2) + "\n").encode()
    lake.put(key, content)
    return hashlib.sha256(content).hexdigest()


def read_kept(lake: Lake, manifest: SnapshotManifest) -> CompiledTransform | None:
    """The compiled transform of a snapshot; None for one of before transforms were compiled.

    Raises:
        LakeError: it is gone.
        SnapshotError: it is not what the manifest vouches for.
    """
    if manifest.compiled_path is None:
        return None
    content = lake.read(manifest.compiled_path)
    if hashlib.sha256(content).hexdigest() != manifest.compiled_sha256:
        raise _damaged(manifest, "it has another sha256 than its manifest says")
    try:
        return CompiledTransform.model_validate_json(content)
    except ValidationError as error:
        raise _damaged(manifest, str(error.errors()[0]["msg"])) from None


def fingerprint_of(compiled: CompiledTransform, snapshots: Snapshots) -> str:
    """The fingerprint of a transform's formulas: the one that a kept snapshot of the same formulas has, whatever
    compiler it was made with; where there is none, that of the query.
    """
    manifests = snapshots.published()
    if any(manifest.transform == compiled.fingerprint for manifest in manifests):
        return compiled.fingerprint
    for manifest in manifests:
        try:
            kept = read_kept(snapshots.lake, manifest)
        except (LakeError, SnapshotError) as error:
            log.warning("not compared with the formulas of snapshot %s: %s", manifest.snapshot, error.what)
            continue
        if kept is not None and manifest.transform is not None and same_formulas(kept, compiled):
            return manifest.transform
    return compiled.fingerprint


def _damaged(manifest: SnapshotManifest, why: str) -> SnapshotError:
    return SnapshotError(
        f"the compiled transform {manifest.compiled_path} of snapshot {manifest.snapshot} is damaged: {why}",
        remedy=f"publish anew: mlops run {manifest.use_case} features --force",
    )
