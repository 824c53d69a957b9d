"""What OpenAI's clients ask for, checked in form."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from darkroom.api.native.requests import MOST_FIELDS, Name, Prompt, Text, storable

User = Annotated[Text, Field(max_length=1000)]


class ImagesRequest(BaseModel):
    """A wish for pictures; null is as good as nothing. What else is sent may be a parameter of the model."""

    model_config = ConfigDict(extra="allow")

    prompt: Prompt
    model: Name | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Text | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    output_format: Text | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    quality: Text | None = None
    style: Text | None = None
    moderation: Text | None = None
    complexity: Text | None = None
    input_fidelity: Text | None = None
    user: User | None = None
    safety_identifier: User | None = None

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, body: Any) -> Any:
        if isinstance(body, Mapping) and len(body) > MOST_FIELDS:
            raise ValueError(f"has {len(body)} fields, which is too many")
        return body

    @model_validator(mode="after")
    def _storable(self) -> Self:
        storable(self.more)
        return self

    @property
    def more(self) -> dict[str, Any]:
        """What was sent under names that OpenAI does not know."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}

    @property
    def metadata(self) -> dict[str, str]:
        """Whom the application asks for."""
        user = self.safety_identifier or self.user
        return {"user": user} if user else {}


def of_form(fields: Mapping[str, Any]) -> ImagesRequest:
    """The request that the fields of a form make. Raises `RequestValidationError`."""
    try:
        return ImagesRequest.model_validate(fields)
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(found) from error
