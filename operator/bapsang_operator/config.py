"""The operator's settings, from its environment, checked at start."""

from __future__ import annotations

import re
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
    `workers`: how many Communities are reconciled at the same time. `namespace`: where the Lease is.
    `lease_seconds`: another process takes over when it has seen no renewal for this long; `lease_renew_seconds`: the
    holder stops writing when it could not renew for this long; `lease_retry_seconds`: how often it renews.
    `keda`, `gateway`: whether the process has rights on KEDA's ScaledObjects, on the Gateway API's HTTPRoutes.
    """

    admin_port: int = 9000
    log_level: str = "info"
    resync_seconds: int = 30
    workers: int = 4
    namespace: str = "bapsang-system"
    lease_seconds: int = 15
    lease_renew_seconds: int = 10
    lease_retry_seconds: int = 2
    keda: bool = False
    gateway: bool = False

    @property
    def write_seconds(self) -> float:
        """Seconds that a write may take: it has ended before another process may take over."""
        return self.lease_seconds - self.lease_renew_seconds - 1.0


_RANGES: Final = {
    "admin_port": (1, 65_535),
    "resync_seconds": (1, 3_600),
    "workers": (1, 64),
    "lease_seconds": (3, 600),
    "lease_renew_seconds": (1, 600),
    "lease_retry_seconds": (1, 60),
}
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


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
    if config.lease_seconds < config.lease_renew_seconds + 2:
        raise ConfigError("BAPSANG_LEASE_SECONDS must exceed BAPSANG_LEASE_RENEW_SECONDS by at least 2")
    if config.lease_renew_seconds <= config.lease_retry_seconds:
        raise ConfigError("BAPSANG_LEASE_RENEW_SECONDS must exceed BAPSANG_LEASE_RETRY_SECONDS")
    return config


def _set(config: Config, variable: str, field: str, text: str) -> Config:
    if field == "log_level":
        if text not in _LEVELS:
            raise ConfigError(f"{variable} is {text!r}; set it to one of {', '.join(_LEVELS)}")
        return replace(config, log_level=text)
    if field == "namespace":
        if _NAMESPACE.fullmatch(text) is None:
            raise ConfigError(f"{variable} is {text!r}; set it to the name of the operator's namespace")
        return replace(config, namespace=text)
    if field in ("keda", "gateway"):
        if text not in ("true", "false"):
            raise ConfigError(f"{variable} is {text!r}; set it to true or false")
        is_on = text == "true"
        return replace(config, keda=is_on) if field == "keda" else replace(config, gateway=is_on)
    low, high = _RANGES[field]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ConfigError(f"{variable} is {text!r}; set it to a whole number from {low} to {high}")
    # Not `replace`: the field is named by a variable, and all of these are integers.
    values: dict[str, int] = {field: int(text)}
    return replace(config, **values)  # type: ignore[arg-type]
