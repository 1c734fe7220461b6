"""Mixtures in experiment files: run, sampled, swept, from a state, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import simlab as sl
from simlab import methods, schedules
from simlab.experiment.report import run_experiment

FILE = """
[problem]
kind = "mixture"
share = ["rest", {kind = "join", parts = [
    {kind = "constant", steps = 30, peak = 0.1}, {kind = "constant", steps = 10, peak = 0.5}]}]
weights = [1.0, 2.0]
[[problem.domains]]
name = "general"
kind = "power-law"
dim = 20
capacity = 1.3
source = 1.6
noise_variance = 0.3
[[problem.domains]]
name = "code"
kind = "shifted"
covariance = [1.5, 0.6]
optimum = 0.5
[schedule]
kind = "cosine"
steps = 40
peak = 0.2
[record]
subspaces = "log_bins(2)"
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="mix.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_file_is_the_mixture(written):
    experiment = sl.Experiment.from_file(written(FILE))
    general = sl.LinearRegression.power_law(20, 1.3, 1.6, 0.3)
    share = schedules.join(schedules.constant(30, 0.1), schedules.constant(10, 0.5))
    mixture = sl.Mixture({"general": general, "code": general.shifted([1.5, 0.6], 0.5)}, ["rest", share], [1.0, 2.0])
    wanted = sl.exact(mixture, methods.sgd(schedules.cosine(40, 0.2)), subspaces="log_bins(2)")
    np.testing.assert_array_equal(experiment.run(progress=False).risk, wanted.risk)
    again = sl.Experiment.from_dict(experiment.to_dict())
    assert again.to_dict() == experiment.to_dict()


def test_both_engines_say_and_draw_every_domain(written, tmp_path):
    experiment = sl.Experiment.from_file(written(FILE + '[engine]\nkind = "both"\nreplicas = 32\n'))
    said: list[str] = []
    assert run_experiment(experiment, tmp_path / "out", say=said.append)
    text = "\n".join(said)
    assert text.count("domain general") == text.count("domain code") == 3
    assert text.count("sampled against exact: largest |z|") == 2
    assert (tmp_path / "out" / "risk.png").stat().st_size > 10_000
    trace = sl.RiskTrace.load(tmp_path / "out" / "sampled.zarr")
    assert trace.risk["domain"].values.tolist() == ["general", "code"]


def test_many_runs_are_drawn_by_domain(written):
    text = FILE + '[[compare.schedules]]\npeak = 0.1\n[[compare.schedules]]\nkind = "linear"\n'
    figure = sl.plot.risk(sl.Experiment.from_file(written(text)).run(progress=False))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["general", "code"]
    assert len(figure.axes[0].lines) == 2


@pytest.mark.parametrize("engine", ["exact", "sample"])
def test_a_sweep_keeps_every_domain(written, tmp_path, engine):
    options = "replicas = 8\n" if engine == "sample" else ""
    text = f'{FILE}[engine]\nkind = "{engine}"\n{options}[sweep]\n"problem.domains[1].optimum" = [0.1, 0.5]\n'
    store = tmp_path / "sweep.zarr"
    sl.sweep(written(text), store=store)
    with xr.open_zarr(store) as data:
        final = data["final_risk"].load()
    one = sl.Experiment.from_file(written(f'{FILE}[engine]\nkind = "{engine}"\n{options}')).run(progress=False).final()
    for name in ("general", "code"):
        cell = final.isel({final.dims[0]: 1, final.dims[1]: slice(None)}).sel(component=f"bias of {name}")
        np.testing.assert_allclose(cell, one.sel(component="bias", domain=name), rtol=1e-6)


def test_a_second_phase_from_a_state(written, tmp_path):
    first = sl.Experiment.from_file(written(FILE)).run(progress=False)
    first.save(tmp_path / "first.zarr")
    second = FILE.replace('"first"', '""') + '[start]\ntrace = "first.zarr"\n'
    shares = second[second.index("share =") : second.index("weights")]
    trace = sl.Experiment.from_file(written(second.replace(shares, "share = [0.05, 0.95]\n"))).run(progress=False)
    assert trace.risk["step"].values[[0, -1]].tolist() == [40, 80]
    np.testing.assert_allclose(trace.risk.isel(step=0), first.final(), rtol=1e-12)


@pytest.mark.parametrize("engine", ["exact", "sample"])
def test_workers_are_a_wrapper(written, tmp_path, engine):
    """With domains of their own and a matrix, and from the state of the mean of others."""
    wrap = "workers = 2, every = 10, own_domains = true, mixing = [[0.7, 0.3], [0.3, 0.7]]"
    text = f'{FILE}[method]\nkind = "sgd"\nwrap = [{{kind = "local", {wrap}}}]\n'
    text += '[engine]\nkind = "sample"\nreplicas = 8\n' if engine == "sample" else ""
    text = text.replace("[record]", "[record]\nkeep = [40]").replace("steps = 10, peak = 0.5", "steps = 90, peak = 0.5")
    first = sl.Experiment.from_file(written(text)).run(progress=False)
    assert first.dataset["worker_risk"].sizes["worker"] == 2
    first.save(tmp_path / "first.zarr")
    ring = text.replace("mixing = [[0.7, 0.3], [0.3, 0.7]]", 'mixing = "ring"').replace("keep = [40]", "keep = [80]")
    second = sl.Experiment.from_file(written(ring + '[start]\ntrace = "first.zarr"\n')).run(progress=False)
    np.testing.assert_allclose(second.risk.isel(step=0), first.final(), rtol=1e-12)
    with pytest.raises(sl.InputError, match="mixing has shape"):
        sl.Experiment.from_file(written(text.replace("workers = 2", "workers = 3")))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("weights = [1.0, 2.0]", "weights = [1.0]", r"problem.weights has 1 entries and there are 2 domains"),
        ("peak = 0.5}", "peak = 1.5}", r"problem.share sums to 1.5 at step 30"),
        ('share = ["rest",', "share = [0.5, ", r"problem.share sums to 0.6 at step 0"),
        ("weights =", "wieghts =", r"did you mean 'weights'"),
        ('kind = "shifted"', 'kind = "shiftd"', r"problem.domains\[1\].kind.*did you mean 'shifted'"),
        ("optimum = 0.5", "optimum = 0.5\ndim = 3", r"problem.domains\[1\].*'dim' is not known"),
        ('name = "code"', 'name = "general"', r"problem.domains\[1\].name = 'general' is the name of two domains"),
        ("dim = 20", "dim = 0", r"problem.domains\[0\].dim = 0"),
    ],
)
def test_what_is_refused(written, old, new, said):
    assert old in FILE
    with pytest.raises(sl.InputError, match=said):
        sl.Experiment.from_file(written(FILE.replace(old, new)))


def test_domains_are_tables(written):
    text = FILE[: FILE.index("[[problem")] + FILE[FILE.index("[schedule]") :]
    with pytest.raises(sl.InputError, match=r"problem.domains are no tables; write \[\[problem.domains\]\]"):
        sl.Experiment.from_file(written(text))
    with pytest.raises(sl.InputError, match="engine = 'long' takes no mixtures"):
        sl.Experiment.from_file(written(FILE + '[engine]\nkind = "long"\n'))
