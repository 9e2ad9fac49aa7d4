"""The online store: the latest features of an entity, by its key, in microseconds."""

from mlops_platform.online_store.protocol import FeatureRow, OnlineStore

__all__ = ["FeatureRow", "OnlineStore"]
