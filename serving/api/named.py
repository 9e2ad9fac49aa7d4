"""Which model a request is answered by: a caller may name one, by version or by family."""

import logging
from typing import Annotated

from fastapi import Query

from mlops_platform.errors import PlatformError, UnknownModel
from mlops_platform.models.registry import RegistryDown
from serving.problems import Problem
from serving.runtime import Runtime
from serving.served import Served

logger = logging.getLogger(__name__)

Model = Annotated[
    str | None,
    Query(
        pattern=r"^([1-9][0-9]{0,17}|[a-z][a-z0-9_]{0,62})$",
        description="the model that is to answer, instead of the champion: its version, or its family, of which the "
        "newest is meant unless the champion or the challenger is of it",
    ),
]


async def served_from(runtime: Runtime, use_case: str, model: str | None) -> Served:
    """What a request of this use case is answered from; where a model is named, it answers alone.

    Raises:
        Problem: 404 there is no such model, 409 it cannot be served.
        RegistryDown: it is not loaded, and the registry did not answer.
    """
    if model is None:
        return runtime.served[use_case]
    try:
        return await runtime.followers[use_case].named(model)
    except RegistryDown:
        raise
    except UnknownModel as error:
        raise Problem(404, "unknown-version", error.what) from None
    except (PlatformError, OSError) as error:
        # the reason names paths of this machine
        logger.warning("named model not served", extra={"use_case": use_case, "model": model, "reason": str(error)})
        raise Problem(
            409, "model-refused", f"the model {model} of {use_case} cannot be served; the service's log says why"
        ) from None
