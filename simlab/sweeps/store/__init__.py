"""A sweep on disk: arrays, the ledger of what is in them, and the care of both."""
