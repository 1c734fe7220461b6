"""Figures of the literature, computed afresh: `papers` compute, draw and judge, `gallery` makes and shows them all.

A module of `papers` states its figures as `FIGURES`, a list of `reproduction.Reproduction`; `simlab reproduce` finds it
there.
"""
