"""Who is who, when several come at once: the best assignment, and how much worse the next best one is.

Own code, because scipy has one door and that is the tracker's; the matrices here are small.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.identity.table import F64


def best_pairs(values: F64) -> dict[int, int]:
    """Row → column with the greatest sum of values; pairs without a positive value stay apart.

    values  float64 (n, m), finite. Hungarian method with potentials, one shortest path a row: O(n² m).
    """
    rows, columns = values.shape
    if not rows or not columns:
        return {}
    # A column of its own for every row, worth nothing: to stay alone.
    cost = np.concatenate((-np.maximum(values, 0.0), np.zeros((rows, rows))), axis=1)
    width = columns + rows
    row_of = np.full(width + 1, -1, np.intp)
    row_potential, column_potential = np.zeros(rows), np.zeros(width + 1)
    for row in range(rows):
        row_of[width] = row
        column = width
        distance, came_from = np.full(width, np.inf), np.full(width, width, np.intp)
        done = np.zeros(width + 1, np.bool_)
        while row_of[column] >= 0:
            done[column] = True
            at = row_of[column]
            reduced = cost[at] - row_potential[at] - column_potential[:width]
            shorter = ~done[:width] & (reduced < distance)
            distance[shorter], came_from[shorter] = reduced[shorter], column
            following = int(np.argmin(np.where(done[:width], np.inf, distance)))
            step = distance[following]
            row_potential[row_of[done]] += step
            column_potential[done] -= step
            distance[~done[:width]] -= step
            column = following
        while column != width:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    pairs = {int(row_of[column]): column for column in range(columns) if row_of[column] >= 0}
    return {row: column for row, column in sorted(pairs.items()) if values[row, column] > 0}


def pairs_with_margin(values: F64) -> dict[int, tuple[int, float]]:
    """Row → (column, by how much the whole assignment is worth less without this pair).

    For a single row that is the distance from its best to its next best column, or to none at all. For several it
    says how sure each pair is, given all the others: who looks like two, one of whom another one surely is, is sure.
    """
    found: dict[int, tuple[int, float]] = {}
    for rows, columns in _parts(values > 0):
        part = values[np.ix_(rows, columns)]
        best = best_pairs(part)
        total = sum(part[pair] for pair in best.items())
        for row, column in best.items():
            without = part.copy()
            without[row, column] = 0.0
            next_best = sum(without[pair] for pair in best_pairs(without).items())
            found[rows[row]] = columns[column], float(total - next_best)
    return found


def _parts(linked: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Iterator[tuple[list[int], list[int]]]:
    """Rows and columns that have to do with each other, group by group."""
    left = [row for row in range(len(linked)) if linked[row].any()]
    while left:
        rows, columns = {left[0]}, set(np.nonzero(linked[left[0]])[0].tolist())
        while more := {row for row in left if row not in rows and linked[row, sorted(columns)].any()}:
            rows |= more
            columns |= set(np.nonzero(linked[sorted(rows)].any(axis=0))[0].tolist())
        yield sorted(rows), sorted(columns)
        left = [row for row in left if row not in rows]
