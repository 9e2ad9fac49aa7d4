"""Errors a person can act on. They know nothing of HTTP, Airflow or Spark; entry points map them."""

REMEDY_FOLLOWS = ". Remedy: "
"""Between what was found and what to do, in every message."""


class PlatformError(Exception):
    """Something the user can mend: what was found, what was expected, and the remedy.

    ``str(error)`` is the whole message on one line: ``<what>. Remedy: <what to do>``. ``transient`` says if another
    attempt may go well though nobody does anything, ``missing`` that something was named that does not exist.
    """

    transient = False
    missing = False

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what.rstrip('.')}{REMEDY_FOLLOWS}{remedy}")
        self.what = what
        self.remedy = remedy


class UnknownUseCase(PlatformError):
    """A use case was named that no file declares."""

    missing = True


class LakeError(PlatformError):
    """The lake lacks an object, has one already, or has another one than was expected."""


class RawDataError(PlatformError):
    """A file or dataset version cannot be used as raw data."""


class UnknownDataset(RawDataError):
    """A dataset version was named that never arrived."""

    missing = True


class DataQualityError(PlatformError):
    """More rows were quarantined than the use case tolerates, or none is left."""


class SnapshotError(PlatformError):
    """A snapshot is missing, damaged, or may not be published by this attempt."""


class UnknownSnapshot(SnapshotError):
    """A snapshot was named that is not kept, or was never published."""

    missing = True


class ModelError(PlatformError):
    """A model folder is missing, damaged, or does not match its use case."""


class UnknownModel(ModelError):
    """A version was named that the registry does not have."""

    missing = True


class BrokenUseCase(PlatformError):
    """A use case whose spec cannot be used; the others go on. ``name`` is its folder's."""

    def __init__(self, name: str, what: str, *, remedy: str) -> None:
        super().__init__(what, remedy=remedy)
        self.name = name
