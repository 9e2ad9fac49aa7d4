"""SageMaker's contract of a serving container: the model that lies in ``/opt/ml/model``, on port 8080.

There is no lake and no registry then. The model is taken for the last good copy of a champion, which is what the
service starts from when the registry does not answer; rows of features are predicted, ids are unknown.
"""

import datetime as dt
from pathlib import Path

from mlops_platform.errors import ModelError
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import MANIFEST_FILE
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import get_use_case
from serving.api.hosts import ANY
from serving.follow.last_good import LastGoodFile
from serving.follow.model_copies import ModelCopies
from serving.model import Registration
from serving.paths import serving_paths

MODEL = Path("/opt/ml/model")
PORT = 8080
VERSION = "1"


def adopt_model(settings: PlatformSettings, model: Path = MODEL) -> dict[str, str]:
    """Makes the folder's model the champion of its use case. Returns the variables to serve it with.

    Raises:
        PlatformError: there is no model in the folder, or not of a use case as this image knows it.
    """
    path = model / MANIFEST_FILE
    if not path.is_file():
        raise ModelError(
            f"{model} holds no model: {MANIFEST_FILE} is missing", remedy=f"mount a model folder at {model}"
        )
    use_case = get_use_case(model_manifest.read(model).use_case)
    digest = model_manifest.manifest_sha256(model)
    model_manifest.verify(model, use_case, digest)
    paths, name = serving_paths(settings), use_case.name
    registration = Registration(version=VERSION, manifest_sha256=digest, registered_at=dt.datetime.now(dt.UTC))
    copies = ModelCopies(use_case, paths.models(name))
    copies.adopt(model, registration)
    copies.load(registration)
    LastGoodFile(paths.last_good(name), paths.models(name), paths.snapshots(name)).note(None, registration, None)
    return {
        "MLOPS_BIND_ADDRESS": "0.0.0.0",  # noqa: S104 - the container's, for whoever may reach it
        "MLOPS_SERVING_PORT": str(PORT),
        "MLOPS_SERVING_REQUIRE_API_KEY": "false",
        "MLOPS_SERVING_ALLOWED_HOSTS": ANY,
        "MLOPS_SERVING_DEFAULT_USE_CASE": use_case.name,
    }
