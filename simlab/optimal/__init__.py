"""Which schedule is best: the certified optimum of a problem, and the best member of a family."""
