"""What comes out of an engine: risk traces, and the steps that a run records."""

from simlab.trace.risk import ADDITIVE, RiskTrace, build_trace

__all__ = ["ADDITIVE", "RiskTrace", "build_trace"]
