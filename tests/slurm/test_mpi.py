"""Ranks of MPI in images, started by srun: OpenMPI by PMIx, MPICH by PMI2.

The nodes are one machine, and each has a host name of its own (tests/cluster), by
which OpenMPI tells them apart: between them it takes TCP, within one shared memory.
MPICH (UCX) tells machines by their kernel, so its ranks take shared memory always.
"""

import subprocess
from pathlib import Path

import pytest
import slurm_conf
from conftest import BUSYBOX, without_progress

PROGRAMS = Path(__file__).resolve().parent / "programs"
KINDS = {"openmpi": "pmix", "newer_openmpi": "pmix", "mpich": "pmi2"}


def whole(tasks: int, a_node: int = 2) -> list[str]:
    """What mpi-check prints when each rank found each other."""
    of = f"of {a_node} on its node: ok"
    return [f"rank {rank} of {tasks}, {rank % a_node} {of}" for rank in range(tasks)]


def alone(tasks: int) -> list[str]:
    return ["rank 0 of 1, 0 of 1 on its node: ok"] * tasks


@pytest.fixture(params=KINDS)
def image(request) -> list[str]:
    """srun's options for an image and the PMI that it knows."""
    return [f"--mpi={KINDS[request.param]}", f"--docker={request.getfixturevalue(request.param)}"]


# --- rank and size, allreduce, ping-pong, shared memory ---------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_ranks_find_each_other(alice, image, nodes):
    result = alice.srun(f"-N{nodes}", "--ntasks-per-node=2", *image, "mpi-check")
    assert sorted(result.lines) == whole(2 * nodes)
    assert (
        without_progress(result.stderr) == ""
    )  # PMIx would tell what it misses of the server's files


def test_the_nodes_are_several_to_openmpi(alice, openmpi):
    """Else the tests over several nodes would say nothing."""
    options = ["--mpi=pmix", f"--docker={openmpi}"]
    env = {"OMPI_MCA_btl": "vader,self"}  # its shared memory
    assert sorted(alice.srun("-N1", "-n2", *options, "mpi-check", env=env).lines) == whole(2)
    apart = alice.srun("-N2", "-n2", *options, "mpi-check", env=env)
    assert apart.status != 0
    assert "are unable to reach each other" in apart.stderr


def test_python(alice, openmpi):
    script = alice.home / "sum.py"
    script.write_text(
        "from mpi4py import MPI\nworld = MPI.COMM_WORLD\n"
        "print(world.rank, world.allreduce(world.rank), world.Get_size())\n"
    )
    options = ["-N2", "-n4", "--mpi=pmix", f"--docker={openmpi}"]
    result = alice.srun(*options, "python3", "sum.py")
    script.unlink()
    assert sorted(result.lines) == [f"{rank} 6 4" for rank in range(4)]
    assert "socker: " not in result.stderr


def test_an_abort_ends_the_step(alice, openmpi):
    result = alice.srun("-N2", "-n4", "--mpi=pmix", f"--docker={openmpi}", "mpi-check", "abort")
    assert result.status != 0
    assert result.lines == []


# --- memory of other ranks ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_large_messages_are_read_from_the_other_ranks_memory(alice, request, kind):
    trace = "strace -f -qq -o /dev/stdout -e trace=process_vm_readv mpi-check"
    options = [f"--mpi={KINDS[kind]}", f"--docker={request.getfixturevalue(kind)}"]
    result = alice.srun("-N1", "-n2", *options, *trace.split())
    read = [line for line in result.lines if "process_vm_readv(" in line]
    assert read
    assert not [line for line in read if " = -1 " in line]


