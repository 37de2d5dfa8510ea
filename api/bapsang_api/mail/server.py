"""The mail server that letters are handed to, as settings name it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit

SMTP_CA: Final = "BAPSANG_SMTP_TLS_CA"


class Security(StrEnum):
    """How a connection is encrypted. NONE is for servers of the same machine or cluster."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


_PORTS: Final = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}


@dataclass(frozen=True)
class MailServer:
    """Where letters go and whom they are from; `ca` is what the server is verified by (`kit.tls`)."""

    host: str
    port: int
    security: Security
    ca: str
    sender: str  # the address that letters come from, and that servers return them to
    user: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: str, sender: str, ca: str) -> "MailServer":
        """Return the server of a well-formed URL (`urls.smtp_fault`)."""
        parts = urlsplit(url)
        security = Security.TLS if parts.scheme == "smtps" else Security.STARTTLS
        security = Security.NONE if parts.query else security
        user, password = (text and unquote(text) for text in (parts.username, parts.password))
        return cls(
            parts.hostname or "",
            parts.port or _PORTS[security],
            security,
            ca,
            sender,
            user or None,
            password or "" if user else None,
        )

    @property
    def domain(self) -> str:
        """The domain of the sender's address, which Message-IDs end with."""
        return self.sender.rpartition("@")[2]
