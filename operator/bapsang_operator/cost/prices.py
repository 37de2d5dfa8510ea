"""The price book: unit prices with their dates and sources. Nothing else in the code is a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from typing import Any, Final

import yaml

#: A price older than this is reported: AWS changes a few prices a year.
STALE_AFTER: Final = timedelta(days=365)
SEOUL: Final = "ap-northeast-2"
_FIELDS: Final = {"id", "usd", "unit", "asOf", "source"}


class PriceError(Exception):
    """A price book that cannot be read, or a price that is not in it; the message names it."""


@dataclass(frozen=True)
class Price:
    """One unit price in USD. `spot` is the lowest, usual and highest spot price of an instance, None without one."""

    id: str
    usd: float
    unit: str
    as_of: date
    source: str
    spot: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class PriceBook:
    """Every price of one region."""

    region: str
    prices: Mapping[str, Price]

    def __getitem__(self, name: str) -> float:
        """Return a unit price in USD. Raises PriceError for one that is not in the book."""
        return self.price(name).usd

    def price(self, name: str) -> Price:
        """Return a price with its unit, date and source. Raises PriceError for one that is not in the book."""
        if name not in self.prices:
            raise PriceError(f"{name}: not in the price book of {self.region}")
        return self.prices[name]

    def spot(self, instance: str) -> tuple[float, float, float]:
        """Return the lowest, usual and highest spot price of an instance type, USD an hour."""
        found = self.price(f"ec2.{instance}").spot
        if found is None:
            raise PriceError(f"ec2.{instance}: the price book of {self.region} has no spot price")
        return found

    @property
    def as_of(self) -> date:
        """The date of the oldest price."""
        return min(price.as_of for price in self.prices.values())

    def stale(self, today: date) -> list[str]:
        """Return the ids of prices that are older than a year."""
        return sorted(price.id for price in self.prices.values() if today - price.as_of > STALE_AFTER)


def parse(text: str) -> PriceBook:
    """Return the book that a YAML text holds. Raises PriceError that names what is wrong."""
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PriceError(f"the price book is not YAML: {error}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("prices"), list):
        raise PriceError("prices: must be a list")
    if loaded.get("currency") != "USD":
        raise PriceError("currency: must be USD")
    prices: dict[str, Price] = {}
    for index, row in enumerate(loaded["prices"]):
        price = _price(row, f"prices[{index}]")
        if price.id in prices:
            raise PriceError(f"prices[{index}].id: {price.id} is there twice")
        prices[price.id] = price
    return PriceBook(str(loaded.get("region")), prices)


def _price(row: Any, where: str) -> Price:
    if not isinstance(row, dict) or not set(row) >= _FIELDS:
        raise PriceError(f"{where}: needs {', '.join(sorted(_FIELDS))}")
    if not isinstance(row["asOf"], date):
        raise PriceError(f"{where}.asOf: must be a date such as 2026-10-01")
    spot = row.get("spot")
    for number in (row["usd"], *(spot or ())):
        if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
            raise PriceError(f"{where} ({row['id']}): {number!r} is not a price")
    if spot is not None and (len(spot) != 3 or list(spot) != sorted(spot)):
        raise PriceError(f"{where}.spot: must be the lowest, the usual and the highest price")
    return Price(
        id=str(row["id"]),
        usd=float(row["usd"]),
        unit=str(row["unit"]),
        as_of=row["asOf"],
        source=str(row["source"]),
        spot=None if spot is None else (float(spot[0]), float(spot[1]), float(spot[2])),
    )


def load(region: str = SEOUL) -> PriceBook:
    """Return the book that comes with the operator (`manifests/pricebook/`)."""
    return parse(resources.files("bapsang_operator.cost").joinpath(f"{region}.yaml").read_text())
