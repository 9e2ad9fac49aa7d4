"""The page that goes with a model: what it is for, what it was made from, how good it is, what it cannot do."""

from mlops_platform.models.manifest import ModelManifest
from mlops_platform.use_case.spec import Label, QualityGate, UseCase
from mlops_platform.use_case.task import METRICS, Task
from training.cross_validation import CrossValidation
from training.metrics import BinaryMetrics, Metrics, MulticlassMetrics
from training.report import Report


def render(use_case: UseCase, manifest: ModelManifest, report: Report) -> str:
    """Markdown. The manifest's list of files is not used: the card is one of them."""
    return "\n".join(
        [
            f"# {use_case.title}: {manifest.family}",
            "",
            use_case.description,
            f"It predicts `{use_case.label.name}`: {use_case.label.meaning} ({_answers(use_case.label)}).",
            f"Owner: {use_case.owner}.",
            "",
            "## Made from",
            "",
            f"- snapshot `{manifest.snapshot}`, run `{manifest.run_id}`, code `{manifest.git_sha}`",
            f"- seed {manifest.seed}",
            f"- parameters: {', '.join(f'{k} = {v}' for k, v in manifest.parameters.items()) or 'defaults'}",
            f"- training: {_rows(report.training_rows, report.training_positives, report.training_classes)}",
            f"- holdout: {_rows(report.holdout_rows, report.holdout_positives, report.holdout_classes)}",
            f"- split: {_split(use_case)}",
            *([f"- left out: {report.unlabelled_rows:,} rows without a label"] if report.unlabelled_rows else []),
            f"- run by {_runtime(manifest)}",
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
            *_metrics_table(use_case, report.holdout, report.baseline),
            "",
            *_cross_validation(report.cross_validation),
            *_mistakes(use_case, manifest, report.holdout),
            "## To become champion",
            "",
            *_rules(use_case.gate),
            "",
            "What the verdict was is in the registry (tag `verdict`) and in the run's `verdict.json`.",
            "",
            "## Limits",
            "",
            f"- The baseline gives every row the training part's {_BASELINES[use_case.task]}.",
            "- A champion that this model was compared with may have learnt from rows of this holdout.",
            "- Nothing here was tested for fairness between groups of people, nor for cause and effect.",
            "- Inputs outside the ranges of the spec are refused by the service, not judged by the model.",
            "",
        ]
    )


_BASELINES: dict[Task, str] = {
    "binary": "share of positives",
    "multiclass": "shares of the classes",
    "regression": "mean",
}


def _answers(label: Label) -> str:
    if label.classes:
        return f"one of {', '.join(label.classes)}"
    return "a number" if label.positive is None else f"1: {label.positive}, 0: {label.negative}"


def _runtime(manifest: ModelManifest) -> str:
    if manifest.not_compiled is None:
        return "ONNX Runtime, compiled in double precision"
    return f"scikit-learn, slower than a compiled form: {manifest.not_compiled}"


def _metrics_table(use_case: UseCase, holdout: Metrics, baseline: Metrics) -> list[str]:
    rows = [f"| {m} | {holdout.value(m):.4f} | {baseline.value(m):.4f} |" for m in METRICS[use_case.task]]
    return ["| metric | model | baseline |", "|---|---|---|", *rows]


def _cross_validation(found: CrossValidation | None) -> list[str]:
    if found is None:
        return []
    return [
        f"Over {found.folds} folds of the training part, each judged by a model of the others:",
        "",
        "| metric | mean | standard deviation |",
        "|---|---|---|",
        *(f"| {metric} | {found.mean[metric]:.4f} | {found.deviation[metric]:.4f} |" for metric in found.mean),
        "",
    ]


def _mistakes(use_case: UseCase, manifest: ModelManifest, holdout: Metrics) -> list[str]:
    """Rows by what they are and what they were called; nothing of a regression."""
    if isinstance(holdout, BinaryMetrics):
        confusion = holdout.confusion
        return [
            f"At the threshold {manifest.threshold:.6f}, chosen on the training side by F1:",
            f"{confusion.true_positive:,} positives found, {confusion.false_negative:,} missed,",
            f"{confusion.false_positive:,} false alarms, {confusion.true_negative:,} negatives left in peace.",
            "",
        ]
    if isinstance(holdout, MulticlassMetrics):
        classes = use_case.label.classes
        return [
            f"| true class | {' | '.join(f'called {name}' for name in classes)} |",
            f"|---|{'---|' * len(classes)}",
            *(
                f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"
                for name, counts in zip(classes, holdout.confusion, strict=True)
            ),
            "",
        ]
    return []


def _rules(gate: QualityGate) -> list[str]:
    rules = (
        ("at least", gate.minimum),
        ("at most", gate.maximum),
        ("gains over the baseline at least", gate.gain_over_baseline),
        ("loses to the champion and to the best that ever was at most", gate.largest_loss_to_champion),
    )
    return [f"- {metric} {what} {bound:g}" for what, bounds in rules for metric, bound in bounds.items()]


def _rows(rows: int, positives: int | None, classes: dict[str, int] | None) -> str:
    if positives is not None:
        return f"{rows:,} rows, {positives:,} positive ({positives / rows:.2%})"
    if classes is not None:
        return f"{rows:,} rows ({', '.join(f'{name}: {count:,}' for name, count in classes.items())})"
    return f"{rows:,} rows"


def _split(use_case: UseCase) -> str:
    rule = f"the last {use_case.split.holdout_fraction:.0%} by {use_case.event_time}"
    if use_case.split.by == "random":
        rule = f"{use_case.split.holdout_fraction:.0%} drawn at random, rows of the same features as one"
    return f"{rule}, no {use_case.entity_key} on both sides" if use_case.split.entities_apart else rule
