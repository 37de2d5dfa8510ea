"""Command line: `bapsang-cost bill`, `compare` and `search` print what designs cost, and which is the cheapest that holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from bapsang_operator.cost import capacity, estate, prices
from bapsang_operator.cost.design import NAMED, REFERENCE, Cdn, Design, Egress, Traffic
from bapsang_operator.cost.prices import PriceBook, PriceError
from bapsang_operator.cost.report import report
from bapsang_operator.cost.search import search
from bapsang_operator.resource import parse, validate

_Shape = TypeVar("_Shape", Design, Traffic)
_ENUMS: Final[dict[str, type[StrEnum]]] = {"egress": Egress, "cdn": Cdn}
_SHOWN: Final = 12


class UsageError(Exception):
    """An argument that cannot be used; the message names it."""


def _changed(shape: _Shape, settings: Sequence[str]) -> _Shape:
    """Return `shape` with settings such as `burst_nodes=4`. Raises UsageError that names the setting."""
    known = {field.name: getattr(shape, field.name) for field in fields(shape)}
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known:
            raise UsageError(f"{name}: no such setting; known are {', '.join(sorted(known))}")
        changes[name] = _parsed(name, text, known[name])
    return replace(shape, **changes)


def _parsed(name: str, text: str, old: Any) -> Any:
    if name in _ENUMS:
        if text not in list(_ENUMS[name]):
            raise UsageError(f"{name}: must be one of {', '.join(_ENUMS[name])}, not {text!r}")
        return _ENUMS[name](text)
    if isinstance(old, bool):
        if text not in {"true", "false"}:
            raise UsageError(f"{name}: must be true or false, not {text!r}")
        return text == "true"
    if isinstance(old, str):
        return text
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number < 0 or (isinstance(old, int) and number != int(number)):
        raise UsageError(f"{name}: must be a {'whole ' if isinstance(old, int) else ''}number from 0, not {text!r}")
    return int(number) if isinstance(old, int) else number


def _named(name: str) -> tuple[Design, Traffic]:
    """Return a named design with the reference traffic, or a Community's file with its own."""
    if name in NAMED:
        return NAMED[name], REFERENCE
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"{name}: neither a file nor one of {', '.join(NAMED)}")
    return _of_file(path)


def _of_file(path: Path) -> tuple[Design, Traffic]:
    found = [
        one for one in yaml.safe_load_all(path.read_text()) if isinstance(one, dict) and one.get("kind") == "Community"
    ]
    if len(found) != 1:
        raise UsageError(f"{path}: must hold one Community, not {len(found)}")
    violations = validate(found[0].get("spec"))
    if violations:
        raise UsageError(f"{path}: {violations[0]}")
    identity = {"namespace": "default", "uid": "", "generation": 1, **found[0]["metadata"]}
    community = parse({**found[0], "metadata": identity})
    if community.estate is None:
        raise UsageError(f"{path}: spec.estate: is required to know what it costs")
    return estate.design(community.estate, community.originals), estate.traffic(community.estate, community.budget)


def _write(line: str = "") -> None:
    sys.stdout.write(line + "\n")


def _print_bill(design: Design, traffic: Traffic, book: PriceBook) -> None:
    made = report(design, traffic, book)
    _write(f"{'':<16}{'price':<28}{'quantity':>14}{'USD each':>13}{'USD/month':>12}  formula")
    group = ""
    for row in made.rows:
        shown = row.group if row.group != group else ""
        group = row.group
        _write(f"{shown:<16}{row.price:<28}{row.quantity:>14,.2f}{row.unit_usd:>13.7g}{row.usd:>12,.2f}  {row.formula}")
    _write(f"{'TOTAL':<71}{made.usd:>12,.2f}  {made.spot_low:,.2f} to {made.spot_high:,.2f} with the price of spot")
    _write()
    _write(f"per million requests     {made.per_million:.2f} USD")
    if made.revenue_share is not None:
        _write(f"share of revenue         {made.revenue_share:.1%}")
    _write(f"compute, like for like   {made.like_for_like:.0%} less than the same node-hours on x86 on demand")
    _write(f"compute, static peak     {made.static_peak:.0%} less than x86 on demand sized for the peak all month")
    _write(f"all nodes all month      {made.forecast:,.2f} USD")
    _write(f"without any spot node    {capacity.floor_share(design, traffic):.0%} of the peak is carried")
    _write(f"single points of failure {'; '.join(capacity.single_points(design)) or 'none'}")
    _write(
        f"cannot carry             {'; '.join(capacity.shortfalls(design, traffic)) or 'nothing: the peak is carried without any one zone'}"
    )


