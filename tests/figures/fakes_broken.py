from tests.figures.fakes import broken, fake

FIGURES = [fake("broken", compute=broken), fake("undrawn", draw=broken), fake("whole")]
