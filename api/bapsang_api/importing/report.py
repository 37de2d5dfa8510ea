"""What became of the rows of an older server: counted, and named one by one as far as there is room."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bapsang_api.importing.old import Key, of_json, to_json

#: Rows of a table that are named one by one. Ids and reasons only: the report of a Job is its log.
MOST_NAMED: Final = 1_000


@dataclass
class Tally:
    """What became of the rows of one table: each found one is imported, by this run or before, or skipped for a reason."""

    found: int = 0
    imported: int = 0
    new: int = 0  # by this run
    skipped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)  # imported, but not as they were
    named: list[list[str | None]] = field(default_factory=list)  # old id, new id, reason

    def skip(self, old_id: str, reason: str) -> None:
        self.skipped[reason] += 1
        self._name(old_id, None, reason)

    def take(self, old_id: str, new_id: str, changes: Iterable[str] = ()) -> None:
        """Count a row that this run has taken, and why it is not what it was."""
        self.new += 1
        for reason in dict.fromkeys(changes):
            self.changed[reason] += 1
            self._name(old_id, new_id, reason)

    def _name(self, old_id: str, new_id: str | None, reason: str) -> None:
        if len(self.named) < MOST_NAMED:
            self.named.append([old_id, new_id, reason])

    def fields(self) -> dict[str, Any]:
        """Return the counts as the report has them."""
        return {
            "found": self.found,
            "imported": self.imported,
            "new": self.new,
            "skipped": dict(sorted(self.skipped.items())),
            "changed": dict(sorted(self.changed.items())),
        }

    @property
    def unnamed(self) -> int:
        return self.skipped.total() + self.changed.total() - len(self.named)


@dataclass
class Step:
    """How far a run is with a table: the key of the last row looked at, and what became of all before."""

    name: str
    after: Key | None = None
    tally: Tally = field(default_factory=Tally)
    # Posts whose likes were written while Redis may hold them: it has to load them anew.
    unload: list[str] = field(default_factory=list)
    done: bool = False

    def to_state(self) -> str:
        tally = {**vars(self.tally)}
        after = None if self.after is None else to_json(self.after)
        return json.dumps({"after": after, "unload": self.unload, "tally": tally}, separators=(",", ":"))

    @classmethod
    def of_state(cls, name: str, state: str, *, done: bool) -> "Step":
        held = json.loads(state)
        tally = held["tally"]
        counted = {name: Counter(tally[name]) for name in ("skipped", "changed")}
        after = None if held["after"] is None else of_json(held["after"])
        return cls(name, after, Tally(**{**tally, **counted}), held["unload"], done)


def report_of(
    steps: Mapping[str, Step], *, dry_run: bool, again: bool, seconds: float, unexplained: Iterable[str]
) -> dict[str, Any]:
    """Return the report. `again`: everything had been imported before, so only later rows were looked for."""
    tables = {name: step for name, step in steps.items() if step.tally.found}
    named = [
        {"table": name, "id": old_id, "new_id": new_id, "reason": reason}
        for name, step in tables.items()
        for old_id, new_id, reason in step.tally.named
    ]
    new = sum(step.tally.new for step in steps.values())
    return {
        "dry_run": dry_run,
        "again": again,
        "nothing_new": new == 0,
        "seconds": round(seconds, 1),
        "tables": {name: step.tally.fields() for name, step in steps.items()},
        "unexplained": list(unexplained),
        "named": named,
        "not_named": sum(step.tally.unnamed for step in steps.values()),
    }
