"""The river of a landscape: where it runs, which segments lie between crossings, what repeats of a cooldown leave."""
