"""What tracks look like, from the embeddings of some of their sightings.

Knows unit vectors and their cosine. Does not know where anything is, nor which network the vectors come from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.tracking.found import Found
from engine.tracking.track_table import TrackTable

Rows = NDArray[np.intp]

KEPT = 0.9
"""Share of what is known of a track that a sure new sighting leaves standing (BoT-SORT's alpha)."""


def remember(tracks: TrackTable, rows: Rows, found: Found, columns: Rows) -> None:
    """Take the looks of boxes `columns` (k,), as far as somebody looked, into those of tracks `rows` (k,).

    A mean over the first sightings, from the tenth on a moving one; unsure boxes, which are often half hidden,
    count less. Embeddings of another length come from another network: all that was known is forgotten.
    """
    if found.looks is None:
        return
    if tracks.looks.shape[1] != found.looks.shape[1]:
        tracks.forget_looks(found.looks.shape[1])
    looked = found.looked[columns]
    rows, columns = rows[looked], columns[looked]
    if not len(rows):
        return
    new = np.maximum(1 - KEPT, 1 / (tracks.sightings[rows] + 1.0)) * found.scores[columns]
    old = 1 - new
    old[tracks.sightings[rows] == 0] = 0
    new[tracks.sightings[rows] == 0] = 1
    mixed = tracks.looks[rows] * old[:, None] + found.looks[columns] * new[:, None]
    lengths = np.linalg.norm(mixed, axis=1)
    usable = lengths > 1e-3
    tracks.looks[rows[usable]] = (mixed[usable] / lengths[usable, None]).astype(np.float32)
    tracks.sightings[rows[usable]] += 1
