"""simlab's commands, run in this process."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from simlab.cli import main


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output, standard error (but that kernels are compiled, which depends on the cache)."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    said = "".join(line for line in err.getvalue().splitlines(True) if "compiling kernels, once" not in line)
    return int(end.value.code or 0), out.getvalue(), said
