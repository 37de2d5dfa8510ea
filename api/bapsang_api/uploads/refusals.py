"""Why an upload is refused, in words for who uploaded it."""

from bapsang_api.media.verdict import Reason


def message_of(reason: Reason) -> str:
    return str(reason)
