"""The vectors that every peer reads: test/vectors of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[3] / "test" / "vectors"


def read_vectors(file: str) -> Any:
    """A whole file of them."""
    return json.loads((_FOLDER / file).read_text("utf-8"))


def vector_list(file: str) -> list[dict[str, Any]]:
    """The vectors of a file that has a list. Fails when it is empty."""
    vectors: list[dict[str, Any]] = read_vectors(file)["vectors"]
    assert vectors, f"{file} has no vectors"
    return vectors
