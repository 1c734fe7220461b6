"""Engines: exact moments here; they call back for progress and know nothing of files or plots."""
