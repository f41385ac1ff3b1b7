"""The kernels for the GPU, in Triton. Launched by `kernels.cuda`, which says what each is for.

Plain functions of addresses and numbers: nothing here knows CuPy, a device or a stream. The same source runs on the
CPU in Triton's interpreter. Sums and products are not fused, so that both give the same numbers.
"""

from __future__ import annotations

from kernels.device import GpuUnavailable

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise GpuUnavailable(f"Triton is missing ({error}); install camring[gpu]") from error


@triton.jit
def _rounded(values):
    """Nearest whole number of float32 below 2²², halves to even: what is added has no room for a fraction."""
    return (values + 12582912.0) - 12582912.0


@triton.jit
def _taps(position, length):
    """Both neighbours of a position on an axis with edges at 0 and `length`, and the share of the second."""
    lower = tl.floor(position - 0.5)
    share = position - 0.5 - lower
    first = lower.to(tl.int32)
    last = length - 1
    return tl.minimum(tl.maximum(first, 0), last), tl.minimum(tl.maximum(first + 1, 0), last), share


@triton.jit
def _mixed(above, above_right, below, below_right, share_y, share_x):
    upper = above * (1 - share_x) + above_right * share_x
    lower = below * (1 - share_x) + below_right * share_x
    return upper * (1 - share_y) + lower * share_y


@triton.jit
def _chroma_at(pairs, offset, wanted):
    """Cb and Cr of an interleaved sample, read together."""
    pair = tl.load(pairs + offset, wanted, other=0)
    return (pair & 255).to(tl.float32), (pair >> 8).to(tl.float32)


@triton.jit
def _level(colours, row: tl.constexpr, luma, cb, cr):
    """One channel of the picture as a grey level 0..255, by a row of the conversion matrix."""
    m = colours + 4 * row
    value = tl.load(m) * luma + tl.load(m + 1) * cb + tl.load(m + 2) * cr + tl.load(m + 3)
    return tl.minimum(tl.maximum(_rounded(value), 0.0), 255.0)


