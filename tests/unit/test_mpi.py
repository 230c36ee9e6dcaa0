"""What ranks of MPI and of PyTorch get, and `socker run` as a rank of mpirun."""

from pathlib import Path

import pytest

from pycontrol import environment, mpi, mpirank, policy, pytorch, request, runstep
from pycontrol.bridge import StepFacts
from pycontrol.config import Config
from pycontrol.errors import UserError
from pycontrol.identity import Account
from pycontrol.judge import Judge
from pycontrol.mounts import Mount
from pycontrol.rulefile import parse_rules
from pycontrol.rules import NOWHERE, Rules
from pycontrol.runstep import Place

ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))
SPOOL = "/var/spool/slurmd/pmix.7.0/"


def facts(env=None, pmix_server="", tmp_fs="/tmp", **changes) -> StepFacts:
    fields = {
        "job_id": 7, "uid": 1001, "node": "n1", "state_root": Path("/run/socker"),
        "plugin_args": (), "step_id": 0, "node_index": 0, "local_tasks": 2, "gid": 100,
        "groups": (), "cwd": "/home/alice", "tmp_fs": tmp_fs, "pmix_server": pmix_server,
        "env": env or {}, "argv": ("true",), "options": (),
    }  # fmt: skip
    return StepFacts(**{**fields, **changes})


@pytest.fixture(autouse=True)
def mpi_conf(tmp_path, monkeypatch):
    """The site's, which is missing until a test writes it."""
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    return tmp_path / "mpi.conf"


# --- directories of PMIx servers ----------------------------------------------------


def test_none_without_pmix():
    assert list(mpi.directories(facts())) == []


def test_slurms_server_and_the_ranks_own():
    found = list(mpi.directories(facts(pmix_server=SPOOL, tmp_fs="/scratch/%n")))
    assert found == ["/var/spool/slurmd/pmix.7.0", "/scratch/n1/spmix_appdir_1001_7.0"]


def test_a_stale_variable_does_not_count_beside_slurms_server():
    env = {"PMIX_SERVER_TMPDIR": "/elsewhere"}
    assert "/elsewhere" not in list(mpi.directories(facts(env, SPOOL)))


def test_the_users_choice_of_the_ranks_directory():
    env = {"SLURM_PMIX_TMPDIR": "/dev/shm"}
    assert list(mpi.directories(facts(env, SPOOL)))[1] == "/dev/shm/spmix_appdir_1001_7.0"


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("PMIxTimeout=9\nPMIxCliTmpDirBase=/local\n", "/local"),
        ("  pmixclitmpdirbase = /local # fast\n", "/local"),
        ("#PMIxCliTmpDirBase=/local\n", "/tmp"),
        ("PMIxTimeout=9\n", "/tmp"),
    ],
)
def test_the_sites_choice_of_the_ranks_directory(mpi_conf, monkeypatch, text, base):
    mpi_conf.write_text(text)
    monkeypatch.setattr(mpi.trusted, "read", lambda path: path.read_text())  # not root's here
    assert list(mpi.directories(facts(pmix_server=SPOOL)))[1] == f"{base}/spmix_appdir_1001_7.0"


def test_a_mpi_conf_that_cannot_be_trusted_is_left_alone(mpi_conf):
    mpi_conf.write_text("PMIxCliTmpDirBase=/local\n")
    mpi_conf.chmod(0o666)
    assert list(mpi.directories(facts(pmix_server=SPOOL)))[1].startswith("/tmp/")


def test_mpiruns_server():
    env = {"PMIX_SERVER_TMPDIR": "/tmp/ompi.n1.1001/jf.9"}
    assert list(mpi.directories(facts(env))) == ["/tmp/ompi.n1.1001/jf.9"]


@pytest.mark.parametrize("path", ["relative", "/tmp/../etc"])
def test_a_broken_variable_is_an_error(path):
    with pytest.raises(UserError, match="PMIX_SERVER_TMPDIR"):
        list(mpi.directories(facts({"PMIX_SERVER_TMPDIR": path})))


