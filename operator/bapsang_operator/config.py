"""The operator's settings, from its environment, checked at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

_PREFIX: Final = "BAPSANG_"
_LEVELS: Final = ("debug", "info", "warning", "error")


class ConfigError(Exception):
    """A setting that cannot be used; the message names the variable and says what to do."""


@dataclass(frozen=True)
class Config:
    """Every field is set by BAPSANG_<FIELD>.

    `admin_port`: TCP port of /livez, /readyz and /metrics. `resync_seconds`: how often Secrets are looked at again.
    `workers`: how many Communities are reconciled at the same time.
    """

    admin_port: int = 9000
    log_level: str = "info"
    resync_seconds: int = 30
    workers: int = 4


_RANGES: Final = {"admin_port": (1, 65_535), "resync_seconds": (1, 3_600), "workers": (1, 64)}


def load(environment: Mapping[str, str]) -> Config:
    """Return the settings. Raises ConfigError for an unknown BAPSANG_* variable or a bad value."""
    known = {f"{_PREFIX}{field.name.upper()}": field.name for field in fields(Config)}
    config = Config()
    for variable, text in environment.items():
        if not variable.startswith(_PREFIX):
            continue
        if variable not in known:
            raise ConfigError(f"{variable} is not a setting of the operator; known are {', '.join(sorted(known))}")
        config = _set(config, variable, known[variable], text)
    return config


def _set(config: Config, variable: str, field: str, text: str) -> Config:
    if field == "log_level":
        if text not in _LEVELS:
            raise ConfigError(f"{variable} is {text!r}; set it to one of {', '.join(_LEVELS)}")
        return replace(config, log_level=text)
    low, high = _RANGES[field]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ConfigError(f"{variable} is {text!r}; set it to a whole number from {low} to {high}")
    # Not `replace`: the field is named by a variable, and all of these are integers.
    values: dict[str, int] = {field: int(text)}
    return replace(config, **values)  # type: ignore[arg-type]
