"""Class names for files that carry none."""

from __future__ import annotations

COCO = tuple(
    """person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|
parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|
suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|
tennis racket|bottle|wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|
hot dog|pizza|donut|cake|chair|couch|potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|
cell phone|microwave|oven|toaster|sink|refrigerator|book|clock|vase|scissors|teddy bear|hair drier|
toothbrush""".replace("\n", "").split("|")
)
"""The 80 classes of COCO 2017 in the order that detectors use."""

_UNUSED_CATEGORIES = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Category numbers up to 90 that the annotations of COCO 2017 leave out."""


def coco_by_category() -> tuple[str, ...]:
    """COCO by category number 0 to 90, as models that were not renumbered give them; unused ones as class_12, …"""
    names = iter(COCO)
    return tuple(f"class_{number}" if number in _UNUSED_CATEGORIES else next(names) for number in range(91))


def default_labels(count: int) -> tuple[str, ...]:
    """COCO for 80 classes, else class_0, class_1, …"""
    return COCO if count == len(COCO) else tuple(f"class_{index}" for index in range(count))
