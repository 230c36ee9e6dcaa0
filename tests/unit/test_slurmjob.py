"""What squeue says of a job; whatever is odd is no answer."""

import pytest

from pycontrol import slurmjob
from pycontrol.errors import NodeError
from pycontrol.rules import Place


def read(*rows, job=77, uid=1001):
    return slurmjob.read_rows("".join(f"{row}\n" for row in rows), job, uid)


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        (["physics|gpu|1001|77|77"], [Place("physics", "gpu")]),
        (["(null)|gpu|1001|77|77"], [Place("", "gpu")]),
        (["a|b|gpu|1001|77|77"], [Place("a|b", "gpu")]),
        (["x|cpu,gpu|1001|77|77"], [Place("x", "cpu"), Place("x", "gpu")]),
        # an array, whose last task has the array's number
        (["x|gpu|1001|78|77_1", "x|gpu|1001|77|77_2"], [Place("x", "gpu")]),
        # components of a heterogeneous job
        (
            ["x|cpu|1001|77|77+0", "y|gpu|1001|78|77+1"],
            [Place("x", "cpu"), Place("y", "gpu")],
        ),
    ],
)
def test_places(rows, places):
    assert read(*rows) == tuple(places)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["slurm_load_jobs error: Invalid job id specified"],
        ["x|gpu|1001|78|78"],
        ["x|gpu|1002|77|77"],
        ["x|cpu|1001|77|77+0", "y|gpu|1002|78|77+1"],
        # an account with a line break in it (where Slurm does not check accounts)
        ["x|all|1001|77|77", "|gpu|1001|77|77"],
        ["x|all|1001|77|77", "rest|gpu|1001|77|77"],
        ["x", "physics|gpu|1001|77|77"],
        ["", "physics|gpu|1001|77|77"],
    ],
)
def test_no_answer(rows):
    with pytest.raises(NodeError, match="Slurm does not tell those of job 77"):
        read(*rows)


@pytest.mark.parametrize("character", ["\r", "\x0b", "\x1c", "\x85", "\u2028"])
def test_an_account_with_what_looks_like_a_line_break(character):
    """It is not the account whose name stands behind that."""
    account = f"x{character}physics"
    assert read(f"{account}|gpu|1001|77|77") == (Place(account, "gpu"),)
