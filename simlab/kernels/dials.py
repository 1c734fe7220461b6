"""The codes of rules that are not linear, and the columns of what a step takes: names alone, and no compiler."""

from __future__ import annotations

PLAIN, SIGN, SIGNUM, LION, RMS, RMS_HEAVY, ADAM, AMSGRAD, BOUND, MOD, OWN, LARS, LAMB = range(13)
"""Rows: PLAIN and SIGN none; SIGNUM and LION the momentum m; RMS v; RMS_HEAVY v, m; ADAM m, v; AMSGRAD m, v and the
largest v; BOUND m, v; MOD m, v and the mean rate; OWN what the user says; LARS m, LAMB m, v, and both the origin.
"""

RATE, B1, A1, B2, A2, CM, CG, CV, EPS, LOW, HIGH, FRESH, DECAY, TRUST, ONE = range(15)
"""Columns of the dials. m <- B1 m + A1 g; v <- B2 v + A2 g^2 + FRESH; step RATE (CM m + CG g) / (CV sqrt(v) + EPS);
LOW, HIGH bound the rate of a coordinate (of MOD, LOW is the decay of its mean); DECAY pulls to the origin; TRUST is
what LARS multiplies the ratio of norms by; ONE is 1.
"""
DIALS = 15

STEP, LOSS, SQUARE, PRODUCT, RISK, SLOPE, POWER, CURVATURE, BACK, DISTANCE, BASE, PREVIOUS = range(12)
"""Entries of a summary, from which a feedback makes a learning rate: see `simlab.feedback.Summary`."""
SUMMARY = 12
MEMORY = 16
"""Numbers that a feedback may keep from step to step, 0 at the start, where it asks for no other number."""
NEXT_BATCH = 0
"""Of the memory of a feedback that chooses batches: how many samples the next step draws; all that it may where 0."""
