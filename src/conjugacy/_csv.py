"""Tables as csv text that a spreadsheet shows and does not run."""

from __future__ import annotations

from typing import Any

import pandas as pd

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(table: pd.DataFrame, index: bool = False) -> bytes:
    """A table as csv; texts in it, and names of its rows and columns, that a spreadsheet would take for formulas get a
    ' before them (OWASP, CSV injection). Numbers stay as they are.
    """
    shown = table.copy()
    for k, kind in enumerate(shown.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            shown.isetitem(k, shown.iloc[:, k].map(_defused).astype(object))
    shown.columns = _defused_index(shown.columns)
    if index:
        shown.index = _defused_index(shown.index)
    return shown.to_csv(index=index, lineterminator="\n").encode()


def _defused_index(index: pd.Index) -> pd.Index:
    names = [_defused(name) for name in index.names]
    if isinstance(index, pd.MultiIndex):
        return pd.MultiIndex.from_tuples([tuple(_defused(v) for v in row) for row in index], names=names)
    if pd.api.types.is_numeric_dtype(index.dtype):
        return index.set_names(names)
    return pd.Index([_defused(v) for v in index], name=names[0])


def _defused(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_STARTS_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
