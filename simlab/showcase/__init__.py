"""Show pieces of the command line: `simlab river` (valley, decays), `simlab schedules`, `simlab demo`."""
