"""The page that goes with a model: what it is for, what it was made from, how good it is, what it cannot do."""

from typing import get_args

from mlops_platform.models.manifest import ModelManifest
from mlops_platform.use_case.spec import Metric, QualityGate, UseCase
from training.metrics import Metrics
from training.report import Report


def render(use_case: UseCase, manifest: ModelManifest, report: Report) -> str:
    """Markdown. The manifest's list of files is not used: the card is one of them."""
    label, confusion = use_case.label, report.holdout.confusion
    return "\n".join(
        [
            f"# {use_case.title}: {manifest.family}",
            "",
            use_case.description,
            f"It predicts `{label.name}`: {label.meaning} (1: {label.positive}, 0: {label.negative}).",
            f"Owner: {use_case.owner}.",
            "",
            "## Made from",
            "",
            f"- snapshot `{manifest.snapshot}`, run `{manifest.run_id}`, code `{manifest.git_sha}`",
            f"- seed {manifest.seed}",
            f"- parameters: {', '.join(f'{k} = {v}' for k, v in manifest.parameters.items()) or 'defaults'}",
            f"- training: {_rows(report.training_rows, report.training_positives)}",
            f"- holdout: {_rows(report.holdout_rows, report.holdout_positives)}, {_split(use_case)}",
            *([f"- left out: {report.unlabelled_rows:,} rows without a label"] if report.unlabelled_rows else []),
            "",
            "| input | type | meaning |",
            "|---|---|---|",
            *(
                f"| `{f.name}` | {f.type}{', may be null' if f.nullable else ''} | {f.meaning} |"
                for f in use_case.features
            ),
            "",
            "## On the holdout",
            "",
            *_metrics_table(report.holdout, report.baseline),
            "",
            f"At the threshold {manifest.threshold:.6f}, chosen on the training side by F1:",
            f"{confusion.true_positive:,} positives found, {confusion.false_negative:,} missed,",
            f"{confusion.false_positive:,} false alarms, {confusion.true_negative:,} negatives left in peace.",
            "",
            "## To become champion",
            "",
            *_rules(use_case.gate),
            "",
            "What the verdict was is in the registry (tag `verdict`) and in the run's `verdict.json`.",
            "",
            "## Limits",
            "",
            "- The baseline gives every row the training part's share of positives.",
            "- A champion that this model was compared with may have learnt from rows of this holdout.",
            "- Nothing here was tested for fairness between groups of people, nor for cause and effect.",
            "- Inputs outside the ranges of the spec are refused by the service, not judged by the model.",
            "",
        ]
    )


def _metrics_table(holdout: Metrics, baseline: Metrics) -> list[str]:
    rows = [f"| {m} | {holdout.value(m):.4f} | {baseline.value(m):.4f} |" for m in get_args(Metric)]
    return ["| metric | model | baseline |", "|---|---|---|", *rows]


def _rules(gate: QualityGate) -> list[str]:
    rules = (
        ("at least", gate.minimum),
        ("at most", gate.maximum),
        ("gains over the baseline at least", gate.gain_over_baseline),
        ("loses to the champion and to the best that ever was at most", gate.largest_loss_to_champion),
    )
    return [f"- {metric} {what} {bound:g}" for what, bounds in rules for metric, bound in bounds.items()]


def _rows(rows: int, positives: int) -> str:
    return f"{rows:,} rows, {positives:,} positive ({positives / rows:.2%})"


def _split(use_case: UseCase) -> str:
    rule = f"the last {use_case.split.holdout_fraction:.0%} by {use_case.event_time}"
    if use_case.split.by == "random":
        rule = f"{use_case.split.holdout_fraction:.0%} drawn at random, rows of the same features as one"
    return f"{rule}, no {use_case.entity_key} on both sides" if use_case.split.entities_apart else rule
