"""A connection to the mail server, kept for one letter after the other. Blocking: the worker calls it on a thread.

It tells the server's own trouble, which is no letter's fault, from what the server says of one letter. Nothing of what a server
says reaches a log but its numbers: servers quote addresses.
"""

import re
import smtplib
import ssl
from email.message import EmailMessage
from enum import StrEnum
from functools import partial
from typing import Final

from bapsang_api.kit import tls
from bapsang_api.mail.server import SMTP_CA, MailServer, Security

COMMAND_SECONDS: Final = 20.0
#: The server may look for spam before it answers.
ANSWER_SECONDS: Final = 60.0
_MOST_LETTERS: Final = 100  # a connection: servers end longer ones
_STATUS: Final = re.compile(rb"\s*([245]\.\d{1,3}\.\d{1,3})(?!\S)")
#: There is no such mailbox, or domain, or the mailbox is closed (RFC 3463).
_NOBODY: Final = re.compile(r"5\.1\.\d+|5\.2\.1")
#: The same from a server without the longer codes.
_NOBODY_CODES: Final = frozenset({550, 551, 553})


class Stage(StrEnum):
    """Where in the conversation a letter failed."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"
    ANSWER = "answer"  # the connection ended before the server had answered: it may have the letter


class ServerDownError(Exception):
    """The mail server does not take any letter now: it cannot be reached, is not verified, or refuses us."""


class RefusedError(Exception):
    """The server did not take this letter. `code` is 0 where it said nothing."""

    def __init__(self, stage: Stage, code: int = 0, text: bytes = b"") -> None:
        found = _STATUS.match(text)
        self.stage, self.code, self.status = stage, code, found[1].decode() if found else ""
        super().__init__(f"{stage} {code} {self.status}".strip())

    @property
    def is_final(self) -> bool:
        """Whether it is of no use to try again: it is the recipient that was refused, for good.

        A sender or a content that is refused is for the operator to put right: until then letters wait.
        """
        return self.code >= 500 and (self.stage is Stage.RECIPIENT or self.is_nobody)

    @property
    def is_nobody(self) -> bool:
        """Whether the server says that there is no such mailbox."""
        if self.stage is Stage.SENDER:
            return False
        if self.status:
            return _NOBODY.fullmatch(self.status) is not None
        return self.stage is Stage.RECIPIENT and self.code in _NOBODY_CODES


class Connection:
    """To one server; opened when it is first needed, and again when it has ended."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None
        self._letters = 0

    def open(self) -> None:
        """Be connected, logged in and ready for a letter. Raises ServerDownError."""
        if self._smtp is not None and self._letters < _MOST_LETTERS and self._answers(self._smtp):
            return
        self.close()
        try:
            self._smtp, self._letters = self._connected(), 0
        except (OSError, smtplib.SMTPException) as error:
            refusal = tls.refused(error, SMTP_CA)
            raise ServerDownError(
                str(refusal or _shown(error))
            ) from None  # a server's words may quote what it was told

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._smtp is None:
            return
        try:
            self._smtp.quit()
        except (OSError, smtplib.SMTPException):
            self._smtp.close()
        self._smtp = None

    def send(self, message: EmailMessage, address: str) -> None:
        """Hand over a letter; returns once the server has taken it. Needs `open`. Raises RefusedError.

        `address` is spelled as in a header. After any error but a refusal the connection is closed.
        """
        assert self._smtp is not None  # noqa: S101 - opened before
        stage = Stage.SENDER
        try:
            self._letters += 1
            _expect(250, stage, *self._smtp.docmd("MAIL", f"FROM:<{self._server.sender}>"))
            stage = Stage.RECIPIENT
            code, text = self._smtp.docmd("RCPT", f"TO:<{address}>")
            _expect(code if code in (250, 251) else 250, stage, code, text)
            stage = Stage.CONTENT
            _expect(354, stage, *self._smtp.docmd("DATA"))
            stage = Stage.ANSWER
            code, text = self._content(message.as_bytes())
            _expect(250, Stage.CONTENT, code, text)
        except RefusedError:
            self._reset()
            raise
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise RefusedError(stage) from error

    def _content(self, content: bytes) -> tuple[int, bytes]:
        assert self._smtp is not None  # noqa: S101 - sending
        sock = self._smtp.sock
        assert sock is not None  # noqa: S101 - connected
        sock.settimeout(ANSWER_SECONDS)
        self._smtp.send(_dotted(content))
        answer = self._smtp.getreply()
        sock.settimeout(COMMAND_SECONDS)
        return answer

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        context = None if server.security is Security.NONE else tls.verifying(server.ca)
        connect = (
            smtplib.SMTP
            if context is None or server.security is not Security.TLS
            else partial(smtplib.SMTP_SSL, context=context)
        )
        smtp = connect(server.host, server.port, local_hostname=server.domain, timeout=COMMAND_SECONDS)
        try:
            if server.security is Security.STARTTLS:
                smtp.ehlo()
                if not smtp.has_extn("starttls"):
                    raise ssl.SSLError("no STARTTLS")
                smtp.starttls(context=context)
            smtp.ehlo()
            if server.user is not None:
                smtp.login(server.user, server.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _reset(self) -> None:
        try:
            if self._smtp is not None and self._smtp.rset()[0] != 250:
                self.close()
        except (OSError, smtplib.SMTPException):
            self.close()

    @staticmethod
    def _answers(smtp: smtplib.SMTP) -> bool:
        try:
            return smtp.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False


def _expect(wanted: int, stage: Stage, code: int, text: bytes) -> None:
    if code != wanted:
        raise RefusedError(stage, code, text)


def _dotted(content: bytes) -> bytes:
    """Return content as DATA carries it: with CRLF, a dot before each line's own, and the end."""
    lines = re.sub(rb"\r?\n", b"\r\n", content)
    return re.sub(rb"(?m)^\.", b"..", lines).removesuffix(b"\r\n") + b"\r\n.\r\n"


def _shown(error: Exception) -> str:
    """Return an error without the server's words."""
    code = getattr(error, "smtp_code", None)
    number = getattr(error, "errno", None)
    return " ".join([type(error).__name__, *(str(one) for one in (code, number) if isinstance(one, int))])
