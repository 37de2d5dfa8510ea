"""Kubernetes quantities (`500m`, `1.5Gi`): parsing and comparing by value. The apiserver rewrites what it is sent
(`1000m` comes back as `1`), so comparing the text would see drift for ever."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_SUFFIX: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}

#: The form that the CRD accepts: no sign, no exponent, at most three decimals.
PATTERN: Final = r"^[0-9]{1,12}(\.[0-9]{1,3})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
#: Every suffix: the apiserver may choose another one than it was given (`0.001m` is `1u`, `1024Ti` is `1Pi`).
_PARTS: Final = re.compile(rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_SUFFIX)})")


def parse(text: str | int) -> Decimal:
    """Return the value in base units (cores, bytes). Raises ValueError for text that is not such a quantity."""
    match = _PARTS.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 100m, 2 or 512Mi")
    return Decimal(match[1]) * _SUFFIX[match[2]]


def equal(left: object, right: object) -> bool:
    """Tell whether two quantities have the same value; anything that is not a quantity equals nothing."""
    if not isinstance(left, str | int) or not isinstance(right, str | int):
        return False
    try:
        return parse(left) == parse(right)
    except ValueError:
        return False
