"""What of the node Slurm's commands need inside an image."""

from pathlib import Path

import pytest

from pycontrol import environment, policy, request, slurm_commands
from pycontrol.config import Config
from pycontrol.errors import NodeError
from pycontrol.identity import Account

ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))
MAPS = """\
55d0-55d1 r--p 00000000 fe:00 100 /usr/sbin/slurmstepd
7f00-7f01 rw-p 00000000 00:00 0
7f01-7f02 r--p 00000000 fe:00 101 /opt/slurm/lib/slurm/auth_munge.so
7f02-7f03 r--p 00000000 fe:00 102 /usr/lib/x86_64-linux-gnu/libm.so.6
7f02-7f03 r--p 00001000 fe:00 102 /usr/lib/x86_64-linux-gnu/libm.so.6
7f03-7f04 r--p 00000000 fe:00 103 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
7f04-7f05 r--p 00000000 fe:00 104 /lib/core/libc.so.6
7ffe-7fff r-xp 00000000 00:00 0 [vdso]
"""


def test_libraries_of_what_is_loaded_those_with_the_c_library_first():
    loaded = slurm_commands.loaded_files(MAPS)
    assert slurm_commands.loader_of(loaded).endswith("/ld-linux-x86-64.so.2")
    assert slurm_commands.library_folders(loaded) == [
        "/lib/core",
        "/opt/slurm/lib/slurm",
        "/usr/lib/x86_64-linux-gnu",
    ]


@pytest.mark.parametrize(
    "name", ["ld-linux-aarch64.so.1", "ld-2.28.so", "ld64.so.2", "ld-linux.so.2"]
)
def test_loaders_of_other_systems(name):
    assert slurm_commands.loader_of(["/lib/libdl.so.2", f"/lib/{name}"]) == f"/lib/{name}"


def test_no_loader():
    with pytest.raises(NodeError, match="--no-container-slurm"):
        slurm_commands.loader_of(["/usr/sbin/slurmstepd"])


@pytest.fixture
def site(tmp_path):
    """slurm.conf and plugstack.conf as sites have them."""
    conf = tmp_path / "etc/slurm"
    conf.mkdir(parents=True)
    (conf / "slurm.conf").write_text(
        "# PluginDir=/nowhere\nSlurmUser=slurm # ours\nInclude more.conf\n"
        f'PlugStackConfig = "{tmp_path}/site/plug.conf"\n'
    )
    (conf / "more.conf").write_text("plugindir=/opt/slurm/lib/slurm:/opt/site/lib\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/plug.conf").write_text(
        "required /usr/lib/socker/socker.so python=/p\noptional relative.so\n"
    )
    return tmp_path


def test_fixed_paths(site):
    loaded = slurm_commands.loaded_files(MAPS)
    conf = site / "etc/slurm/slurm.conf"
    paths = list(slurm_commands.fixed_paths(conf, loaded))
    mounts = [m.target for m in slurm_commands.at_own_path([*paths, "/run/munge", ""])]
    assert mounts == sorted(
        [
            str(conf.parent),
            f"{site}/site/plug.conf",
            "/opt/slurm/lib/slurm",
            "/opt/site/lib",
            "/run/munge",
            "/usr/lib/socker/socker.so",
        ]
    )


def test_configuration_directly_in_etc_never_covers_the_images():

    assert list(slurm_commands.fixed_paths(Path("/etc/slurm.conf"), []))[:2] == [
        "/etc/slurm.conf",
        "",
    ]


def test_accounts_of_the_daemons(site, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", f"{site}/etc/slurm/slurm.conf")
    assert slurm_commands.users() == ("slurm", "root")
    monkeypatch.setenv("SLURM_CONF", f"{site}/nothing")
    assert slurm_commands.users() == ("root", "root")


def test_everything_is_read_only(site, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", f"{site}/etc/slurm/slurm.conf")
    config = Config(slurm_paths="/opt/pmix:/opt/slurm/x")
    found = slurm_commands.mounts(config, ("python=/usr/bin/python3",))
    assert all(mount.read_only and mount.kind == "bind" for mount in found)
    targets = [mount.target for mount in found]
    assert len(set(targets)) == len(targets)
    assert {"/.socker/bin", "/.socker/host/bin", "/.socker/host/ld.so", "/opt/pmix"} < set(targets)


def test_path_ends_with_the_directory_once():
    def path(job, image):
        changes = environment.merge(job, image, {}, last_in_path="/x")
        return changes.set.get("PATH", job.get("PATH"))

    assert path({}, ["PATH=/bin"]) == "/bin:/x"
    assert path({}, []) == f"{environment.DEFAULT_PATH}:/x"
    assert path({"PATH": "/bin:/x"}, ["PATH=/bin:/x"]) == "/bin:/x"
    assert path({}, ["PATH="]) == "/x"


@pytest.mark.parametrize(
    ("options", "step", "terminal", "wanted"),
    [
        ({}, 0, False, False),
        ({}, policy.BATCH_STEP, False, True),
        ({}, policy.INTERACTIVE_STEP, False, True),
        ({}, 0, True, True),
        ({"container-slurm": ""}, 0, False, True),
        ({"no-container-slurm": ""}, policy.BATCH_STEP, True, False),
    ],
)
def test_which_steps_have_them(options, step, terminal, wanted):
    asked = request.parse(tuple({"docker": "a", **options}.items()), "/tmp")

    def decided(config):
        return policy.decide(
            asked, ALICE, config, cwd="/tmp", step_id=step, argv=("a",), terminal=terminal
        ).slurm

    assert decided(Config()) == wanted
    assert decided(Config(slurm_commands=False)) == ("container-slurm" in options)


def test_commands_inside_have_the_steps_options():
    job = request.JOB_VARIABLES
    env = {f"{job}docker": "old", f"{job}container_tmp": "private", "OTHER": "1"}
    options = (("docker", "new"), ("container-save", "/x"), ("verbose", "1"))
    wanted, others = slurm_commands.inherited(options, env, "")
    assert wanted == {f"{job}docker": "new"}
    assert others == [f"{job}container_tmp"]
    assert list(slurm_commands.inherited(options, {}, "my-")[0]) == [f"{job}my_docker"]


def test_a_directory_of_the_image_counts_only_where_the_step_has_none():
    given = (("docker", "a"), ("directory", "/app"))
    assert request.parse(given, "/").directory == "/app"
    assert request.parse(given, "/home/alice").directory is None
