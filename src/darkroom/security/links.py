"""Links that work without credentials until they expire, for stores that cannot sign their own."""

import hashlib
import hmac
from datetime import datetime
from uuid import UUID

from darkroom.errors import Forbidden


class LinkSigner:
    """Signs (media, index, expiry) with HMAC-SHA256 (RFC 2104)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, media_id: UUID, index: int, expires_at: int) -> str:
        """The signature, in hex. `expires_at`: seconds since 1970."""
        message = f"file:{media_id}:{index}:{expires_at}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def verify(self, media_id: UUID, index: int, expires_at: int, signature: str, *, now: datetime) -> None:
        """Raise `Forbidden` unless the link is ours and has not expired."""
        right = self.sign(media_id, index, expires_at)
        if not hmac.compare_digest(right.encode(), signature.encode(errors="replace")):
            raise Forbidden("the signature of this link is wrong", field="signature")
        if now.timestamp() >= expires_at:
            raise Forbidden("this link has expired; ask for a new one", field="expires")
