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


def default_labels(count: int) -> tuple[str, ...]:
    """COCO for 80 classes, else class_0, class_1, …"""
    return COCO if count == len(COCO) else tuple(f"class_{index}" for index in range(count))
