"""What each theorem is held against, one module for each module of `simlab.theory` and of its name.

A `Check` names a theorem and says how to draw problems inside its assumptions, what is true of them, and what takes
them outside. Every module has a list CHECKS; nothing else is to be registered, and no test is to be written.
"""