def mounted(*directories, **options):
    named = tuple((name.replace("_", "-"), value) for name, value in options.items())
    asked = request.parse((("docker", "a"), *named), "/home/alice")
    spec = policy.decide(
        asked, ALICE, Config(), cwd="/home/alice", step_id=0, argv=("true",),
        of_pmix=tuple(Mount(path, path, optional=True) for path in directories),
    )  # fmt: skip
    return [mount for mount in spec.mounts if mount.target in directories]


def test_what_is_not_there_inside_is_mounted_if_the_user_can_reach_it():
    [mount] = mounted("/var/spool/slurmd/pmix.7.0", "/tmp/spmix_appdir_1001_7.0")
    assert (mount.source, mount.target) == ("/var/spool/slurmd/pmix.7.0",) * 2
    assert mount.optional
    assert not mount.devices


def test_a_private_tmp_gets_the_directories_that_it_hides():
    found = mounted("/tmp/spmix_appdir_1001_7.0", container_tmp="private")
    assert [mount.source for mount in found] == ["/tmp/spmix_appdir_1001_7.0"]


def test_the_whole_node_is_never_one_of_them():
    assert mpi.shown(facts({"PMIX_SERVER_TMPDIR": "/"})) == ()


def test_the_ranks_directory_is_no_users_link(mpi_conf, tmp_path):
    """It is in a directory of the site that may be a link, and that all may write to."""
    (tmp_path / "local").mkdir()
    (tmp_path / "fast").symlink_to("local")
    name = "spmix_appdir_1001_7.0"
    (tmp_path / "local" / name).symlink_to("/secret")
    mount = mpi.shown(facts(pmix_server=SPOOL, tmp_fs=str(tmp_path / "fast")))[1]
    assert mount.source == str(tmp_path.resolve() / "local" / name)
    assert mount.target == str(tmp_path / "fast" / name)
    assert (mount.flags, mount.checked) == ("ol", False)


def test_what_the_jobs_environment_names_is_held_against_the_sites_rules():
    assert [m.checked for m in mpi.shown(facts({"PMIX_SERVER_TMPDIR": "/x"}))] == [True]
    own = "/var/spool/slurmd/pmix.7.0"
    assert [(m.checked, m.no_links) for m in mpi.shown(facts({}, own))] == [(False, True)] * 2
    found = mpi.shown(facts({"SLURM_PMIX_TMPDIR": "/secret"}, own))
    assert [(m.source, m.checked) for m in found] == [
        (own, False), ("/secret/spmix_appdir_1001_7.0", True),
    ]  # fmt: skip
    settings = Config(rule=parse_rules([{"allow_sources": ["/scratch"]}], "f"))
    judges = (Judge(Rules(settings.rule), ALICE, NOWHERE),)
    asked = request.parse((("docker", "a"),), "/")
    spec = policy.decide(
        asked, ALICE, settings, cwd="/", step_id=0, argv=("true",), of_pmix=found, judges=judges
    )
    sources = [mount.source for mount in spec.mounts]
    assert own in sources
    assert "/secret/spmix_appdir_1001_7.0" not in sources


# --- PyTorch ------------------------------------------------------------------------

STEP = {
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "n[3-4]",
}  # fmt: skip
TORCH = ["PYTORCH_VERSION=2.1"]


