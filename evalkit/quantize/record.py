"""ladder.json: what is known of every file that was built into a folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from evalkit.errors import UserError
from evalkit.quantize.ladder import Recipe

FILE = "ladder.json"


@dataclass(frozen=True, slots=True)
class Built:
    """One file of a ladder.

    `requantized_from`: the main tensor type of an already quantized source, None for one in full precision.
    `quantizer`: program and version. `fallbacks`: how many tensors, by the type they got, could not have the
    recipe's type, and `fallback_reason` says why. `seconds` is what quantizing took, hashing excluded.
    """

    path: Path
    recipe: Recipe
    sha256: str
    size_bytes: int
    source: str
    source_sha256: str
    requantized_from: str | None
    imatrix_sha256: str | None
    quantizer: str
    fallbacks: dict[str, int] = field(default_factory=dict)
    fallback_reason: str | None = None
    seconds: float = 0.0


def read_records(folder: Path) -> dict[str, Built]:
    """What ladder.json says of the files in `folder`, by file name; nothing if there is no ladder.json.

    Raises:
        UserError: it cannot be read, or something else wrote it.
    """
    from pydantic import TypeAdapter, ValidationError

    file = folder / FILE
    try:
        found = TypeAdapter(list[Built]).validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{file} is not a ladder's record ({first['msg']}): move it away and build into an empty folder"
        ) from error
    # The names are only looked up, never followed: the path is always that of a file in this folder.
    return {built.path.name: replace(built, path=folder / built.path.name) for built in found}


def write_record(folder: Path, built: Built) -> None:
    """Add or replace one file's record; ladder.json is whole at every moment."""
    from pydantic import TypeAdapter

    records = {**read_records(folder), built.path.name: built}
    rows = [replace(record, path=Path(name)) for name, record in sorted(records.items())]
    part = folder / f"{FILE}.part"
    part.write_bytes(TypeAdapter(list[Built]).dump_json(rows, indent=2) + b"\n")
    part.replace(folder / FILE)
