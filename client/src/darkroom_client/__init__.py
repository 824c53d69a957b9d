"""The Python SDK of Darkroom, a self-hosted service that makes pictures from prompts.

with Darkroom("https://darkroom.example.com") as darkroom:
    media = darkroom.generate("a red fox in the snow", width=768, seed=7)
    media.files[0].save("fox.png")
"""

from darkroom_client import webhooks
from darkroom_client._orders import Picture, Source
from darkroom_client._version import __version__
from darkroom_client.async_client import AsyncDarkroom
from darkroom_client.client import Darkroom
from darkroom_client.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    BadRequest,
    BudgetExhausted,
    Conflict,
    DamagedFile,
    DarkroomError,
    FieldError,
    Forbidden,
    GenerationCancelled,
    GenerationError,
    GenerationFailed,
    InvalidRequest,
    MediaDeleted,
    NotFound,
    PayloadTooLarge,
    Problem,
    RateLimited,
    ServerError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    UnsupportedMedia,
    WaitTimeout,
    WebhookVerificationError,
)
from darkroom_client.events import CompletedEvent, DeletedEvent, Event, PreviewEvent, ProgressEvent, StatusEvent
from darkroom_client.files import AsyncFile, BaseFile, ContentLink, File, Upload
from darkroom_client.media import (
    AsyncMedia,
    BaseMedia,
    Cost,
    Failure,
    Job,
    JobStatus,
    LogLine,
    Media,
    Page,
    Progress,
    Status,
)
from darkroom_client.models import Model, Price, PriceTier, Route
from darkroom_client.webhooks import WebhookEvent

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AsyncDarkroom",
    "AsyncFile",
    "AsyncMedia",
    "BadRequest",
    "BaseFile",
    "BaseMedia",
    "BudgetExhausted",
    "CompletedEvent",
    "Conflict",
    "ContentLink",
    "Cost",
    "DamagedFile",
    "Darkroom",
    "DarkroomError",
    "DeletedEvent",
    "Event",
    "Failure",
    "FieldError",
    "File",
    "Forbidden",
    "GenerationCancelled",
    "GenerationError",
    "GenerationFailed",
    "InvalidRequest",
    "Job",
    "JobStatus",
    "LogLine",
    "Media",
    "MediaDeleted",
    "Model",
    "NotFound",
    "Page",
    "PayloadTooLarge",
    "Picture",
    "PreviewEvent",
    "Price",
    "PriceTier",
    "Problem",
    "Progress",
    "ProgressEvent",
    "RateLimited",
    "Route",
    "ServerError",
    "Source",
    "Status",
    "StatusEvent",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnsupportedMedia",
    "Upload",
    "WaitTimeout",
    "WebhookEvent",
    "WebhookVerificationError",
    "__version__",
    "webhooks",
]