@pytest.fixture(scope="module")
def peek(tmp_path_factory) -> Path:
    """A static program: it runs in any image."""
    program = tmp_path_factory.mktemp("peek") / "peek"
    flags = ["-D_GNU_SOURCE", "-static", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", program, PROGRAMS / "peek.c"], check=True)
    return program


@pytest.mark.parametrize(
    "options", [(), ("--container-unshare=ipc,pid",), ("--container-writable",)]
)
def test_a_task_reads_another_ones_memory(alice, peek, options):
    program = alice.home / "peek"
    program.write_bytes(peek.read_bytes())
    program.chmod(0o755)
    (alice.home / "where").unlink(missing_ok=True)
    result = alice.srun("-N1", "-n2", f"--docker={BUSYBOX}", *options, "./peek", "where")
    program.unlink()
    assert result.lines == ["read: a secret"], result.stderr


# --- the PMIx server's directories ------------------------------------------------------------

LOOK = "echo $PMIX_SERVER_TMPDIR; ls $PMIX_SERVER_TMPDIR; grep -o ' /[^ ]*pmix[^ ]*' /proc/mounts"


def test_the_servers_directories_are_there_and_no_more(alice):
    """Nothing else of Slurm's spool directory and TmpFS; nothing at all without PMIx."""
    step = ["-w", "n1", "--mpi=pmix", f"--docker={BUSYBOX}", "sh", "-c"]
    result = alice.srun(*step, LOOK)
    server, *files, first, second = result.lines
    assert "pmix_dstor_ds21" in " ".join(files)
    assert first == f" {server.rstrip('/')}"
    assert second.startswith(" /var/lib/socker-cluster/tmp-n")
    parents = f"ls {Path(server).parent}; ls {Path(second.strip()).parent}"
    assert len(alice.srun(*step, parents).lines) == 2
    assert alice.srun(f"--docker={BUSYBOX}", "grep", "-c", "pmix", "/proc/mounts").lines == ["0"]


@pytest.mark.parametrize("base", ["/tmp", "/var/tmp"])
def test_the_ranks_directory_is_where_the_user_says(alice, openmpi, base):
    options = ["-N1", "-n2", "--mpi=pmix", "--container-tmp=private", f"--docker={openmpi}"]
    show = "mpi-check; [ $SLURM_PROCID = 1 ] || grep -c ' $0/spmix_appdir_' /proc/mounts"
    script = show.replace("$0", base)
    result = alice.srun(*options, "sh", "-c", script, env={"SLURM_PMIX_TMPDIR": base})
    assert sorted(result.lines) == ["1", *whole(2)]


def test_the_ranks_directory_is_where_mpi_conf_says(alice):
    conf = slurm_conf.CONF.with_name("mpi.conf")
    conf.write_text("PMIxCliTmpDirBase=/var/tmp\n")
    try:
        with slurm_conf.extra_lines():
            result = alice.srun("-N1", "--mpi=pmix", f"--docker={BUSYBOX}", "sh", "-c", LOOK)
            conf.write_text("")  # Slurm forgets what such a file says, not what one said that went
    finally:
        conf.unlink()
    assert result.lines[-1].startswith(" /var/tmp/spmix_appdir_")


def test_a_variable_mounts_nothing_that_the_user_cannot_reach(alice, bob):
    (bob.home / "pmix").mkdir(exist_ok=True)
    bob.home.chmod(0o700)
    for hidden in (f"{bob.home}/pmix", "/root"):
        env = {"PMIX_SERVER_TMPDIR": hidden}
        result = alice.srun(f"--docker={BUSYBOX}", "cat", "/proc/mounts", env=env)
        assert result.status == 0, result.stderr
        assert f" {hidden} " not in result.stdout
    (bob.home / "pmix").rmdir()
    broken = alice.srun(f"--docker={BUSYBOX}", "true", env={"PMIX_SERVER_TMPDIR": "here"})
    assert broken.status != 0
    assert "socker: PMIX_SERVER_TMPDIR: here must be an absolute path" in broken.stderr


# --- ranks that cannot find each other --------------------------------------------------------


def told(result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("socker: ")]


@pytest.mark.parametrize("kind", ["newer_openmpi", "mpich"])
def test_the_user_is_told_once(alice, request, kind):
    image = f"--docker={request.getfixturevalue(kind)}"
    result = alice.srun("-N2", "-n4", image, "mpi-check")
    assert result.lines == alone(4)
    [line] = told(result)
    assert "gives its tasks nothing" in line
    assert "--mpi=pmix for OpenMPI, --mpi=pmi2 for MPICH" in line


def test_told_of_a_script_of_mpi4py(alice, openmpi):
    """OpenMPI 4 then fails by itself, in many more words."""
    script = alice.home / "alone.py"
    script.write_text("import sys\nfrom mpi4py import MPI\n")
    result = alice.srun("-N1", "-n2", f"--docker={openmpi}", "python3", "alone.py")
    script.unlink()
    assert len(told(result)) == 1


def test_told_of_a_pmi_that_the_library_does_not_know(alice, mpich):
    result = alice.srun("-N1", "-n2", "--mpi=pmix", f"--docker={mpich}", "mpi-check")
    assert result.lines == alone(2)
    [line] = told(result)
    assert "use --mpi=pmi2 in place of --mpi=pmix" in line


@pytest.mark.parametrize(
    "command",
    [["-n4", "hostname"], ["-n2", "python3", "-c", "1"], ["-n1", "-N1", "mpi-check"]],
    ids=["a program without MPI", "a script without MPI", "one task"],
)
def test_not_told(alice, openmpi, command):
    assert told(alice.srun(f"--docker={openmpi}", *command)) == []


# --- PyTorch's variables ----------------------------------------------------------------------

TORCH = "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT"


def test_variables_of_torchrun(alice, make_image):
    image = make_image("torch", changes=["ENV PATH=/bin", "ENV PYTORCH_VERSION=2.1"])
    step = ["-N2", "-n4", f"--docker={image}"]
    shown = [line.split() for line in alice.srun(*step, "sh", "-c", TORCH).lines]
    assert sorted(line[0] for line in shown) == ["0", "1", "2", "3"]
    assert sorted(line[2] for line in shown) == ["0", "0", "1", "1"]
    assert {(line[1], line[3]) for line in shown} == {("4", "2")}
    [(address, port)] = {(line[4], line[5]) for line in shown}
    assert address == "n1"
    assert 61000 <= int(port) < 65536
    given = alice.srun(*step, "--container-env=RANK=9", "sh", "-c", TORCH, env={"MASTER_ADDR": "a"})
    assert {(line.split()[0], line.split()[4]) for line in given.lines} == {("9", "a")}


def test_no_such_variables_for_scripts_and_other_images(alice, make_image):
    image = make_image("torch", changes=["ENV PATH=/bin", "ENV PYTORCH_VERSION=2.1"])
    assert alice.script(f"#!/bin/sh\n{TORCH}\n", f"--docker={image}").lines == [""]
    assert alice.srun("-n1", f"--docker={BUSYBOX}", "sh", "-c", TORCH).lines == [""]
