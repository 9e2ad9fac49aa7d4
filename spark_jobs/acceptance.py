"""Whether the rows of a dataset are good enough to be published, and whether all of them are accounted for."""

import logging
from dataclasses import dataclass

from mlops_platform.errors import DataQualityError, PlatformError
from mlops_platform.lake.datasets import DatasetManifest
from mlops_platform.lake.snapshots import Quality, RuleFinding
from mlops_platform.use_case.spec import UseCase
from spark_jobs.features import Computed

RULES_NAMED = 5
"""How many broken rules an error names, the most frequent first."""

log = logging.getLogger(__name__)


class RowsUnaccounted(PlatformError):
    """Spark found more rows in a file, or fewer, than arrived."""

    transient = True


@dataclass(frozen=True)
class Rejected:
    """How many rows were rejected, and how many of them broke each rule, the most frequent first."""

    rows: int = 0
    findings: tuple[RuleFinding, ...] = ()


def accept(use_case: UseCase, dataset: DatasetManifest, computed: Computed, rejected: Rejected) -> Quality:
    """The quality of the dataset's rows, if it is good enough; logged either way.

    Raises:
        RowsUnaccounted: not every row of the dataset is valid or rejected.
        DataQualityError: too many are rejected; names the rules that most rows broke.
    """
    quality = Quality(
        rows_read=computed.valid + rejected.rows,
        rows_valid=computed.valid,
        rows_quarantined=rejected.rows,
        findings=rejected.findings,
    )
    log.info("%d rows read, %d valid, %d quarantined", quality.rows_read, computed.valid, rejected.rows)
    for finding in rejected.findings:
        log.info("  %s: %d rows", finding.rule, finding.rows)
    if quality.rows_read != dataset.rows:
        raise RowsUnaccounted(
            f"dataset version {dataset.version} of {use_case.name} has {dataset.rows} rows by its manifest; "
            f"{computed.valid} were valid and {rejected.rows} quarantined, which is {quality.rows_read}",
            remedy="run it again; if the numbers stay, export the file anew, each row on a line of its own, and add it",
        )
    if computed.out_of_range:
        raise DataQualityError(
            f"{computed.out_of_range} rows of {use_case.name} have features out of their range even without the "
            "rejected rows",
            remedy=f"compare use_cases/{use_case.name}/features.py with the ranges in the spec",
        )
    _hold_against_limit(use_case, quality)
    return quality


def _hold_against_limit(use_case: UseCase, quality: Quality) -> None:
    worst = "; ".join(f"{finding.rule} ({finding.rows} rows)" for finding in quality.findings[:RULES_NAMED])
    if quality.rows_valid == 0:
        raise DataQualityError(
            f"no row of {use_case.name} is left: {quality.rows_read} read, {quality.rows_quarantined} quarantined"
            + (f": {worst}" if worst else ""),
            remedy="correct the file and add it as a new dataset version",
        )
    share = quality.rows_quarantined / quality.rows_read
    if share > use_case.quarantine_limit:
        raise DataQualityError(
            f"{quality.rows_quarantined} of {quality.rows_read} rows of {use_case.name} ({share:.1%}) are quarantined, "
            f"{use_case.quarantine_limit:.1%} are tolerated: {worst}",
            remedy="correct the file and add it as a new dataset version, or raise quarantine_limit in the spec",
        )
