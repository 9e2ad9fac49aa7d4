"""The compiled forms of a forest of 100 trees, side by side: microseconds per row, and how exact they are.

    python -m benchmarks.forest                scikit-learn, ONNX Runtime, a flattened forest in C and in numpy
    python -m benchmarks.forest --treelite     also Treelite's interpreter; uv downloads it into a folder of its own

Every contestant gets rows of features with nulls, float64, and answers the probability of class 1: the imputer is part
of it. ONNX Runtime is the platform's compiled form. The C one needs a compiler, and is left out without one. All run
in one process on one core, one thread each, in turn; a figure is the median over the rounds. *Exact* is over random
rows and rows of nulls and extremes, scored all at once and one by one: the largest difference from scikit-learn, and
the labels that differ at a threshold of 0.5.
"""

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from benchmarks.results import Figures, table
from benchmarks.rivals import ENVIRONMENTS
from mlops_platform.models.scorer import CompiledScorer
from mlops_platform.use_case.find import get_use_case
from tests.serving.installation import random_inputs
from training.compiled import awkward_rows, compile_pipeline, describe
from training.estimators import tabular_builders

USE_CASE = get_use_case("credit_risk")
TREELITE = "treelite==4.8.1"
SOURCE = Path(__file__).with_suffix(".c")
TREES, BATCH, THRESHOLD = 100, 100, 0.5
FITTED_ROWS, CHECKED_ROWS, SINGLE_ROWS = 20_000, 10_000, 1_000
SECONDS_PER_TURN = 0.2
DEPTHS = {"depth 8": 8, "full depth": None}
NODE = np.dtype([("value", "f8"), ("feature", "i4"), ("child", "i4", 2), ("unused", "i4")])

Score = Callable[[np.ndarray], np.ndarray]
"""From rows of features, shape ``(n, features)``, to the probability of class 1 of each, shape ``(n,)``."""


class Flattened:
    """A forest as one array of nodes, and its imputer."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.forest: RandomForestClassifier = pipeline[-1]
        imputer = next(step for step in pipeline[0].named_steps.values() if isinstance(step, SimpleImputer))
        self.statistics = np.ascontiguousarray(imputer.statistics_, dtype=np.float64)
        self.flagged = np.ascontiguousarray(imputer.indicator_.features_, dtype=np.int32)
        trees = [estimator.tree_ for estimator in self.forest.estimators_]
        self.roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])], dtype=np.int32)
        self.nodes = np.concatenate([_nodes(tree, root) for tree, root in zip(trees, self.roots, strict=True)])
        self.depth = max(tree.max_depth for tree in trees)

    def prepared(self, rows: np.ndarray) -> np.ndarray:
        """Nulls replaced and flagged, in single precision."""
        null = np.isnan(rows)
        return np.hstack([np.where(null, self.statistics, rows), null[:, self.flagged]]).astype(np.float32)


def _nodes(tree: object, root: int) -> np.ndarray:
    """The nodes of a tree; a leaf leads to itself, so that a walk of the greatest depth ends there too."""
    leaf = tree.children_left == -1  # type: ignore[attr-defined]
    nodes = np.zeros(len(leaf), dtype=NODE)
    itself = np.arange(len(leaf))
    nodes["value"] = np.where(leaf, tree.value[:, 0, 1], tree.threshold)  # type: ignore[attr-defined]
    nodes["feature"] = np.where(leaf, -1, tree.feature)  # type: ignore[attr-defined]
    nodes["child"][:, 0] = root + np.where(leaf, itself, tree.children_left)  # type: ignore[attr-defined]
    nodes["child"][:, 1] = root + np.where(leaf, itself, tree.children_right)  # type: ignore[attr-defined]
    return nodes


def in_numpy(flat: Flattened) -> Score:
    """All trees of all rows take a step at a time."""
    value, feature = flat.nodes["value"].copy(), np.maximum(flat.nodes["feature"], 0).astype(np.intp)
    child = flat.nodes["child"].astype(np.intp).ravel()

    def score(rows: np.ndarray) -> np.ndarray:
        inputs = flat.prepared(rows)
        row = np.arange(len(rows))[:, None]
        at = np.broadcast_to(flat.roots, (len(rows), len(flat.roots)))
        for _ in range(flat.depth):
            at = child[2 * at + (inputs[row, feature[at]] > value[at])]
        # added in the order of the trees, not pairwise
        return np.add.accumulate(value[at], axis=1)[:, -1] / len(flat.roots)

    return score


def compiled(folder: Path) -> ctypes.CDLL | None:
    """The C form as a library; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "forest.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True)
    return ctypes.CDLL(str(library))


