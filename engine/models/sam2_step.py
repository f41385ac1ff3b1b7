"""One step of a segmenter over everything that is asked of a frame or of several: prompted and followed objects.

Joins the calls of `engine.models.sam2` and the bank. An object that cannot be done says why, and the others are done.
What is asked for, and what becomes of the answers, is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from engine.errors import PromptError
from engine.models.sam2 import Segmenter
from engine.models.sam2_memory import Key, MemoryBank
from engine.models.sam2_predictions import Features, Predictions
from engine.models.sam2_prompts import check_prompt
from engine.types import I64, Bools, Prompt


class Action(StrEnum):
    """What becomes of an object's memory."""

    NONE = "none"
    """Prompted; nothing is remembered."""
    START = "start"
    """Prompted; what was known is forgotten, and this is the conditioning frame."""
    REFINE = "refine"
    """Prompted upon what is remembered; this frame replaces the conditioning frame. A start where nothing is known."""
    GO_ON = "go-on"
    """By memory, which takes the frame in if it is sure enough."""
    LOOK = "look"
    """By memory, which stays as it is."""


_BY_MEMORY = (Action.GO_ON, Action.LOOK)


@dataclass(frozen=True, slots=True)
class Ask:
    """One object.

    key          camera and object_id; not more than once in a step, except with `Action.NONE`
    frame_index  its frame in the features
    protected    never evicted from the bank
    """

    key: Key
    action: Action
    prompt: Prompt | None = None
    frame_index: int = 0
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What came of it.

    predictions  one row for each ask, in their order; `failures` says why one has none
    remembered   bool (n,): whose frame went into the memory
    evicted      objects that lost their memory for one that was started
    """

    predictions: Predictions
    remembered: Bools
    evicted: tuple[Key, ...]


def step(segmenter: Segmenter, bank: MemoryBank, features: Features, asks: Sequence[Ask]) -> Step:
    """Do what is asked, and remember what is to be remembered. Raises `BackendError`."""
    frame_index = np.array([ask.frame_index for ask in asks], np.int64)
    actions, failures = _plan(bank, features, asks)
    predictions = _predict(segmenter, bank, features, asks, actions)
    for at, failure in enumerate(failures):
        predictions.failures[at] = predictions.failures[at] or failure
    predictions.frame_index = frame_index
    predictions.prompted = np.array([action not in (*_BY_MEMORY, None) for action in actions], np.bool_)
    for ask in asks:
        bank.protect(ask.key, ask.protected)
    evicted = _begin(bank, asks, actions, predictions)
    remembered = _remember(segmenter, bank, features, asks, actions, predictions)
    return Step(predictions, remembered, evicted)


def _plan(bank: MemoryBank, features: Features, asks: Sequence[Ask]) -> tuple[list[Action | None], list[str]]:
    """What is done for each, None for nothing, and why not."""
    actions: list[Action | None] = []
    failures: list[str] = []
    seen: set[Key] = set()
    for ask in asks:
        action: Action | None = ask.action
        failure = _objection(bank, features, ask, again=ask.key in seen)
        if failure:
            action = None
        elif action is Action.REFINE and not bank.remembers(ask.key):
            action = Action.START
        if ask.action is not Action.NONE:
            seen.add(ask.key)
        actions.append(action)
        failures.append(failure)
    return actions, failures


def _objection(bank: MemoryBank, features: Features, ask: Ask, *, again: bool) -> str:
    """Why an ask cannot be carried out; empty if it can."""
    if ask.action in _BY_MEMORY:
        if not bank.remembers(ask.key):
            return "nothing is remembered of it"
    elif ask.prompt is None:
        return "nothing points at it"
    else:
        try:
            refining = ask.action is Action.REFINE and bank.remembers(ask.key)
            check_prompt(ask.prompt, features.sizes_wh[ask.frame_index], refining=refining)
        except PromptError as error:
            return str(error)
    return "it was asked for twice" if again and ask.action is not Action.NONE else ""


def _predict(
    segmenter: Segmenter,
    bank: MemoryBank,
    features: Features,
    asks: Sequence[Ask],
    actions: Sequence[Action | None],
) -> Predictions:
    result = segmenter.absent(len(asks))
    alone = _where(actions, Action.NONE, Action.START)
    if len(alone):
        result.put(alone, segmenter.prompt(features, _frames(asks, alone), _prompts(asks, alone)))
    known = _where(actions, *_BY_MEMORY)
    if len(known):
        result.put(known, segmenter.track(features, _frames(asks, known), bank, _rows(bank, asks, known)))
    refined = _where(actions, Action.REFINE)
    if len(refined):
        rows = _rows(bank, asks, refined)
        found = segmenter.refine(features, _frames(asks, refined), bank, rows, _prompts(asks, refined))
        result.put(refined, found)
    return result


def _begin(
    bank: MemoryBank, asks: Sequence[Ask], actions: list[Action | None], predictions: Predictions
) -> tuple[Key, ...]:
    """Give rows to those that start; one that could not be predicted or finds no room changes nothing."""
    evicted: list[Key] = []
    for at in _where(actions, Action.START):
        if predictions.failures[at]:
            continue
        key = asks[at].key
        try:
            row, gone = bank.add(key)
        except PromptError as error:
            predictions.failures[at] = str(error)
            continue
        bank.forget(row)
        bank.protect(key, asks[at].protected)
        if gone is not None:
            evicted.append(gone)
    return tuple(evicted)


def _remember(
    segmenter: Segmenter,
    bank: MemoryBank,
    features: Features,
    asks: Sequence[Ask],
    actions: Sequence[Action | None],
    predictions: Predictions,
) -> Bools:
    wanted = _where(actions, Action.START, Action.REFINE, Action.GO_ON)
    # An object may have been evicted by one that started in this very step.
    wanted = np.array(
        [at for at in wanted if asks[at].key in bank and not predictions.failures[at]], np.int64
    )
    remembered = np.zeros(len(asks), np.bool_)
    if not len(wanted):
        return remembered
    part = predictions.take(wanted)
    remembered[wanted] = segmenter.remember(features, bank, _rows(bank, asks, wanted), part)
    for at, failure in zip(wanted, part.failures, strict=True):
        predictions.failures[at] = failure
    for at in wanted:
        if actions[at] is Action.START and not bank.remembers(asks[at].key):
            bank.remove(asks[at].key)  # its one frame could not be remembered
    return remembered


def _where(actions: Sequence[Action | None], *which: Action) -> I64:
    return np.array([at for at, action in enumerate(actions) if action in which], np.int64)


def _frames(asks: Sequence[Ask], index: I64) -> I64:
    return np.array([asks[at].frame_index for at in index], np.int64)


def _rows(bank: MemoryBank, asks: Sequence[Ask], index: I64) -> I64:
    rows = [bank.row(asks[at].key) for at in index]
    return np.array([row for row in rows if row is not None], np.int64)


def _prompts(asks: Sequence[Ask], index: I64) -> list[Prompt]:
    prompts = [asks[at].prompt for at in index]
    return [prompt for prompt in prompts if prompt is not None]