def test_variables_of_torchrun():
    found = pytorch.defaults(TORCH, facts(STEP))
    assert found.set == {
        "MASTER_ADDR": "n3", "MASTER_PORT": "61007", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    assert found.copies == {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID"}


def test_one_task_a_node_may_have_all_threads():
    step = STEP | {"SLURM_STEP_NUM_TASKS": "2"}
    assert "OMP_NUM_THREADS" not in pytorch.defaults(TORCH, facts(step)).set


@pytest.mark.parametrize(
    ("image", "changes"),
    [
        (["A=PYTORCH_VERSION=2"], {"env": STEP}),
        (TORCH, {"env": STEP, "step_id": policy.BATCH_STEP}),
        (TORCH, {"env": STEP | {"OMPI_COMM_WORLD_RANK": "1"}}),
        (TORCH, {"env": {}}),
    ],
)
def test_not_for_others(image, changes):
    assert pytorch.defaults(image, facts(**changes)) == environment.NO_DEFAULTS


@pytest.mark.parametrize(
    ("hostlist", "first"),
    [
        ("n1", "n1"), ("n[01-04,7],m2", "n01"), ("a,b", "a"), ("r[1,3]n[5-6]-ib,x", "r1n5-ib"),
        ("", ""),
    ],
)  # fmt: skip
def test_first_host(hostlist, first):
    assert pytorch.first_host(hostlist) == first


def test_defaults_are_for_what_nobody_sets():
    defaults = environment.Defaults({"A": "1", "B": "1", "C": "1"}, {"RANK": "X", "L": "Y"})
    changes = environment.merge({"A": "job", "RANK": "9"}, ["B=image"], {}, defaults=defaults)
    assert changes.set["C"] == "1"
    assert changes.set["B"] == "image"
    assert "A" not in changes.set
    assert changes.copies == {"L": "Y"}


def test_an_image_does_not_lie_about_mpiruns_ranks():
    changes = environment.merge({}, ["OMPI_COMM_WORLD_RANK=0", "OMPI_MCA_btl=self"], {})
    assert "OMPI_COMM_WORLD_RANK" not in changes.set
    assert changes.set["OMPI_MCA_btl"] == "self"


def test_the_nodes_own_mpi_is_not_named_inside():
    job = {"OPAL_PREFIX": "/opt/openmpi", "I_MPI_PMI_LIBRARY": "/usr/lib/libpmi2.so"}
    assert set(job) <= set(environment.merge(job, [], {}).remove)


# --- ranks of mpirun -------------------------------------------------------------------

RANK = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n2", "OMPI_COMM_WORLD_RANK": "3"}


def argv(words, environ, **wishes):
    place = Place(environ, "/w", terminal=True, host="n9.cluster", cpus=frozenset({0, 5}))
    return runstep.run_argv(runstep.parse_run(words.split(), place, **wishes), place)


def test_a_rank_is_one_task_here():
    assert argv("a b", RANK, env=("X=1",)) == [
        "srun", "--quiet", "--ntasks=1", "--nodes=1", "--nodelist=n2", "--overlap", "--mem=0",
        "--mpi=none", "--export=ALL", "--cpu-bind=mask_cpu:0x21", "--container-image=a",
        "--container-env=X=1", "--", "b",
    ]  # fmt: skip


def test_the_node_by_its_hosts_name():
    environ = {name: value for name, value in RANK.items() if name != "SLURMD_NODENAME"}
    assert "--nodelist=n9" in argv("a b", environ)


def test_options_of_the_user_come_later_and_win():
    found = argv("--cpu-bind=none a b", RANK)
    assert found.index("--cpu-bind=none") > found.index("--cpu-bind=mask_cpu:0x21")


def test_what_steered_orteds_srun_does_not_steer_the_ranks():
    orteds = {"SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2", "SLURM_CPU_BIND": "none"}
    environ = RANK | orteds | {"OMPI_MCA_x": "1", "PMIX_RANK": "3"}
    place = Place(environ, "/w")
    run = runstep.parse_run(["a", "b"], place)
    assert runstep.run_environ(run, place) == RANK | {"OMPI_MCA_x": "1", "PMIX_RANK": "3"}


@pytest.mark.parametrize(
    ("words", "tasks", "text"),
    [
        ("a b", 2, "run: -n: each rank of mpirun is one task"),
        ("-N2 a b", None, "run: nodes: each rank of mpirun"),
        ("-w n1 a b", None, "run: nodelist: each rank of mpirun"),
    ],
)
def test_a_rank_is_not_several(words, tasks, text):
    with pytest.raises(UserError) as refused:
        argv(words, RANK, tasks=tasks)
    assert text in str(refused.value)


def test_a_rank_without_an_allocation():
    with pytest.raises(UserError, match="not in an allocation"):
        argv("a b", {"OMPI_COMM_WORLD_RANK": "0"})


def test_ranks_of_mpichs_mpiexec():
    with pytest.raises(UserError, match="srun --mpi=pmi2"):
        argv("a b", {"SLURM_JOB_ID": "7", "PMI_FD": "9", "MPI_LOCALNRANKS": "4"})
    mpirank.refuse_mpichs({"PMI_FD": "9"})  # a task of srun --mpi=pmi2
