"""Tables for the terminal and for Markdown alike."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from typing import Any


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table, the first column to the left and the others to the right."""
    cells = [[*heads], *[[_text(cell) for cell in row] for row in rows]]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(heads))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(
        1,
        "|"
        + "|".join("-" * (width + 2) if not at else "-" * (width + 1) + ":" for at, width in enumerate(widths))
        + "|",
    )
    return "\n".join([f"\n{title}\n", *lines])


def show(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    say(table(title, heads, rows))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        text + " " * (width - _width(text)) if not at else " " * (width - _width(text)) + text
        for at, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def _text(cell: Any) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:,.2f}" if abs(cell) < 10 else f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
