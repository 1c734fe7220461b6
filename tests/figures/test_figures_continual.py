"""Continual pre-training on two regressions in a row: claims are refused for numbers that are wrong."""

from __future__ import annotations

import pytest

from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def test_rewarming_raises_first_and_wins_later_where_the_shift_is_weak():
    data = FIGURES["gupta2023-rewarm"].compute("tiny")
    claims = FIGURES["gupta2023-rewarm"].claims(data)
    assert held("gupta2023-rewarm", data) == [0, 1, 2, 3, 5]
    assert claims[0].turns.startswith("holds at c = 0, 0.025, 0.05;")
    assert claims[4].turns == "the old domain loses by a higher peak at c = 0.5, 1 only"
    slow = changed(data, "curves", "B", 3.0, run="re-warmed")
    assert held("gupta2023-rewarm", slow) == [3, 5]
    assert 3 not in held("gupta2023-rewarm", changed(data, "ends", "B", 1.05, what="warmup", value=0.02))
    assert 5 not in held("gupta2023-rewarm", changed(data, "ends", "B", 0.9, what="checkpoint", value=0.5))


def test_replay_is_held_against_the_union():
    data = FIGURES["ibrahim2024-replay"].compute("tiny")
    assert held("ibrahim2024-replay", data) == [0, 1, 2, 3, 4]
    assert 0 not in held("ibrahim2024-replay", changed(data, "unions", "A", 0.9))
    assert 2 not in held("ibrahim2024-replay", changed(data, "ends", "B", 1.2, share=0.05))
    assert 3 not in held("ibrahim2024-replay", changed(data, "ends", "A", 0.5, way="lowest rate"))
    assert 4 not in held("ibrahim2024-replay", changed(data, "unions", "B alone", 0.3))


def test_infinite_schedule_gains_where_tasks_lie_far_apart():
    data = FIGURES["singh2025-infinite"].compute("tiny")
    assert held("singh2025-infinite", data) == [1, 3]
    better = changed(data, "ends", "mean", 0.8, way="infinite")
    assert held("singh2025-infinite", better) == [0, 1]
    assert held("singh2025-infinite", changed(better, "ends", "forgotten", 2.0, way="repeated cosine", shift=0.05)) == [
        0
    ]
    assert 2 in held("singh2025-infinite", changed(data, "stops", "last", 0.5, way="infinite"))