def in_c(flat: Flattened, library: ctypes.CDLL) -> Score:
    function = library.score
    function.restype = None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    function.argtypes = [pointer, pointer, number, pointer, number, pointer, number, pointer, number, pointer]
    forest = (flat.nodes.ctypes.data, flat.roots.ctypes.data, len(flat.roots))
    imputer = (flat.statistics.ctypes.data, len(flat.statistics), flat.flagged.ctypes.data, len(flat.flagged))

    def score(rows: np.ndarray) -> np.ndarray:
        scores = np.empty(len(rows))
        function(*forest, *imputer, rows.ctypes.data, len(rows), scores.ctypes.data)
        return scores

    return score


def in_treelite(flat: Flattened) -> Score:
    import treelite  # type: ignore[import-not-found]  # noqa: PLC0415 - only where it was asked for

    model = treelite.sklearn.import_model(flat.forest)

    def score(rows: np.ndarray) -> np.ndarray:
        # it compares doubles: a forest's inputs are single ones
        inputs = flat.prepared(rows).astype(np.float64)
        probabilities: np.ndarray = treelite.gtil.predict(model, inputs, nthread=1)
        return probabilities.reshape(len(rows), -1)[:, -1]

    return score


def install_treelite(folder: Path) -> None:
    """Make Treelite importable, over the project's own numpy and scipy."""
    place = folder / "treelite"
    command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", str(place), "--no-deps"]
    subprocess.run([*command, TREELITE], check=True)
    sys.path.append(str(place))


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of credit risk, with nulls, and a label that depends on some of them."""
    chance = np.random.default_rng(seed)
    inputs = random_inputs(chance, rows)
    risk = np.nan_to_num(inputs[:, 2], nan=30) / 60 + np.nan_to_num(inputs[:, 3], nan=128) / 640
    return inputs, (risk + chance.normal(0, 0.3, rows) > 0.8).astype(int)


def contestants(pipeline: Pipeline, library: ctypes.CDLL | None, *, treelite: bool) -> dict[str, Score]:
    flat = Flattened(pipeline)
    found: dict[str, Score] = {
        "ONNX Runtime": CompiledScorer(compile_pipeline(pipeline, USE_CASE), describe(USE_CASE)).score,
        "scikit-learn": lambda rows: pipeline.predict_proba(rows)[:, 1],
        "flattened, numpy": in_numpy(flat),
    }
    if library is not None:
        found["flattened, C"] = in_c(flat, library)
    if treelite:
        found["Treelite"] = in_treelite(flat)
    return found


def singly(score: Score, rows: np.ndarray) -> np.ndarray:
    return np.array([score(row)[0] for row in each(rows, 1)])


def each(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows) - size + 1, size))


def microseconds_per_row(score: Score, rows: np.ndarray, size: int) -> float:
    """Over as many calls as fit into a turn, each with other rows."""
    scored, started = 0, time.perf_counter()
    while True:
        for part in each(rows, size):
            score(part)
            scored += size
            if (elapsed := time.perf_counter() - started) >= SECONDS_PER_TURN:
                return elapsed / scored * 1e6


def compare(depth: str, scores: dict[str, Score], rounds: int) -> list[Figures]:
    rows, _ = draw(CHECKED_ROWS, seed=2)
    checked = np.vstack([rows, awkward_rows(rows, USE_CASE)])
    few = np.vstack([rows[:SINGLE_ROWS], awkward_rows(rows, USE_CASE)])
    expected = {name: scores["scikit-learn"](given) for name, given in (("all", checked), ("few", few))}
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name, score in scores.items():
            for size in (1, BATCH):
                times.setdefault((name, size), []).append(microseconds_per_row(score, rows, size))
    medians = {key: statistics.median(found) for key, found in times.items()}
    lines: list[Figures] = []
    for name, score in scores.items():
        pairs = ((score(checked), expected["all"]), (singly(score, few), expected["few"]))
        one, many = (medians[name, size] for size in (1, BATCH))
        lines.append(
            {
                "forest": f"{TREES} trees, {depth}",
                "form": name,
                "one_row_us": round(one, 1),
                f"row_of_{BATCH}_us": round(many, 2),
                "one_row_to_onnx": round(one / medians["ONNX Runtime", 1], 2),
                f"row_of_{BATCH}_to_onnx": round(many / medians["ONNX Runtime", BATCH], 2),
                "largest_difference": f"{max(np.abs(a - b).max() for a, b in pairs):.1e}",
                "labels_different": sum(int(((a >= THRESHOLD) != (b >= THRESHOLD)).sum()) for a, b in pairs),
            }
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--treelite", action="store_true", help=f"also {TREELITE}; downloads it")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="its folder (default: %(default)s)")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {0})
    if arguments.treelite:
        install_treelite(arguments.environments)
    lines: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        for depth, limit in DEPTHS.items():
            builder = tabular_builders(USE_CASE)["random_forest"]
            pipeline = builder({"n_estimators": TREES, "max_depth": limit, "n_jobs": None}, 1)
            scores = contestants(pipeline.fit(*draw(FITTED_ROWS, seed=1)), library, treelite=arguments.treelite)
            lines += compare(depth, scores, arguments.rounds)
    print(table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
