"""Which models a run takes, before anything is started: those that were asked for, or what stands in for them and why.

Knows settings and the lookup of models; loads none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import InferConfig, RunConfig
from engine.control.status import ModelStatus
from engine.errors import ModelNotFound
from engine.models.embedded import EMBEDDED_DETECTOR, StandIn, embedded_folder
from engine.models.entries import REIDENTIFICATION
from engine.models.registry import ResolvedModel, resolve_model
from engine.segment_setup import check_segmenter

if TYPE_CHECKING:
    from engine.models.fetch import Progress

DETECTOR, SEGMENTER = "detector", "segmenter"
_PERSON = "person"


@dataclass(frozen=True, slots=True)
class ChosenModels:
    """The models of a run.

    config    the configuration, with labels and classes that fit the detector
    detector  path of its file, or `motion`
    reid      path of the re-identification network, "" without one
    told      detector and segmenter for people: what was asked for, what is used, why; a segmenter only where a camera
              wants it from the start
    """

    config: RunConfig
    detector: str
    reid: str
    told: dict[str, ModelStatus]


def choose_models(
    config: RunConfig, tell: Callable[[str], Progress], embedded: Path | None = None
) -> ChosenModels:
    """Find the models of a run, fetching those that are not there.

    tell      gives what is told of fetching a model, by its name
    embedded  folder of embedded models, None = the package's

    Raises a `ModelError` where a model cannot be had and nothing may, or can, stand in for it.
    """
    infer, folder = config.infer, embedded or embedded_folder()
    stand_in = StandIn("" if infer.require_model else infer.fallback, folder)
    detector = resolve_model(infer.model, progress=tell(infer.model), stand_in=stand_in)
    told = {DETECTOR: told_of(infer.model, detector.name, detector.reason, detector.degraded)}
    segmenter = check_segmenter(config, folder)
    if segmenter is not None:
        told[SEGMENTER] = told_of(config.segment.model, segmenter.name, segmenter.reason, segmenter.degraded)
    return ChosenModels(
        config=replace(config, infer=_fitted(infer, detector)),
        detector=str(detector.path) if detector.path else detector.name,
        reid=_find_reid(config, tell),
        told=told,
    )


def told_of(asked: str, used: str, reason: str, degraded: str) -> ModelStatus:
    """What is said of a model in `/health`."""
    return {"asked": asked, "used": used, "reason": reason, "degraded": degraded}


def _find_reid(config: RunConfig, tell: Callable[[str], Progress]) -> str:
    """Path of the re-identification network, "" where none is asked for. Raises a `ModelError`."""
    name = config.reid.model
    if not config.reid.enabled:
        return ""
    return str(resolve_model(name, progress=tell(name), kind=REIDENTIFICATION).path)


def _fitted(infer: InferConfig, detector: ResolvedModel) -> InferConfig:
    """Settings that speak of classes, as they hold for this detector. Raises `ModelNotFound` where it finds none."""
    if detector.degraded and detector.name == EMBEDDED_DETECTOR:
        if infer.classes and _PERSON not in infer.classes:
            raise ModelNotFound(
                f"{infer.model} cannot be had, and {EMBEDDED_DETECTOR} finds persons only, but infer.classes wants "
                f"{', '.join(infer.classes)}: engine-models fetch {infer.model}"
            )
        classes = (_PERSON,) if infer.classes else ()
        thresholds = {name: score for name, score in infer.thresholds.items() if name == _PERSON}
        return replace(infer, classes=classes, thresholds=thresholds, labels=())
    if detector.entry is not None and not infer.labels:
        return replace(infer, labels=detector.entry.labels)
    return infer
