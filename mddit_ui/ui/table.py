"""A table that sorts, with one button a row; all text is set as text by the browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mddit_ui.ui.display import Display


class Cell(NamedTuple):
    """What stands there, and by what it is sorted (a number, or nothing: last)."""

    text: str
    sort: float | str | None = None


class Row(NamedTuple):
    """``key`` comes back when the button is pressed; ``picture`` is a data URL; ``mark`` stands out."""

    key: str
    cells: tuple[Cell, ...]
    picture: str = ""
    mark: bool = False


@dataclass(frozen=True, eq=False)
class TableView:
    """What the table shows.

    Args:
        text: names of the columns that hold words.
        minor: names of the columns that are left out where the table is narrow, ``least`` where it is very narrow.
    """

    head: Sequence[str]
    rows: Sequence[Row]
    action: str = ""
    text: Sequence[str] = ()
    minor: Sequence[str] = ()
    least: Sequence[str] = ()


class DataTable(Display):
    """Shows a ``TableView``, or a line of text while there is nothing; ``select`` gives the key of a row."""

    files = "table"

    def postprocess(self, value: TableView | str | None) -> dict[str, Any]:  # type: ignore[override]
        if not isinstance(value, TableView):
            return {"empty": value or ""}
        rows = [
            {"key": row.key, "cells": [list(cell) for cell in row.cells], "picture": row.picture, "mark": row.mark}
            for row in value.rows
        ]
        columns = {"head": value.head, "text": value.text, "minor": value.minor, "least": value.least}
        return {"rows": rows, "action": value.action, **{key: list(names) for key, names in columns.items()}}


def number(value: float | None, form: str) -> Cell:
    """A number for people and for sorting; a dash where there is none."""
    return Cell("–") if value is None else Cell(form.format(value), value)
