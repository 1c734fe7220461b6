from tests.figures.fakes import fake, killed

FIGURES = [fake("dying", compute=killed), fake("other"), fake("third")]
