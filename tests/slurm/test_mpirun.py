"""`mpirun -np N socker run IMAGE COMMAND`: OpenMPI's mpirun of the node, ranks in images.

And the image's own mpirun, in a batch script that runs in the image.
"""

import pytest
from conftest import SOCKER, without_progress
from test_mpi import whole


def mpirun(user, ranks: int, *words: str, nodes: int = 1):
    size = [f"-N{nodes}", "--ntasks-per-node=2"]
    return user.run("salloc", "-Q", *size, "mpirun", "-np", str(ranks), SOCKER, "run", *words)


@pytest.mark.parametrize("nodes", [1, 2])
def test_ranks_find_each_other(alice, openmpi, nodes):
    script = "mpi-check; echo $A $B"
    options = ["-e", "A=1,2", "-e", "B=3"]
    result = mpirun(alice, 2 * nodes, *options, openmpi, "sh", "-c", script, nodes=nodes)
    assert sorted(result.lines) == ["1,2 3"] * 2 * nodes + whole(2 * nodes)
    assert without_progress(result.stderr) == ""


def test_from_a_batch_script(alice, openmpi):
    """The ranks of the script's own node are mpirun's children, the others orted's."""
    text = f"#!/bin/sh\nmpirun -np 4 {SOCKER} run {openmpi} mpi-check\n"
    assert sorted(alice.script(text, "-N2", "-n4").lines) == whole(4)


@pytest.mark.parametrize("kind", ["openmpi", "newer_openmpi"])
def test_the_images_own(alice, request, kind):
    image = request.getfixturevalue(kind)
    text = "#!/bin/sh\nmpirun -np 4 mpi-check\n"
    assert sorted(alice.script(text, "-N2", "-n4", f"--docker={image}").lines) == whole(4)


def test_with_a_tmp_of_their_own(alice, openmpi):
    """mpirun's session directory is in the node's /tmp."""
    result = mpirun(alice, 2, "--", "--container-tmp=private", openmpi, "mpi-check")
    assert sorted(result.lines) == whole(2)


def test_an_image_of_another_release(alice, newer_openmpi):
    """On one node; over two OpenMPI 5 hangs below OpenMPI 4's mpirun (docs/user/mpi.md)."""
    assert sorted(mpirun(alice, 2, newer_openmpi, "mpi-check").lines) == whole(2)


def test_each_rank_has_the_cpu_that_mpirun_gave_it(alice, openmpi):
    result = mpirun(alice, 2, openmpi, "grep", "Cpus_allowed_list", "/proc/self/status")
    assert sorted(line.split()[1] for line in result.lines) == ["0", "1"]


def test_stdin_is_the_first_ranks(alice, openmpi):
    words = ["mpirun", "-np", "2", SOCKER, "run", openmpi, "wc", "-c"]
    result = alice.run("salloc", "-Q", "-N1", "-n2", *words, stdin="x" * 100_000)
    assert sorted(result.lines) == ["0", "100000"]


def test_an_abort_ends_all_ranks(alice, openmpi):
    result = mpirun(alice, 4, openmpi, "mpi-check", "abort", nodes=2)
    assert result.status == 3
    assert result.lines == []


def test_an_exit_status_is_mpiruns(alice, openmpi):
    result = mpirun(alice, 2, openmpi, "sh", "-c", "exit $((OMPI_COMM_WORLD_RANK * 7))")
    assert result.status == 7


def test_refused(alice, openmpi):
    result = mpirun(alice, 1, "-n", "2", openmpi, "true")
    assert result.status == 2
    assert "socker: run: -n: each rank of mpirun is one task on its node: " in result.stderr
    outside = alice.run("mpirun", "-np", "1", SOCKER, "run", openmpi, "true")
    assert outside.status == 2
    assert "socker: run: mpirun has started it, but not in an allocation: " in outside.stderr
