"""All rows of the matrix: of operations and of keys that are wrapped or derived, and of those that are made."""

from __future__ import annotations

from typing import Any

import matrix_asymmetric
import matrix_derivations
import matrix_symmetric
from matrix import Row

ROWS: list[Row] = [*matrix_symmetric.ROWS, *matrix_asymmetric.ROWS, *matrix_derivations.ROWS]
MADE: list[Any] = [*matrix_symmetric.GENERATIONS, *matrix_derivations.GENERATIONS, *matrix_asymmetric.PAIRS]
