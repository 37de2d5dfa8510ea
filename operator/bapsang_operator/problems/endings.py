"""Why a container has ended: sentences of the operator's own, chosen by a code of a fixed list. Pure.

A termination message is written by a program that was given secrets, so its text is never copied: part of a mistyped
database password once stood in a condition, an Event and the log. What is not one of these codes is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from bapsang_operator.manifest import Manifest

_MESSAGE: Final = re.compile(r"([A-Z_]{1,40})(?: ([0-9]{1,5}))?(?: (BAPSANG_[A-Z0-9_]{1,40}))?")

#: By the codes of `bapsang_api.endings`; a test compares both.
SENTENCES: Final[Mapping[str, str]] = {
    "SETTING_REFUSED": "a setting is not usable",
    "DATABASE_REFUSED": "the database refuses the user, the password or the database's name",
    "DATABASE_TLS": "the database is not what spec.database.tls asks for",
    "DATABASE_UNREACHABLE": "the database cannot be reached",
    "DATABASE_BUSY": "the database had no connection or lock free in time",
    "DATABASE_FAILED": "a statement failed in the database",
    "SCHEMA_BEHIND": "the database lacks migrations that this image needs",
    "SCHEMA_FOREIGN": "the database is another program's",
    "REDIS_REFUSED": "Redis refuses the user or the password",
    "REDIS_TLS": "Redis is not what spec.redis.tls asks for",
    "REDIS_UNREACHABLE": "Redis cannot be reached",
    "REDIS_FAILED": "Redis refused a command",
    "STORAGE_FAILED": "the bucket of images cannot be used",
    "WRITE_BACK_STUCK": "likes are not written back, because another session of the database holds the lock",
    "UNAVAILABLE": "a server that it needs did not answer",
    "SYSTEM_ERROR": "the system refused a call",
    "INTERNAL_ERROR": "an error of the program",
}
_NO_AUTHORITY: Final = "its certificate is of no authority that is trusted"
#: What is wrong with the TLS of a server, by the number after the code; as `bapsang_api.kit.tls` has it, which a test compares.
TLS: Final[Mapping[int, str]] = {
    2026: "it offers no TLS, or none that is accepted",
    2: _NO_AUTHORITY,
    7: _NO_AUTHORITY,
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: _NO_AUTHORITY,
    19: _NO_AUTHORITY,
    20: _NO_AUTHORITY,
    21: _NO_AUTHORITY,
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
#: Of the variables that an API container is given; any other name is left out.
SETTINGS: Final = frozenset(
    {
        *("BAPSANG_DATABASE_URL", "BAPSANG_DATABASE_READER_URL", "BAPSANG_REDIS_URL", "BAPSANG_SIGNING_KEY_FILE"),
        *("BAPSANG_ISSUER", "BAPSANG_AUDIENCE", "BAPSANG_CORS_ORIGINS", "BAPSANG_ADMIN_PORT", "BAPSANG_LOG_LEVEL"),
        *("BAPSANG_S3_BUCKET", "BAPSANG_S3_REGION", "BAPSANG_S3_ENDPOINT", "BAPSANG_S3_UPLOAD_URL"),
        *("BAPSANG_S3_PUBLIC_URL", "BAPSANG_RATE_LIMITS", "BAPSANG_TRUSTED_HOPS", "BAPSANG_PUBLIC_URL"),
        *("BAPSANG_DATABASE_TLS_CA", "BAPSANG_REDIS_TLS_CA", "BAPSANG_ORIGINALS_DAYS", "BAPSANG_HOLD_POSTS"),
        *("BAPSANG_SMTP_URL", "BAPSANG_SMTP_TLS_CA", "BAPSANG_MAIL_FROM"),
    }
)
#: What a container runtime and the kubelet say of themselves.
_REASONS: Final = frozenset(
    {"OOMKilled", "ContainerCannotRun", "StartError", "DeadlineExceeded", "ContainerStatusUnknown"}
)
_SIGNALS: Final = {137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}

#: The kubelet's words of an object that a container needs: nothing but names.
_ABSENT: Final = re.compile(
    r'(?:secret|configmap) "[a-z0-9.-]{1,253}" not found'
    r"|couldn't find key [A-Za-z0-9._-]{1,253} in (?:Secret|ConfigMap) [a-z0-9-]{1,63}/[a-z0-9.-]{1,253}"
)


def sentence(ended: Manifest) -> str:
    """Return how a container ended, from its `terminated` state: exit code, and the cause as far as it is known."""
    code = ended.get("exitCode")
    text = f"exit code {code}"
    reason = ended.get("reason")
    if reason in _REASONS:
        return f"{text}, {reason}"
    cause = told(str(ended.get("message", "")))
    if cause:
        return f"{text}: {cause}"
    return f"{text}, {_SIGNALS[code]}" if code in _SIGNALS else text


def told(message: str) -> str:
    """Return the sentence for a termination message; empty for any that is not of the list."""
    found = _MESSAGE.fullmatch(message.strip())
    if found is None or found[1] not in SENTENCES:
        return ""
    more = [part for part in (found[2], found[3] if found[3] in SETTINGS else None) if part]
    why = f": {TLS.get(int(found[2]), 'its certificate is refused')}" if found[2] and found[1].endswith("_TLS") else ""
    return f"{SENTENCES[found[1]]}{why} ({' '.join([found[1], *more])})"


def hindrance(reason: str, message: str) -> str:
    """Return why a container cannot be started, from its `waiting` state.

    The kubelet is quoted on objects that are absent and on nothing else: a container runtime is given the environment,
    and may repeat it.
    """
    return message if _ABSENT.fullmatch(message) else reason
