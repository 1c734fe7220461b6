"""Engines, a file for each door and rooms below; they call back for progress and know nothing of files or plots."""
