"""socker explain: the options as the plugin settles them, the decision and the plan."""

import json

import pytest
from click.testing import CliRunner

from pycontrol import cli, cli_group, cli_steps, explain, given, policy, request, srunline
from pycontrol.config import Config
from pycontrol.errors import PolicyError, UserError
from pycontrol.identity import Account
from pycontrol.image import Image
from pycontrol.mounts import Mount
from pycontrol.runstep import Place

ALICE = Account("alice", 1001, 1001, "", "/home/alice", ((1001, "alice"),))
JOB = "SLURM_SPANK__SLURM_SPANK_OPTION_socker_"


def explained(words, environ=None, image=None, settings=None, prefix=""):
    place = Place(environ or {}, "/home/alice/w", prefix=prefix)
    line = explain.line_of(tuple(words.split()), prefix)
    return explain.explain(line, ALICE, settings or Config(), place, lambda reference: image)


# --- options ------------------------------------------------------------------


def options(words, environ=None, prefix="", pyxis=False):
    return given.settle(srunline.split(words.split(), prefix).options, environ or {}, prefix, pyxis)


def test_lists_add_up_and_of_others_the_last_holds():
    words = "--docker=a --docker=b --container-env=A --container-env=B=1 -N2 cmd --docker=c"
    assert options(words) == {"docker": "b", "container-env": "A,B=1"}


def test_command_line_environment_job():
    environ = {
        "SOCKER_CONTAINER_WRITABLE": "0",
        "SOCKER_NO_CONTAINER_MOUNT_HOME": "yes",
        "SOCKER_CONTAINER_TMP": "private",
        f"{JOB}container_tmp": "host",
        f"{JOB}docker": "job",
        f"{JOB}container_mounts": "/a",
    }
    assert options("--docker=line", environ) == {
        "docker": "line",
        "container-readonly": "",
        "no-container-mount-home": "",
        "container-tmp": "private",
        "container-mounts": "/a",
    }


def test_the_opposite_of_a_switch_is_overruled():
    environ = {"SOCKER_CONTAINER_MOUNT_HOME": "1"}
    assert options("--no-container-mount-home", environ) == {"no-container-mount-home": ""}


def test_pyxis_where_the_site_says_so():
    environ = {"PYXIS_CONTAINER_IMAGE": "a"}
    assert options("", environ) == {}
    assert options("", environ, pyxis=True) == {"container-image": "a"}


def test_the_sites_prefix():
    environ = {f"{JOB}x_container_tmp": "host"}
    words = "--x-docker=a --container-name=n"
    assert options(words, environ, "x-") == {"docker": "a", "container-tmp": "host"}


def test_relative_paths_start_here():
    found = given.with_absolute_paths({"container-env-file": "e", "container-save": "./s"}, "/w")
    assert found == {"container-env-file": "/w/e", "container-save": "/w/./s"}


# --- what is explained ------------------------------------------------------------


def test_no_container():
    for words in ("-N2 hostname", "--container-image=none hostname"):
        found = explained(words)
        assert found.spec is None
        assert "the command runs on the node itself" in "\n".join(explain.lines(found))
        assert explain.as_json(found)["container"] is False


def test_mounts_in_the_order_of_the_plan():
    found = explained("srun --docker=a --container-mounts=data:/in:ro+noexec -D /srv/x cmd")
    assert [m.target for m in found.mounts] == [
        "/dev", "/proc", "/sys", "/tmp", "/home/alice", "/srv/x", "/etc/passwd", "/etc/group",
        "/in",
    ]  # fmt: skip
    assert found.command == ("cmd",)
    assert found.workdirs == ["/srv/x", "the image's WORKDIR", "/"]
    shown = "\n".join(explain.lines(found))
    assert "/in from /home/alice/w/data (ro, nodev, nosuid, noexec)" in shown
    assert "the image's ENV is not known here" in shown


