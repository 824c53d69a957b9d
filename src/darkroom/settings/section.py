"""What the parts of the tree are made of."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from darkroom.settings import checks

MIB = 1024 * 1024
DAY = 24 * 3600
YEAR = 365 * DAY

Seconds = Annotated[float, Field(ge=0, le=YEAR, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=1024, le=1024 * MIB)]
FilePath = Annotated[Path, AfterValidator(checks.absolute_path)]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class Section(BaseModel):
    """A part of the tree. Frozen; unknown names are errors; errors do not repeat what was entered."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)
