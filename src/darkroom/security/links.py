"""Links that work without credentials: to pictures, where the store cannot sign its own, and for backends to call."""

import hashlib
import hmac
from datetime import datetime
from uuid import UUID

from darkroom.errors import Forbidden


class LinkSigner:
    """Signs links to pictures (media, index, expiry) and hooks (media, job) with HMAC-SHA256 (RFC 2104)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, media_id: UUID, index: int, expires_at: int) -> str:
        """The signature, in hex. `expires_at`: seconds since 1970."""
        return self._signed(f"file:{media_id}:{index}:{expires_at}")

    def verify(self, media_id: UUID, index: int, expires_at: int, signature: str, *, now: datetime) -> None:
        """Raise `Forbidden` unless the link is ours and has not expired."""
        if not self.has_signed(media_id, index, expires_at, signature):
            raise _wrong()
        if now.timestamp() >= expires_at:
            raise Forbidden("this link has expired; ask for a new one", field="expires")

    def has_signed(self, media_id: UUID, index: int, expires_at: int, signature: str) -> bool:
        """Whether the link is ours, be it expired or not."""
        return _same(self.sign(media_id, index, expires_at), signature)

    def sign_hook(self, media_id: UUID, job_id: UUID) -> str:
        """The signature, in hex, of a hook that is good as long as the job is."""
        return self._signed(f"hook:{media_id}:{job_id}")

    def verify_hook(self, media_id: UUID, job_id: UUID, signature: str) -> None:
        """Raise `Forbidden` unless the hook is ours."""
        if not _same(self.sign_hook(media_id, job_id), signature):
            raise _wrong()

    def _signed(self, message: str) -> str:
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()


def _same(right: str, signature: str) -> bool:
    return hmac.compare_digest(right.encode(), signature.encode(errors="replace"))


def _wrong() -> Forbidden:
    return Forbidden("the signature of this link is wrong", field="signature")