def test_an_image_that_is_known():
    image = Image("sha256:1", ("PATH=/image", "E=1"), "/work")
    environ = {"PATH": "/usr/bin", "PYTHONPATH": "/x", "HOME": "/home/alice"}
    found = explained("--docker=a --container-env=F=2 true", environ, image)
    assert found.workdirs == ["/home/alice/w", "/work", "/"]
    assert found.changes.set == {
        "PATH": "/image", "E": "1", "F": "2", "USER": "alice", "LOGNAME": "alice",
    }  # fmt: skip
    assert found.changes.remove == ("PYTHONPATH",)


def test_the_sites_settings_count():
    found = explained("--docker=a true", settings=Config(mount_home=False, tmp="private"))
    targets = {m.target: m for m in found.mounts}
    assert "/home/alice" not in targets
    assert targets["/tmp"].kind == "tmpfs"


def test_decision_in_words():
    words = "--docker=a --container-name=work --container-unshare=net --container-save=./x.tar true"
    shown = "\n".join(explain.lines(explained(words)))
    assert "container: work (auto), the job's on each node" in shown
    assert "root file system: can be written to" in shown
    assert "namespaces: mnt the container's; net the step's own; the node's else" in shown
    assert "saved at the end: /home/alice/w/x.tar" in shown


def test_an_environment_file(tmp_path):
    (tmp_path / "vars").write_text("A=1, 2\n")
    found = explained(f"--docker=a --container-env-file={tmp_path}/vars true")
    assert found.changes.set["A"] == "1, 2"
    with pytest.raises(UserError, match="/w/none: No such file or directory on this host"):
        explained("--docker=a --container-env-file=none true")


@pytest.mark.parametrize(
    ("mount", "line"),
    [
        (Mount("", "/x", kind="umount"), "/x: unmounted"),
        (Mount("", "/x", kind="tmpfs", size="1g"), "/x from tmpfs (rw, nodev, nosuid, size=1g)"),
        (Mount("/dev", "/dev", devices=True), "/dev (rw, nosuid)"),
        (Mount("/a", "/b", optional=True), "/b from /a (rw, nodev, nosuid, if there)"),
    ],
)
def test_a_mount_in_words(mount, line):
    assert explain.mount_line(mount) == line


@pytest.mark.parametrize(
    ("uid", "words"),
    [(0, "root's jobs"), (65534, "uid 65534"), (2**31, "engines know none above 2147483647")],
)
def test_accounts_that_can_have_no_containers(uid, words):
    nobody = Account("x", uid, 1, "", "/", ((1, "x"),))
    asked = request.parse((("docker", "a"),), "/")
    with pytest.raises(PolicyError, match=words):
        policy.decide(asked, nobody, Config(), cwd="/", step_id=0, argv=("a",))


def test_control_characters_do_not_reach_the_terminal(monkeypatch):
    monkeypatch.setattr(cli_group, "settings", Config)
    monkeypatch.setattr("os.getuid", lambda: 1)  # root's would be refused
    words = ["explain", "--docker=a", "--container-env=A=\x1b[31m\nforged", "sh", "-c", "echo \x07"]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    assert "    set    A=?[31m forged" in result.output.splitlines()
    assert "  command: sh -c 'echo ?'" in result.output.splitlines()


def test_the_command(monkeypatch):
    monkeypatch.setattr(cli_group, "settings", Config)
    monkeypatch.setattr("os.getuid", lambda: 1)  # root's would be refused
    monkeypatch.setattr(cli_steps, "image_here", lambda reference, settings: None)
    result = CliRunner().invoke(cli.main, ["explain", "--json", "-whost", "--docker=a", "c", "-h"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert answer["command"] == ["c", "-h"]
    assert answer["request"]["image"]["text"] == "a:latest"
    assert answer["plan"]["mounts"][0]["target"] == "/dev"
    text = CliRunner().invoke(cli.main, ["explain", "srun", "--docker=a", "true"]).output
    assert text.startswith("request\n  --docker=a\n  command: true\ndecision\n")