@triton.jit
def nv12_to_input(
    geometry, colours, target,
    WIDTH: tl.constexpr, HEIGHT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """One tile of the input of one frame: sample, convert, normalise, pad.

    geometry  int64 (frames, 16), colours float32 (frames, 24): see `kernels.cuda.InputBuffers`
    target    float32 or float16 (batch, 3, HEIGHT, WIDTH)
    """
    frame = tl.program_id(2)
    geometry += frame * 16
    colours += frame * 24
    height, top = tl.load(geometry + 7).to(tl.int32), tl.load(geometry + 9).to(tl.int32)
    filled_height = tl.load(geometry + 11).to(tl.int32)
    first_row = tl.program_id(1) * ROWS
    if (first_row >= filled_height) & ((first_row >= top + height) | (first_row + ROWS <= top)):
        return  # nothing but padding, which is there already

    luma_plane = tl.load(geometry).to(tl.pointer_type(tl.uint8))
    chroma_plane = tl.load(geometry + 1).to(tl.pointer_type(tl.uint16))
    luma_pitch, chroma_pitch = tl.load(geometry + 2).to(tl.int32), tl.load(geometry + 3).to(tl.int32)
    source_width, source_height = tl.load(geometry + 4).to(tl.int32), tl.load(geometry + 5).to(tl.int32)
    width, left = tl.load(geometry + 6).to(tl.int32), tl.load(geometry + 8).to(tl.int32)
    chroma_width, chroma_height = (source_width + 1) // 2, (source_height + 1) // 2

    row = first_row + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    y, x = row - top, column - left
    real_row = (y >= 0) & (y < height)
    wanted = real_row & (x >= 0) & (x < width)
    middle_y, middle_x = y.to(tl.float32) + 0.5, x.to(tl.float32) + 0.5

    luma_y, luma_x = middle_y * tl.load(colours + 20), middle_x * tl.load(colours + 19)
    if tl.load(geometry + 12) != 0:
        place = luma_y.to(tl.int32) * luma_pitch + luma_x.to(tl.int32)
        luma = tl.load(luma_plane + place, wanted, other=0).to(tl.float32)
    else:
        upper, lower, share_y = _taps(luma_y, source_height)
        before, after, share_x = _taps(luma_x, source_width)
        upper, lower = upper * luma_pitch, lower * luma_pitch
        l00 = tl.load(luma_plane + upper + before, wanted, other=0).to(tl.float32)
        l01 = tl.load(luma_plane + upper + after, wanted, other=0).to(tl.float32)
        l10 = tl.load(luma_plane + lower + before, wanted, other=0).to(tl.float32)
        l11 = tl.load(luma_plane + lower + after, wanted, other=0).to(tl.float32)
        luma = _rounded(_mixed(l00, l01, l10, l11, share_y, share_x))

    chroma_y, chroma_x = middle_y * tl.load(colours + 22), middle_x * tl.load(colours + 21)
    if tl.load(geometry + 13) != 0:
        place = chroma_y.to(tl.int32) * chroma_pitch + chroma_x.to(tl.int32)
        cb, cr = _chroma_at(chroma_plane, place, wanted)
    else:
        upper, lower, share_y = _taps(chroma_y, chroma_height)
        before, after, share_x = _taps(chroma_x, chroma_width)
        upper, lower = upper * chroma_pitch, lower * chroma_pitch
        b00, r00 = _chroma_at(chroma_plane, upper + before, wanted)
        b01, r01 = _chroma_at(chroma_plane, upper + after, wanted)
        b10, r10 = _chroma_at(chroma_plane, lower + before, wanted)
        b11, r11 = _chroma_at(chroma_plane, lower + after, wanted)
        cb = _rounded(_mixed(b00, b01, b10, b11, share_y, share_x))
        cr = _rounded(_mixed(r00, r01, r10, r11, share_y, share_x))

    pad = tl.load(colours + 18)
    slot = tl.load(geometry + 10).to(tl.int32)
    place = target + slot * (3 * HEIGHT * WIDTH) + (row * WIDTH + column)
    # The columns beside the picture are written with it: a mask that is the same for four pixels in a row lets
    # them be stored together.
    stored = (column < WIDTH) & ((row < HEIGHT) & (real_row | (row < filled_height)))
    for channel in tl.static_range(3):
        level = tl.where(wanted, _level(colours, channel, luma, cb, cr), pad)
        value = (level - tl.load(colours + 12 + channel)) * tl.load(colours + 15 + channel)
        tl.store(place + channel * HEIGHT * WIDTH, value.to(target.dtype.element_ty), stored)


@triton.jit
def best_classes(rows, stride, scores, class_ids, anchors, classes, BLOCK: tl.constexpr):
    """Score and class of each anchor; a score that is no number wins, the first of equals stays."""
    anchor = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = anchor < anchors
    best = tl.load(rows + 4 * stride + anchor, real, other=0.0)
    best_class = tl.zeros([BLOCK], tl.int32)
    for index in range(1, classes):
        score = tl.load(rows + (4 + index) * stride + anchor, real, other=0.0)
        better = (score > best) | ((score != score) & (best == best))
        best = tl.where(better, score, best)
        best_class = tl.where(better, index, best_class)
    tl.store(scores + anchor, best, real)
    tl.store(class_ids + anchor, best_class, real)


@triton.jit
def pick_anchors(
    rows, stride, all_scores, all_class_ids, boxes, scores, class_ids, columns, count, anchors, confidence,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Put the anchors that reach the confidence one behind the other, in their order. One program."""
    taken = tl.zeros([], tl.int32)
    for start in range(0, anchors, BLOCK):
        anchor = start + tl.arange(0, BLOCK)
        real = anchor < anchors
        score = tl.load(all_scores + anchor, real, other=0.0)
        chosen = real & ((score >= confidence) | (score != score))
        place = taken + tl.cumsum(chosen.to(tl.int32), 0) - 1
        x, y = tl.load(rows + anchor, chosen), tl.load(rows + stride + anchor, chosen)
        half_width = tl.load(rows + 2 * stride + anchor, chosen) * 0.5
        half_height = tl.load(rows + 3 * stride + anchor, chosen) * 0.5
        tl.store(boxes + 4 * place, x - half_width, chosen)
        tl.store(boxes + 4 * place + 1, y - half_height, chosen)
        tl.store(boxes + 4 * place + 2, x + half_width, chosen)
        tl.store(boxes + 4 * place + 3, y + half_height, chosen)
        tl.store(scores + place, score, chosen)
        tl.store(class_ids + place, tl.load(all_class_ids + anchor, chosen), chosen)
        tl.store(columns + place, anchor.to(tl.int64), chosen)
        taken += tl.sum(chosen.to(tl.int32), 0)
    tl.store(count, taken)


@triton.jit
def rank_scores(scores, order, number, BLOCK: tl.constexpr):
    """`order[k]` is the box with the k-th best score, the first of equals first; what is not above 0 is last."""
    own = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    score = tl.load(scores + own, own < number, other=0.0)
    key = tl.where(score > 0, score, 0.0)[:, None]
    rank = tl.zeros([BLOCK], tl.int32)
    for start in range(0, number, BLOCK):
        other = start + tl.arange(0, BLOCK)
        other_score = tl.load(scores + other, other < number, other=0.0)
        other_key = tl.where(other_score > 0, other_score, 0.0)[None, :]
        first = other[None, :] < own[:, None]
        before = (other_key > key) | ((other_key == key) & first)
        rank += tl.sum((before & (other < number)[None, :]).to(tl.int32), 1)
    tl.store(order + rank, own, own < number)


@triton.jit
def mark_overlaps(boxes, class_ids, order, bits, number, iou, WORDS: tl.constexpr):
    """Bit b of `bits[k, w]`: box k in the order overlaps the better box 32 w + b of its class by more than `iou`.

    Computed in float64 as the reference is, so that the answer is the same to the bit.
    """
    place = tl.program_id(0) * 32 + tl.arange(0, 32)[:, None]
    better_place = tl.program_id(1) * 32 + tl.arange(0, 32)[None, :]
    box = tl.load(order + place, place < number, other=0)
    better = tl.load(order + better_place, better_place < number, other=0)
    left, top = tl.load(boxes + 4 * box).to(tl.float64), tl.load(boxes + 4 * box + 1).to(tl.float64)
    right, bottom = tl.load(boxes + 4 * box + 2).to(tl.float64), tl.load(boxes + 4 * box + 3).to(tl.float64)
    other_left = tl.load(boxes + 4 * better).to(tl.float64)
    other_top = tl.load(boxes + 4 * better + 1).to(tl.float64)
    other_right = tl.load(boxes + 4 * better + 2).to(tl.float64)
    other_bottom = tl.load(boxes + 4 * better + 3).to(tl.float64)
    width = tl.minimum(right, other_right) - tl.maximum(left, other_left)
    height = tl.minimum(bottom, other_bottom) - tl.maximum(top, other_top)
    shared = width * height
    area = (right - left) * (bottom - top)
    other_area = (other_right - other_left) * (other_bottom - other_top)
    touching = (width > 0) & (height > 0)
    ratio = shared / tl.where(touching, area + other_area - shared, 1.0)
    rivals = (
        (better_place < place) & (place < number) & (tl.load(class_ids + box) == tl.load(class_ids + better))
    )
    beaten = rivals & touching & (ratio > iou)
    word = tl.sum(beaten.to(tl.int32) << tl.arange(0, 32)[None, :], 1)
    rows = tl.program_id(0) * 32 + tl.arange(0, 32)
    tl.store(bits + rows * WORDS + tl.program_id(1), word, rows < number)


@triton.jit
def keep_unbeaten(bits, order, scores, kept, count, number, WORDS: tl.constexpr):
    """The boxes that no box that stays has beaten. One program.

    Starts from all and looks again until nothing changes: after k rounds the k best are settled, and in practice
    a few rounds settle all.
    """
    place = tl.arange(0, 32 * WORDS)
    word = tl.arange(0, WORDS)
    real = place < number
    held = real[:, None] & (word * 32 < number)[None, :]
    beaten_by = tl.load(bits + place[:, None] * WORDS + word[None, :], held, other=0)
    box = tl.load(order + place, real, other=0)
    worth = real & (tl.load(scores + box, real, other=0.0) > 0)
    stays = worth
    changes = tl.full([], 1, tl.int32)
    while changes > 0:
        lanes = tl.reshape(stays.to(tl.int32), [WORDS, 32]) << tl.arange(0, 32)[None, :]
        staying = tl.sum(lanes, 1)
        hits = tl.sum(((beaten_by & staying[None, :]) != 0).to(tl.int32), 1)
        now = worth & (hits == 0)
        changes = tl.sum((now != stays).to(tl.int32), 0)
        stays = now
    tl.store(kept + tl.cumsum(stays.to(tl.int32), 0) - 1, box.to(tl.int64), stays)
    tl.store(count, tl.sum(stays.to(tl.int32), 0))


@triton.jit
def assemble_masks(
    prototypes, coefficients, boxes, sizes, grids, scale_x, scale_y, channels, height, width,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Some cells of one mask. `sizes` int64 (n, 3): rows, columns and where the grid begins in `grids`."""
    mask = tl.program_id(1)
    rows, columns = tl.load(sizes + 3 * mask).to(tl.int32), tl.load(sizes + 3 * mask + 1).to(tl.int32)
    cell = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = cell < rows * columns
    row, column = cell // tl.maximum(columns, 1), cell % tl.maximum(columns, 1)
    left, top = tl.load(boxes + 4 * mask) * scale_x, tl.load(boxes + 4 * mask + 1) * scale_y
    right, bottom = tl.load(boxes + 4 * mask + 2) * scale_x, tl.load(boxes + 4 * mask + 3) * scale_y
    x = left + (column.to(tl.float32) + 0.5) * ((right - left) / tl.maximum(columns, 1))
    y = top + (row.to(tl.float32) + 0.5) * ((bottom - top) / tl.maximum(rows, 1))
    upper, lower, share_y = _taps(y, height)
    before, after, share_x = _taps(x, width)
    upper, lower = upper * width, lower * width
    logit_00, logit_01 = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    logit_10, logit_11 = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for channel in range(channels):
        factor = tl.load(coefficients + mask * channels + channel)
        plane = prototypes + channel * height * width
        logit_00 += factor * tl.load(plane + upper + before, real, other=0.0)
        logit_01 += factor * tl.load(plane + upper + after, real, other=0.0)
        logit_10 += factor * tl.load(plane + lower + before, real, other=0.0)
        logit_11 += factor * tl.load(plane + lower + after, real, other=0.0)
    probability = _mixed(
        1 / (1 + tl.exp(-logit_00)), 1 / (1 + tl.exp(-logit_01)),
        1 / (1 + tl.exp(-logit_10)), 1 / (1 + tl.exp(-logit_11)), share_y, share_x,
    )  # fmt: skip
    tl.store(grids + tl.load(sizes + 3 * mask + 2) + cell, (probability > 0.5).to(tl.uint8), real)


@triton.jit
def blend_mask(
    plane, pitch, rows, columns, grid, grid_rows, grid_columns,
    first_y, first_x, step_y, step_x, colour, other_colour, opacity,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """One tile of the rectangle in one plane. Positions and levels in float64, as the reference."""
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    wanted = (row < rows) & (column < columns)
    upper, lower, share_y = _taps(first_y + row.to(tl.float64) * step_y, grid_rows)
    before, after, share_x = _taps(first_x + column.to(tl.float64) * step_x, grid_columns)
    upper, lower = upper * grid_columns, lower * grid_columns
    coverage = _mixed(
        tl.load(grid + upper + before, wanted, other=0).to(tl.float64),
        tl.load(grid + upper + after, wanted, other=0).to(tl.float64),
        tl.load(grid + lower + before, wanted, other=0).to(tl.float64),
        tl.load(grid + lower + after, wanted, other=0).to(tl.float64),
        share_y,
        share_x,
    )
    inside = wanted & (coverage > 0.5)
    for channel in tl.static_range(CHANNELS):
        place = plane + row * pitch + column * CHANNELS + channel
        level = tl.load(place, inside, other=0).to(tl.float64)
        wanted_level = colour if channel == 0 else other_colour
        mixed = level + (wanted_level - level) * opacity
        # 1.5 · 2⁵²: as in `_rounded`, for float64.
        rounded = (mixed + 6755399441055744.0) - 6755399441055744.0
        tl.store(place, rounded.to(tl.uint8), inside)


@triton.jit
def nv12_crops_to_input(
    geometry, colours, target,
    CHANNELS_LAST: tl.constexpr, WIDTH: tl.constexpr, HEIGHT: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    """One tile of the input of one crop: sample within the rectangle, convert, normalise.

    geometry  int64 (crops, 16), colours float32 (crops, 24): see `kernels.crops_cuda.CropInput`
    target    float32 or float16 (batch, 3, HEIGHT, WIDTH), or (batch, HEIGHT, WIDTH, 3) with CHANNELS_LAST
    """
    crop = tl.program_id(2)
    geometry += crop * 16
    colours += crop * 24
    luma_plane = tl.load(geometry).to(tl.pointer_type(tl.uint8))
    chroma_plane = tl.load(geometry + 1).to(tl.pointer_type(tl.uint16))
    luma_pitch, chroma_pitch = tl.load(geometry + 2).to(tl.int32), tl.load(geometry + 3).to(tl.int32)
    left, top = tl.load(geometry + 4).to(tl.int32), tl.load(geometry + 5).to(tl.int32)
    width, height = tl.load(geometry + 6).to(tl.int32), tl.load(geometry + 7).to(tl.int32)

    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    wanted = (row < HEIGHT) & (column < WIDTH)
    # Neighbours beyond the rectangle are its own edge, and so are their chroma samples.
    upper, lower, share_y = _taps((row.to(tl.float32) + 0.5) * tl.load(colours + 19), height)
    before, after, share_x = _taps((column.to(tl.float32) + 0.5) * tl.load(colours + 18), width)
    upper, lower, before, after = upper + top, lower + top, before + left, after + left

    l00 = tl.load(luma_plane + upper * luma_pitch + before, wanted, other=0).to(tl.float32)
    l01 = tl.load(luma_plane + upper * luma_pitch + after, wanted, other=0).to(tl.float32)
    l10 = tl.load(luma_plane + lower * luma_pitch + before, wanted, other=0).to(tl.float32)
    l11 = tl.load(luma_plane + lower * luma_pitch + after, wanted, other=0).to(tl.float32)
    luma = _rounded(_mixed(l00, l01, l10, l11, share_y, share_x))

    upper, lower = (upper // 2) * chroma_pitch, (lower // 2) * chroma_pitch
    before, after = before // 2, after // 2
    b00, r00 = _chroma_at(chroma_plane, upper + before, wanted)
    b01, r01 = _chroma_at(chroma_plane, upper + after, wanted)
    b10, r10 = _chroma_at(chroma_plane, lower + before, wanted)
    b11, r11 = _chroma_at(chroma_plane, lower + after, wanted)
    cb = _rounded(_mixed(b00, b01, b10, b11, share_y, share_x))
    cr = _rounded(_mixed(r00, r01, r10, r11, share_y, share_x))

    slot = tl.load(geometry + 8).to(tl.int32)
    place = target + slot * (3 * HEIGHT * WIDTH)
    for channel in tl.static_range(3):
        level = _level(colours, channel, luma, cb, cr)
        value = (level - tl.load(colours + 12 + channel)) * tl.load(colours + 15 + channel)
        if CHANNELS_LAST:
            offset = (row * WIDTH + column) * 3 + channel
        else:
            offset = channel * HEIGHT * WIDTH + (row * WIDTH + column)
        tl.store(place + offset, value.to(target.dtype.element_ty), wanted)