def _print_comparison(designs: dict[str, Design], traffic: Traffic, book: PriceBook) -> None:
    made = {name: report(design, traffic, book) for name, design in designs.items()}
    groups = list(dict.fromkeys(row.group for one in made.values() for row in one.rows))
    _write(f"{'USD a month':<18}" + "".join(f"{name[-14:]:>15}" for name in made))
    for group in groups:
        sums = (sum(row.usd for row in one.rows if row.group == group) for one in made.values())
        _write(f"{group:<18}" + "".join(f"{usd:>15,.2f}" for usd in sums))
    _write(f"{'TOTAL':<18}" + "".join(f"{one.usd:>15,.2f}" for one in made.values()))
    _write(f"{'per M requests':<18}" + "".join(f"{one.per_million:>15,.2f}" for one in made.values()))
    _write(f"{'like for like':<18}" + "".join(f"{one.like_for_like:>15.0%}" for one in made.values()))
    _write(f"{'static peak':<18}" + "".join(f"{one.static_peak:>15.0%}" for one in made.values()))
    for name, design in designs.items():
        for problem in (*capacity.single_points(design), *capacity.shortfalls(design, traffic)):
            _write(f"{name}: {problem}")


def _print_search(traffic: Traffic, book: PriceBook) -> None:
    found = search(traffic, book)
    _write(
        f"{found.examined:,} designs priced, {found.holding:,} have no single point of failure and carry the peak without a zone"
    )
    _write(
        f"{'USD/month':>10}{'floor':>7}  zones  base               burst              egress         database           CDN"
    )
    for one in found.front[:_SHOWN]:
        design = one.design
        base, burst = f"{design.base_nodes} × {design.base_type}", f"{design.burst_nodes} × {design.burst_type}"
        rest = f"{base:<19}{burst:<19}{design.egress:<15}{design.database:<19}{design.cdn}"
        _write(f"{one.usd:>10,.2f}{one.floor:>7.0%}  {design.zones:<7}{rest}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bapsang-cost", description="What an estate on AWS in Seoul costs.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("bill", help="every row of one design")
    one.add_argument("design", nargs="?", default="lean", help=f"{', '.join(NAMED)}, or a file with a Community")
    one.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change the design")
    several = commands.add_parser("compare", help="several designs side by side")
    several.add_argument("designs", nargs="*", default=list(NAMED), help="as for bill")
    commands.add_parser("search", help="the cheapest designs without a single point of failure, by what they keep")
    for command in commands.choices.values():
        command.add_argument("--traffic", action="append", default=[], metavar="FIELD=VALUE", help="change the traffic")
        command.add_argument("--prices", type=Path, help="another price book")
    return parser


def main(argv: Sequence[str] | None = None, today: date | None = None) -> int:
    """Run the command. Exit code 2: an argument, a file or the price book cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        book = prices.load() if arguments.prices is None else prices.parse(arguments.prices.read_text())
        stale = book.stale(today or datetime.now(UTC).date())
        if stale:
            sys.stderr.write(f"bapsang-cost: prices older than a year: {', '.join(stale)}\n")
        if arguments.command == "bill":
            design, traffic = _named(arguments.design)
            _print_bill(_changed(design, arguments.set), _changed(traffic, arguments.traffic), book)
            return 0
        traffic = _changed(REFERENCE, arguments.traffic)
        if arguments.command == "compare":
            # Side by side means under the same traffic.
            _print_comparison({name: _named(name)[0] for name in arguments.designs}, traffic, book)
        else:
            _print_search(traffic, book)
    except (UsageError, PriceError, OSError, ValueError) as error:
        sys.stderr.write(f"bapsang-cost: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
