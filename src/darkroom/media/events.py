"""The closed union of things that happen to a media.

Each is a line of the media's story in the database, and news for whoever watches the media.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from darkroom.media.model import Failure


@dataclass(frozen=True, slots=True)
class _Happened:
    media_id: UUID
    job_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Ran:
    """The job that an event ends, for those who count: known where it is written, not where it is heard of.

    `seconds`: since its claim; None: nobody had claimed it. `counts`: as a try at its media.
    """

    lane: str
    provider: str | None
    seconds: float | None
    counts: bool


@dataclass(frozen=True, slots=True)
class Paid:
    """US dollars that an event's job of `model` cost at the account `provider`, for those who count."""

    model: str
    provider: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Submitted(_Happened):
    model: str

    @property
    def line(self) -> str:
        """What a person reads in the story."""
        return f"submitted for {self.model}"


@dataclass(frozen=True, slots=True)
class Claimed(_Happened):
    worker: str
    number: int
    lane: str = ""
    waited: float = 0.0

    @property
    def line(self) -> str:
        return f"job {self.number} claimed by {self.worker}"


@dataclass(frozen=True, slots=True)
class Accepted(_Happened):
    provider: str

    @property
    def line(self) -> str:
        return f"accepted by {self.provider}"


@dataclass(frozen=True, slots=True)
class Progressed(_Happened):
    step: int
    total: int

    @property
    def line(self) -> str:
        return f"step {self.step} of {self.total}"


@dataclass(frozen=True, slots=True)
class Stored(_Happened):
    index: int
    content_type: str
    bytes: int

    @property
    def line(self) -> str:
        return f"picture {self.index} stored: {self.content_type}, {self.bytes} bytes"


@dataclass(frozen=True, slots=True)
class Waiting(_Happened):
    reason: str

    @property
    def line(self) -> str:
        return f"waiting: {self.reason}"


@dataclass(frozen=True, slots=True)
class Failed(_Happened):
    failure: Failure
    ran: Ran | None = None

    @property
    def line(self) -> str:
        return f"failed because {self.failure.message} ({self.failure.code})"


@dataclass(frozen=True, slots=True)
class Lost(_Happened):
    worker: str | None
    ran: Ran | None = None

    @property
    def line(self) -> str:
        return f"lost: the lease of {self.worker} ran out"


@dataclass(frozen=True, slots=True)
class Released(_Happened):
    worker: str
    ran: Ran | None = None

    @property
    def line(self) -> str:
        return f"released by {self.worker}"


@dataclass(frozen=True, slots=True)
class Queued(_Happened):
    """Back in the queue with a new job, to run at `run_at`."""

    run_at: datetime

    @property
    def line(self) -> str:
        return f"to be retried at {self.run_at.isoformat(timespec='milliseconds')}"


@dataclass(frozen=True, slots=True)
class CancelRequested(_Happened):
    @property
    def line(self) -> str:
        return "cancellation requested"


@dataclass(frozen=True, slots=True)
class Cancelled(_Happened):
    model: str = ""
    ran: Ran | None = None

    @property
    def line(self) -> str:
        return "cancelled"


@dataclass(frozen=True, slots=True)
class GaveUp(_Happened):
    """`code`: of the last failure."""

    tries: int
    model: str = ""
    code: str = ""
    paid: Paid | None = None

    @property
    def line(self) -> str:
        return f"given up after {self.tries} {'try' if self.tries == 1 else 'tries'}"


@dataclass(frozen=True, slots=True)
class Completed(_Happened):
    files: int
    model: str = ""
    ran: Ran | None = None
    paid: Paid | None = None

    @property
    def line(self) -> str:
        return f"completed with {self.files} {'file' if self.files == 1 else 'files'}"


@dataclass(frozen=True, slots=True)
class Deleted(_Happened):
    paid: Paid | None = None

    @property
    def line(self) -> str:
        return "deleted"


MediaEvent = (
    Submitted
    | Claimed
    | Accepted
    | Progressed
    | Stored
    | Waiting
    | Failed
    | Lost
    | Released
    | Queued
    | CancelRequested
    | Cancelled
    | GaveUp
    | Completed
    | Deleted
)
FINAL = Completed | GaveUp | Cancelled | Deleted
"""After one of these nothing more comes of the media, unless a person retries it."""


@dataclass(frozen=True, slots=True)
class Previewed(_Happened):
    """A picture on its way, for those who watch: news that no story keeps. `image`: a `data:` URI, at most 7 kB."""

    image: str


@dataclass(frozen=True, slots=True)
class BackendSpoke(_Happened):
    """A backend called the hook of a job: whoever runs it looks there. Nobody else is told, and no story keeps it."""


News = MediaEvent | Previewed | BackendSpoke
"""What watchers are told of."""

MOVES = Submitted | Claimed | Progressed | Queued | CancelRequested | Cancelled | GaveUp | Completed | Deleted
TRAVELLING = MOVES | Previewed | BackendSpoke
"""The news that someone in another process acts on. The rest says nothing that one of these does not say as well."""
