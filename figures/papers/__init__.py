"""Figures of the literature, computed afresh: one module for each paper, which computes, draws and judges."""
