"""Made-up raw data with the real data's character: ``synthetic.py`` of the use cases that have a generator."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from mlops_platform.errors import PlatformError
from mlops_platform.use_case.find import all_use_cases, file_of, import_part

if TYPE_CHECKING:
    import pyarrow as pa


class Generator(Protocol):
    """What ``synthetic.py`` offers. The same rows and seed give the same table and the same bytes.

    ``FULL_ROWS`` is how many rows the real data has.
    """

    FULL_ROWS: int

    def generate(self, rows: int, seed: int) -> "pa.Table":
        """The columns of ``UseCase.raw_table`` in their order and with their types; as many rows as asked for."""
        ...

    def write_csv(self, *paths: Path, rows: int, seed: int) -> None:
        """The same rows as CSV files in the sources' own notation: one for each source, in the order of the spec."""
        ...


def generators() -> tuple[str, ...]:
    """The use cases that have a generator."""
    return tuple(use_case.name for use_case in all_use_cases() if file_of(use_case.name, "synthetic").is_file())


def get_generator(use_case: str) -> Generator:
    """The generator of a use case.

    Raises:
        PlatformError: the use case has none; names those that have.
    """
    if use_case not in generators():
        raise PlatformError(
            f"there is no generator of raw data for {use_case!r}; there is one for {', '.join(generators())}",
            remedy=f"bring a file: ./start.sh --data {use_case}=FILE",
        )
    return cast(Generator, import_part(use_case, "synthetic", purpose="it makes up raw data"))
