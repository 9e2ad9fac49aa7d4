"""Who answers: how the requests of a use case are divided between its champion and its challenger."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Routing(BaseModel):
    """By default the champion answers everything, alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    challenger_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=0.0, description="share of the ids that the challenger answers, always the same ones"
    )
    shadow: bool = Field(
        default=False, description="the challenger also predicts what the champion answers, for the log only"
    )
