"""How a request to the apiserver fails, and what that means for the next one."""

from __future__ import annotations

from bapsang_operator.child import Manifest


class KubeError(Exception):
    """A request that failed. `status` is the HTTP status, 0 when there was no answer; `retry_after` are the seconds
    that an overloaded apiserver asks to be left alone, 0 when it asks for nothing."""

    def __init__(
        self, status: int, reason: str, message: str, causes: tuple[str, ...] = (), retry_after: int = 0
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes

    @property
    def is_refusal(self) -> bool:
        """The apiserver will not have this object, however often it is sent."""
        return self.status in {400, 403, 422}

    @property
    def ends_the_pass(self) -> bool:
        """No other request would fare better: no connection, no lease, no rights at all, no namespace."""
        return self.reason in {"NoAnswer", "Fenced"} or self.status in {401, 404} or self.is_namespace_terminating

    @property
    def is_namespace_terminating(self) -> bool:
        """The namespace is being deleted, and with it everything we could do."""
        return "NamespaceTerminating" in self.causes


def refused(status: int, retry_after: str, answer: Manifest, text: str) -> KubeError:
    """Return the error of an answer with a status of 400 or more; `text` is the answer as it came."""
    details = answer.get("details") or {}
    causes = tuple(str(cause.get("reason")) for cause in details.get("causes") or ())
    wait = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0
    return KubeError(status, answer.get("reason", ""), answer.get("message") or text[:200], causes, wait)
