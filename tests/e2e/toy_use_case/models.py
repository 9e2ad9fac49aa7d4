"""Model families of the toy use case: those every use case has."""

from training.models.families import BUILDERS

__all__ = ["BUILDERS"]
