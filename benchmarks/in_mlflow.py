"""Runs in MLflow's environment: a pickled pipeline as a model that MLflow serves.

python in_mlflow.py <pipeline.joblib> <model folder> <feature>...
"""

import sys
from pathlib import Path

import joblib
import mlflow.sklearn
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema


def main(pipeline: Path, folder: Path, features: list[str]) -> None:
    mlflow.sklearn.save_model(
        joblib.load(pipeline),
        folder,
        serialization_format="cloudpickle",
        # a feature may be null
        signature=ModelSignature(Schema([ColSpec("double", name, required=False) for name in features])),
        pip_requirements=[],
        pyfunc_predict_fn="predict_proba",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
