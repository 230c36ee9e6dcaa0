"""What a site's settings change for its users, and nodes that lack the plugin."""

from pathlib import Path

import pytest
from conftest import BUSYBOX, DEBIAN, PLUGSTACK, SOCKER, read
from conftest import SETTINGS as TOML


@pytest.fixture
def toml(settings):
    """Writes the configuration file."""
    return settings.write_text


def test_a_node_without_the_plugin_never_runs_the_command(alice, plugstack, tmp_path_factory):
    """The submit host has the plugin, the nodes have lost it."""
    folder = Path("/srv/socker-submit")
    folder.mkdir(exist_ok=True)
    conf = Path("/etc/slurm/slurm.conf").read_text()
    lines = [line for line in conf.splitlines() if not line.startswith("PlugStackConfig")]
    (folder / "slurm.conf").write_text("\n".join([*lines, f"PlugStackConfig={folder}/plug.conf\n"]))
    (folder / "plug.conf").write_text(PLUGSTACK.read_text())
    plugstack(lambda text: "# nothing\n")
    for command in ("hostname", "/bin/hostname"):
        result = alice.run(
            "srun", f"--docker={BUSYBOX}", command, env={"SLURM_CONF": f"{folder}/slurm.conf"}
        )
        assert result.stdout == ""
        missing = f"/socker-plugin-is-missing-on-this-node/{command}: No such file or directory"
        assert missing in result.stderr


def test_a_prefix_lets_it_live_beside_pyxis(alice, plugstack):
    plugstack(lambda text: text.replace("socker.so python=", "socker.so prefix=socker- python="))
    help_text = alice.run("srun", "--help").stdout
    assert "--socker-container-image=" in help_text
    assert " --container-image=" not in help_text
    result = alice.srun(f"--socker-docker={BUSYBOX}", "--socker-container-writable", "touch", "/x")
    assert result.status == 0
    result = alice.run("srun", f"--socker-docker={BUSYBOX}", "--socker-container-tmp=x", "true")
    assert result.stderr == "socker: --socker-container-tmp: `x` is none of host, private\n"
    script = f"#!/bin/sh\n#SBATCH --socker-docker={BUSYBOX}\ntest -e /bin/busybox && echo inside\n"
    assert alice.script(script).lines == ["inside"]


def test_pyxis_variables(alice, toml):
    env = {"PYXIS_CONTAINER_IMAGE": BUSYBOX, "PYXIS_CONTAINER_MOUNT_HOME": "0"}
    command = ["sh", "-c", "readlink -f /bin/sh; ls -d /home/alice 2>/dev/null; true"]
    native = [*read("readlink", "-f", "/bin/sh").split(), "/home/alice"]
    assert alice.srun(*command, env=env, cwd="/").lines == native
    toml("pyxis_compat = true\n")
    assert alice.srun(*command, env=env, cwd="/").lines == ["/bin/busybox"]
    assert alice.srun("--container-image=none", *command, env=env, cwd="/").lines == native


def test_settings_that_users_may_override(alice, toml):
    toml('tmp = "private"\ntmpfs_size = "1m"\nmount_home = false\n')
    script = "df -k /tmp | tail -n1 | tr -s ' ' | cut -d' ' -f2; ls -d /home/alice"
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", script, cwd="/")
    assert result.lines == ["1024"]
    options = ["--container-tmp=host", "--container-mount-home"]
    result = alice.srun(f"--docker={BUSYBOX}", *options, "ls", "-d", "/home/alice", cwd="/")
    assert result.lines == ["/home/alice"]


def test_a_setting_that_is_none(alice, toml):
    toml('pull = "sometimes"\n')
    result = alice.srun(f"--docker={BUSYBOX}", "true")
    assert f"socker: {TOML}: pull = 'sometimes' is none of always, missing, never" in result.stderr


def test_the_stages_and_their_times(alice):
    for options, env in ((["-v"], {}), (["-Q"], {"SOCKER_VERBOSE": "1"})):
        result = alice.run("srun", *options, f"--docker={BUSYBOX}", "true", env=env)
        for stage in ("options, configuration and account", f"container of {BUSYBOX}", "plan"):
            assert f": {stage}" in result.stderr
    assert "container of" not in alice.run("srun", f"--docker={BUSYBOX}", "true").stderr


def test_a_job_without_an_extern_step_gets_its_container_too(alice):
    """A signal to the whole job ends Slurm's extern step (22.05)."""
    script = (
        "srun -Q true; scancel --signal=USR1 $SLURM_JOB_ID; "
        "while squeue -hs -j $SLURM_JOB_ID -o %i | grep -q extern; do sleep 0.2; done; "
        "srun -Q sh -c 'test -L /bin/ls && echo inside'; srun -Q echo again"
    )
    result = alice.run(
        "salloc", "-Q", "-N1", f"--docker={BUSYBOX}", "sh", "-c", f"trap '' USR1; {script}"
    )
    assert result.lines == ["inside", "again"]


@pytest.fixture
def image_list(toml):
    """A site that runs busybox and nothing else."""
    path = TOML.with_name("images")
    path.write_text(f"# what users may run\n{BUSYBOX}\n")
    toml(f'image_list = "{path}"\n')
    yield
    path.unlink()


def test_a_list_of_images(alice, image_list):
    assert alice.srun(f"--docker={BUSYBOX}", "echo", "runs").lines == ["runs"]
    for image in (DEBIAN, f"dockerd://{DEBIAN}"):
        refused = alice.srun(f"--docker={image}", "true")
        assert refused.status == 1
        assert f"{DEBIAN}: no rule of this site allows it: `socker images`" in refused.stderr
    refused = alice.srun("--docker=/home/alice/x.tar", "true")
    assert "image /home/alice/x.tar: no rule of this site allows it" in refused.stderr
    assert alice.srun("hostname").status == 0
    shown = alice.run(SOCKER, "images")
    assert [line.split()[0] for line in shown.lines] == ["IMAGE", BUSYBOX]


def test_steps_that_join_a_named_container_need_no_name(alice, image_list):
    steps = (
        f"srun -Q --docker={BUSYBOX} --container-name=work true;"
        " srun -Q --container-name=work echo joined"
    )
    assert alice.run("salloc", "-Q", "-n1", "sh", "-c", steps).lines == ["joined"]
