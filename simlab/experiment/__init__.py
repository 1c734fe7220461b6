"""The experiment file: TOML tables [problem], [schedule], [method], [record] and [compare], validated, run, stored.

    experiment = Experiment.from_file("experiment.toml")
    trace = experiment.run()

Tables are checked against the signatures of the builders that they call (`simlab.experiment.tables`), so that a new
parameter of a schedule, method or problem is known to the file without another line of code.
"""

from simlab.experiment.document import Experiment
from simlab.experiment.example import EXAMPLE, write_example

__all__ = ["EXAMPLE", "Experiment", "write_example"]
