"""Numbers that clients write as text. Pure."""

import re
from typing import Final

# Eighteen digits are more than any number here needs. Python's int() takes other scripts, signs, spaces and underscores as well,
# and raises an error of its own for more than 4,300 digits.
_DECIMAL: Final = re.compile("0|[1-9][0-9]{0,17}", re.ASCII)


def number_of(text: str) -> int:
    """Return the number that ASCII digits without a leading zero spell. Raises ValueError for any other text."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("no decimal number")
    return int(text)
