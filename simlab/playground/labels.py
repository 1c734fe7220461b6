"""What the page calls its numbers: of a problem, and of a twin of a training run."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["OF_PROBLEM", "OF_TWIN", "Labels"]


class Labels(NamedTuple):
    """`kind` is the class of the page's body; the rest stands in its text and on its axes."""

    kind: str
    tab: str
    promise: str
    risk: str
    axis: str
    bias: str
    variance: str
    bands: str


OF_PROBLEM = Labels(
    kind="problem",
    tab="Linear regression",
    promise="Drag a learning-rate schedule and see at once, exactly, which eigen-subspaces pay for it.",
    risk="risk",
    axis="excess risk",
    bias="bias",
    variance="variance",
    bands="modes",
)

OF_TWIN = Labels(
    kind="twin",
    tab="Training run",
    promise="Drag a learning-rate schedule and see at once the loss that the twin of a training run predicts.",
    risk="loss above its floor",
    axis="loss above its floor",
    bias="river",
    variance="valley",
    bands="curvature",
)
