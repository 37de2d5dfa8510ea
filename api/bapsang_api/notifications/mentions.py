"""Whom a text mentions: `@nickname`, the whole nickname."""

import re
from typing import Final

from bapsang_api.kit.text import folded

MOST: Final = 10
# Not within an e-mail address or another name. What follows a nickname directly (민지님) belongs to it.
_MENTION: Final = re.compile(r"(?<![\w@.])@([가-힣a-zA-Z0-9]{1,10})(?![가-힣a-zA-Z0-9])")


def mentioned(text: str) -> tuple[str, ...]:
    """Return up to MOST different nicknames that a text mentions, the first ones."""
    names: dict[str, str] = {}
    for found in _MENTION.finditer(text):
        names.setdefault(folded(found[1]), found[1])
        if len(names) == MOST:
            break
    return tuple(names.values())
