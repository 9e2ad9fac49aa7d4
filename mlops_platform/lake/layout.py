"""Where each kind of data lies in the lake: the prefixes of keys."""


def raw(use_case: str) -> str:
    """What arrived, one prefix for each version."""
    return f"raw/{use_case}"


def quarantine(use_case: str) -> str:
    """Rejected rows, by snapshot."""
    return f"quarantine/{use_case}"


def features(use_case: str) -> str:
    """Features as parquet, by snapshot; also the Hive table's location."""
    return f"features/{use_case}"


def online(use_case: str) -> str:
    """The online store's files, by snapshot."""
    return f"online/{use_case}"


def predictions(use_case: str) -> str:
    """The online prediction log as a Hive table, and batch scores."""
    return f"predictions/{use_case}"


def models(use_case: str) -> str:
    """Where a training run leaves its model folders, one for each run and family."""
    return f"models/{use_case}"


AUDIT = "audit"
"""Who did what, by day: ``mlops_platform/audit.py``."""
