"""The table [problem]: builders by kind, measured data from files, compression for all runs at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.delimited import Rows, read_rows
from simlab.doors import notice
from simlab.errors import InputError, brief, check_number, check_path, unknown_name
from simlab.experiment.tables import Table, call, kind_of, shown, within
from simlab.methods import Method
from simlab.problems import DiagonalProblem, EmpiricalRegression, LinearRegression
from simlab.problems import base as problems
from simlab.problems.density import Negative, positive_part
from simlab.reading.spectra import read_spectrum
from simlab.subspaces import Subspaces

__all__ = [
    "FROM_FILES",
    "LAZY",
    "PROBLEMS",
    "Problem",
    "build_problem",
    "check_compressible",
    "compress",
    "files_of",
    "tolerance",
]

Problem = DiagonalProblem | EmpiricalRegression

Target = str | int | list[Any]
"""A column, by its name or number, or several."""
Reader = Callable[[Path, Target], tuple[FloatArray, FloatArray]]

MOST_MODES = 10**8
"""Modes that are held one by one without a word (0.8 GB for each array); beyond, compress."""

LAZY = ("exponential", "logarithmic", "power_law")
"""Kinds that hold no array until one is asked for, which compressing spares them."""


def measured(
    path: str,
    target: Target = "y",
    features: str = "X",
    moments: Literal["gaussian", "empirical"] = "gaussian",
    rank_tolerance: float | None = None,
    holdout: float | str | None = None,
    holdout_seed: int = 0,
    *,
    folder: Path,
) -> Problem:
    """The regression on the rows of a file (see `LinearRegression.from_data`); `path` is relative to `folder`.

    csv: rows of numbers, under a header or not; npy: one matrix; npz: the matrix `features`. `target` is a column, by
    its number from 0 (negative: from the end) or, in a csv, its name; or, in an npz, the name of the array that holds
    it. A list of columns is as many outputs.  holdout : a share of the rows that is not trained on, or the path of a
    second file of the same layout.
    """
    rows = _read(path, target, features, folder, "path")
    other = holdout if holdout is None or isinstance(holdout, float | int) else None
    given: Any = _read(holdout, target, features, folder, "holdout") if isinstance(holdout, str) else other
    more: dict[str, Any] = {"rank_tolerance": rank_tolerance, "holdout": given, "holdout_seed": holdout_seed}
    if moments == "empirical":
        return LinearRegression.from_data(*rows, "empirical", **more)
    if moments != "gaussian":
        raise unknown_name("moments", moments, ["gaussian", "empirical"])
    return LinearRegression.from_data(*rows, "gaussian", **more)


def _read(path: str, target: Target, features: str, folder: Path, field: str) -> tuple[FloatArray, FloatArray]:
    """(X, y) of the file at `path`, or an InputError that calls it `field`."""
    readers: dict[str, Reader] = {".csv": _read_csv, ".npy": _read_npy, ".npz": partial(_read_npz, features=features)}
    where = folder / check_path(field, path)
    if where.suffix.lower() not in readers:
        raise InputError(f" = {brief(path)} ends in none of {', '.join(readers)}; give a file of such a kind.", field)
    try:
        with where.open("rb"):
            pass
        return readers[where.suffix.lower()](where, target)
    except InputError as error:
        if error.field != "path":
            raise
        raise InputError(error.said, field) from None
    except OSError as error:
        raise InputError(
            f" = {str(where)!r} cannot be read ({error.strerror or error}); give a file of data.", field
        ) from None


def spectrum(
    eigenvalues: npt.ArrayLike | None = None,
    path: str | None = None,
    column: str | int | None = None,
    weight: str | int | None = None,
    dim: int | None = None,
    negative: Negative | None = None,
    condition: float | None = None,
    initial_error: npt.ArrayLike = 1.0,
    noise_variance: float | None = None,
    kurtosis: npt.ArrayLike = 3.0,
    multiplicity: npt.ArrayLike | None = None,
    *,
    folder: Path,
) -> LinearRegression:
    """Modes of given eigenvalues, written out or read from a file (txt, csv, npy, npz) at `path`.

    column : of the eigenvalues, a name or a number from 0 (default: the first).  weight : the column of a density,
    which `dim` modes are distributed as (`LinearRegression.from_density`).  negative, condition : what becomes of
    eigenvalues that are not positive, or below lam_1 / condition.
    """
    if (eigenvalues is None) == (path is None):
        raise InputError(" is missing; give eigenvalues, or the path of a file of them, one of the two.", "eigenvalues")
    if noise_variance is None and path is None:
        raise InputError(" is missing; give a number.", "noise_variance")
    if noise_variance is None:
        notice("noise_variance = 1 is taken: a spectrum does not say it.")
        noise_variance = 1.0
    values: Any = eigenvalues
    weights: Any = None
    if path is not None:
        values, weights = read_spectrum(folder / check_path("path", path), column, weight)
    if weights is None and negative is None and condition is None:
        return LinearRegression(values, initial_error, noise_variance, kurtosis, multiplicity)
    error: Any = initial_error
    fourth: Any = kurtosis
    if np.ndim(error) or np.ndim(fourth) or multiplicity is not None:
        raise InputError(
            " is a list, and it is not known which eigenvalue each of its entries belongs to; give one number.",
            "initial_error",
        )
    if weights is None:
        lam, _ = positive_part(values, None, negative, condition, "eigenvalues")
        return LinearRegression(lam, error, noise_variance, fourth)
    if dim is None:
        raise InputError(" is missing; a density needs the number of modes, such as dim = 10_000.", "dim")
    how: Negative = "drop" if negative is None else negative
    return LinearRegression.from_density(values, weights, dim, noise_variance, error, fourth, how, condition)


def _read_csv(path: Path, target: Target) -> tuple[FloatArray, FloatArray]:
    table = read_rows(path)
    if not table.rows:
        raise InputError(f" = {str(path)!r} is empty; give a file with rows of numbers.", "path")
    line, first = table.rows[0]
    columns: list[Any] = target if isinstance(target, list) else [target]
    names = [column for column in columns if isinstance(column, str)]
    headed = any(name in first for name in names) or not all(math.isfinite(table.number(cell)) for cell in first)
    unknown = [name for name in names if name not in first]
    if unknown and headed:
        raise unknown_name(f"target (columns of {path.name})", unknown[0], first)
    if unknown:
        raise InputError(
            f" = {brief(unknown[0])} is no column of {path.name}, whose line {line} is no header but numbers; give "
            f"the number of a column, such as -1 for the last.",
            "target",
        )
    if not headed:
        notice(f"{path.name} has no header: its line {line} is taken as a row of numbers.")
        return _split(_numbers(table, table.rows, [str(j) for j in range(len(first))]), target)
    numbered = [first.index(column) if isinstance(column, str) else column for column in columns]
    matrix = _numbers(table, table.rows[1:], first)
    return _split(matrix, numbered if isinstance(target, list) else numbered[0])


def _numbers(table: Rows, rows: list[tuple[int, list[str]]], header: list[str]) -> FloatArray:
    """The cells as a matrix; InputError names the line of the first that is no finite number."""
    if not rows:
        raise InputError(f" = {str(table.path)!r} has a header and no rows; give at least one row of numbers.", "path")
    matrix = np.empty((len(rows), len(header)))
    for i, (line, cells) in enumerate(rows):
        matrix[i] = [table.number(cell) for cell in cells]
        if not np.all(np.isfinite(matrix[i])):
            j = int(np.flatnonzero(~np.isfinite(matrix[i]))[0])
            what = brief(cells[j]) if cells[j] else "nothing"
            raise InputError(
                f"{table.path.name} line {line} has {what} in its column {brief(header[j])}, which is no number; "
                f"correct that row, or leave it out."
            )
    return matrix


def _read_npy(path: Path, target: Target) -> tuple[FloatArray, FloatArray]:
    try:
        matrix = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError):
        raise InputError(f" = {str(path)!r} is no array of numbers; give one written by numpy.save.", "path") from None
    names = [name for name in (target if isinstance(target, list) else [target]) if isinstance(name, str)]
    if names:
        raise InputError(
            f" = {brief(names[0])} is a name, and an npy file has none; give the number of a column.", "target"
        )
    return _split(matrix, target)


def _read_npz(path: Path, target: Target, features: str) -> tuple[FloatArray, FloatArray]:
    import zlib
    from zipfile import BadZipFile

    try:
        with np.load(path, allow_pickle=False) as archive:
            for field, name in (("features", features), ("target", target)):
                if isinstance(name, str) and name not in archive.files:
                    raise unknown_name(f"{field} (arrays of {path.name})", name, archive.files)
            matrix = archive[features]
            return (matrix, archive[target]) if isinstance(target, str) else _split(matrix, target)
    except InputError:
        raise
    except (ValueError, EOFError, BadZipFile, AttributeError, KeyError, NotImplementedError, MemoryError, zlib.error):
        raise InputError(f" = {str(path)!r} is no npz archive; give one written by numpy.savez.", "path") from None


def _split(matrix: FloatArray, target: Any) -> tuple[FloatArray, FloatArray]:
    """(all other columns, the column) of a matrix, shapes (n, d) and (n,), or (n, outputs) of a list of columns."""
    columns: list[Any] = target if isinstance(target, list) else [target]
    if matrix.ndim != 2 or matrix.shape[1] < 1 + len(columns):
        least = "two columns" if len(columns) == 1 else f"{1 + len(columns)} columns"
        raise InputError(f" holds an array of shape {matrix.shape}; give a matrix of at least {least}.", "path")
    if matrix.dtype.kind not in "biuf":
        raise InputError(f" holds an array of {matrix.dtype}; give a matrix of real numbers.", "path")
    width = matrix.shape[1]
    for column in columns:
        if not isinstance(column, int | float) or column != round(column) or not -width <= column < width:
            raise InputError(f" = {brief(column)} is no column; give one from 0 to {width - 1}.", "target")
    at = [int(column) % width for column in columns]
    if not at or len(set(at)) < len(at):
        raise InputError(f" = {brief(target)} names no column, or one twice; give each output once.", "target")
    return np.delete(matrix, at, axis=1), matrix[:, at if isinstance(target, list) else at[0]]


PROBLEMS: dict[str, Any] = {**problems.PROBLEMS, "data": measured, "eigenvalues": spectrum}
"""Kind -> builder; its signature is the schema of the table."""

FROM_FILES = ("data", "eigenvalues")
"""Kinds that may name a file."""


def files_of(table: Table, path: str = "problem") -> dict[str, Path]:
    """The keys of the table of a problem that name files, and these."""
    if table["kind"] not in FROM_FILES:
        return {}
    given = {key: table[key] for key in ("path", "holdout") if isinstance(table.get(key), str)}
    return {key: check_path(f"{path}.{key}", value) for key, value in given.items()}


def build_problem(table: Table, folder: Path, path: str = "problem") -> Problem:
    """The problem of the table found at `path`, before any compression, or an InputError."""
    kind = kind_of(table, path, PROBLEMS)
    given = {key: value for key, value in table.items() if key != "compress"}
    dim = given.get("dim")
    if kind in LAZY and tolerance(table) is None and isinstance(dim, int | float) and dim > MOST_MODES:
        raise InputError(
            f" = {shown(dim)} modes are too many to hold one by one; add compress = true to [problem].", f"{path}.dim"
        )
    problem: Problem = call(PROBLEMS[kind], given, path, {"folder": folder} if kind in FROM_FILES else {})
    return problem


def tolerance(table: Table) -> float | None:
    """The relative tolerance that problem.compress asks for (true: the default); None for no compression."""
    value = table.get("compress", False)
    if value is False:
        return None
    if value is True:
        return float(signature(LinearRegression.compress).parameters["tolerance"].default)
    if not isinstance(value, float | int):
        raise InputError(
            f" = {shown(value)} is not understood; give true or a tolerance such as 1e-10.", "problem.compress"
        )
    return check_number("problem.compress: tolerance", value, low=1e-13, high=0.1)


def compress(problem: Problem, table: Table, subspaces: Subspaces, methods: Sequence[Method]) -> Problem:
    """The problem on few nodes that are right for every one of the methods, if problem.compress asks for it."""
    wanted = tolerance(table)
    if wanted is None:
        return problem
    source = check_compressible(problem, table)
    with within("problem", ("compress",)):
        return source.compress(wanted, subspaces, methods)


def check_compressible(problem: Problem, table: Table) -> LinearRegression:
    """The problem, if nodes can stand for its modes and problem.compress is a tolerance; else an InputError."""
    tolerance(table)
    if not isinstance(problem, LinearRegression):
        raise InputError(
            f": kind {brief(table['kind'])} has noise that differs between modes; leave it out.", "problem.compress"
        )
    if not isinstance(problem.kurtosis, float):
        raise InputError(
            f": kind {brief(table['kind'])} has a kurtosis that differs between coordinates; leave it out.",
            "problem.compress",
        )
    return problem
