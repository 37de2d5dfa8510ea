"""How a request to the apiserver fails, and what that means for the next one."""

from __future__ import annotations

import re

from bapsang_operator.manifest import Manifest


class KubeError(Exception):
    """A request that failed. `status` is the HTTP status, 0 when there was no answer; `retry_after` are the seconds
    that an overloaded apiserver asks to be left alone, 0 when it asks for nothing. `missing` is the kind, in the plural,
    of what the apiserver did not find; a webhook that denies with 404 names none."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        causes: tuple[str, ...] = (),
        retry_after: int = 0,
        missing: str = "",
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes
        self.missing = missing

    @property
    def is_refusal(self) -> bool:
        """The apiserver will not have this object, however often it is sent."""
        return self.status in {400, 403, 422}

    @property
    def ends_the_pass(self) -> bool:
        """No other request would fare better: no connection, no lease, no namespace. 401 is not among them: a webhook may
        deny with it, and where it is our own token, the status cannot be written either."""
        return self.reason in {"NoAnswer", "Fenced"} or self.is_namespace_gone

    @property
    def concerns_all(self) -> bool:
        """It is not about this object: no other request would fare better, or the apiserver asks for a pause."""
        return self.ends_the_pass or bool(self.retry_after)

    @property
    def is_namespace_gone(self) -> bool:
        """The namespace is gone or being deleted, and with it everything we could do."""
        return self.missing == "namespaces" or "NamespaceTerminating" in self.causes


def refused(status: int, retry_after: str, answer: Manifest, text: str) -> KubeError:
    """Return the error of an answer with a status of 400 or more; `text` is the answer as it came. A proxy's may have
    these fields with something else in them."""
    details, reason, message = answer.get("details"), answer.get("reason"), answer.get("message")
    if not isinstance(details, dict):
        details = {}
    causes = details.get("causes")
    if not isinstance(causes, list):
        causes = []
    return KubeError(
        status,
        reason if isinstance(reason, str) else "",
        message if isinstance(message, str) and message else text[:200],
        tuple(str(cause.get("reason")) for cause in causes if isinstance(cause, dict)),
        int(retry_after) if re.fullmatch("[0-9]{1,6}", retry_after) else 0,
        str(details.get("kind", "")) if status == 404 else "",
    )
