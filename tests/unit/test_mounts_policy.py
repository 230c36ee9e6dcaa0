"""What a step gets by default, and what the user's options change."""

import pytest

from pycontrol import mounts, policy, request
from pycontrol.config import Config
from pycontrol.identity import Account

ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))


def decide(cwd="/home/alice", config=None, step_id=0, argv=("true",), **options):
    named = tuple((name.replace("_", "-"), value) for name, value in options.items())
    asked = request.parse((("docker", "a"), *named), cwd)
    return policy.decide(asked, ALICE, config or Config(), cwd=cwd, step_id=step_id, argv=argv)


def targets(spec):
    return [mount.target for mount in spec.mounts]


def test_node_directories_and_home():
    spec = decide()
    assert targets(spec) == ["/dev", "/proc", "/sys", "/tmp", "/home/alice"]
    assert spec.read_only_root


def test_only_dev_has_devices():
    assert [m.target for m in decide(cwd="/data/x").mounts if m.devices] == ["/dev"]


def test_submit_directory_beside_the_home():
    assert targets(decide(cwd="/data/project"))[-1] == "/data/project"


@pytest.mark.parametrize(
    "cwd", ["/", "/usr", "/usr/lib/x", "/etc", "/var", "/home", "/lib64/x", "/run/x"]
)
def test_system_directories_of_the_node_do_not_cover_the_images(cwd):
    assert cwd not in targets(decide(cwd=cwd))[4:]


@pytest.mark.parametrize("cwd", ["/tmp/work", "/home/alice/deep/down"])
def test_what_is_visible_already_is_not_mounted_twice(cwd):
    assert cwd not in targets(decide(cwd=cwd))


def test_no_home_means_no_directory_below_it_either():
    spec = decide(cwd="/home/alice/project", no_container_mount_home="")
    assert not [t for t in targets(spec) if t.startswith("/home")]


def test_the_users_word_beats_the_sites_default():
    site = Config(mount_home=False)
    assert "/home/alice" not in targets(decide(cwd="/", config=site))
    assert "/home/alice" in targets(decide(cwd="/", config=site, container_mount_home=""))


@pytest.mark.parametrize("home", ["/", "", "relative", "/usr/games", "/nonexistent", "/var/lib/x"])
def test_odd_homes(home):
    mount = mounts.home_mount(home)
    assert mount is None or mount.optional


def test_the_batch_script_is_shown():
    spec = decide(step_id=policy.BATCH_STEP, argv=("/var/spool/slurmd/job1/slurm_script",))
    assert targets(spec)[-1] == "/var/spool/slurmd/job1/slurm_script"
    assert spec.mounts[-1].read_only


def test_user_mounts_come_last_and_in_order():
    spec = decide(container_mounts="/x:/1:ro,/y:/2")
    assert [(m.source, m.target, m.flags) for m in spec.user_mounts] == [
        ("/x", "/1", "r"),
        ("/y", "/2", ""),
    ]
