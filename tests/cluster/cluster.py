#!/usr/bin/python3
"""A Slurm cluster of several nodes on this one machine, with Docker and a registry.

    cluster.py up      start what is not running (installs packages and plugin)
    cluster.py down    stop it; configuration, images and caches stay
    cluster.py clean   stop it and remove all it made
    cluster.py status  say what runs

Each may be run again at any time, and after a crash or a reboot.  Run as root.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import sys
from pathlib import Path

import plugin
from daemons import LOGS, Daemon, output, succeeds
from images import REGISTRY, provide_busybox, provide_debian
from packages import install_missing
from stages import StageError, run, stage, wait_until

HERE = Path(__file__).resolve().parent
STATE = Path("/var/lib/socker-cluster")
RUN = Path("/run/socker-cluster")
SLURM_ETC = Path("/etc/slurm")
CACHE = Path("/var/cache/socker-cluster")
MARKER = "Written by socker's test cluster: made anew at each start."
NODES = 4
USERS = {"alice": ["lab", "gpuusers"], "bob": []}  # name -> supplementary groups


def node_names() -> list[str]:
    return [f"n{i}" for i in range(1, NODES + 1)]


def has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


# --- configuration -----------------------------------------------------------


def cgroup_plugin() -> str:
    """cgroup/v2 where the unified hierarchy is the whole tree, else cgroup/v1."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return "cgroup/v2" if unified else "cgroup/v1"


def memory_mb() -> int:
    """Memory of one node, in MB: half the machine's, shared out, 4 GB at most."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return min(4000, total // 2 // NODES)


def values(nodes: int, hostname: str, cpus: int, memory: int) -> dict[str, object]:
    """What slurm.conf.in and cgroup.conf.in leave open."""
    return {
        "marker": MARKER,
        "nodes": nodes,
        "hostname": hostname,
        "state": STATE,
        "run": RUN,
        "logs": LOGS,
        "last_port": 17000 + nodes,
        "cpus": cpus,
        "memory": memory,
    }


def write_configuration() -> bool:
    """Write /etc/slurm; true when it changed.  Never over a site's own."""
    found = values(NODES, socket.gethostname(), os.cpu_count(), memory_mb())
    changed = False
    for name in ("slurm.conf", "cgroup.conf"):
        path = SLURM_ETC / name
        text = (HERE / f"{name}.in").read_text().format(**found, plugin=cgroup_plugin())
        if path.exists() and MARKER not in path.read_text():
            raise StageError(
                f"{path} is not this cluster's: this machine belongs to another Slurm "
                "cluster. Use another machine, or move the file away."
            )
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed = True
    return changed


def make_folders() -> None:
    for folder in (STATE, RUN, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (STATE / "slurmctld", RUN, LOGS):
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "slurm")
    for name in node_names():
        folder = STATE / f"tmp-{name}"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)


def make_users() -> None:
    """Ordinary users with supplementary groups to test identity with."""
    for name, groups in USERS.items():
        for group in groups:
            if not succeeds("getent", "group", group):
                run("groupadd", group)
        if not succeeds("id", name):
            run("useradd", "--create-home", "--shell", "/bin/bash", name)
        for group in groups:
            run("usermod", "--append", "--groups", group, name)


# --- daemons -----------------------------------------------------------------


def registry_config() -> str:
    path = STATE / "registry.yml"
    path.write_text(
        "version: 0.1\n"
        "log: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {STATE}/registry}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{REGISTRY}'}}\n"
    )
    return str(path)


def munge_answers() -> bool:
    made = output("munge", "-n", timeout=3)
    return made is not None and succeeds("unmunge", timeout=3, stdin=made)


def node_state(name: str) -> str:
    return (output("sinfo", "-h", "-n", name, "-o", "%T") or b"").decode().strip()


def node_is_up(name: str) -> bool:
    return node_state(name) in ("idle", "mixed", "allocated", "completing")


def node_responds(name: str) -> bool:
    """The controller hears from it, drained or not; * marks one that is silent."""
    state = node_state(name)
    return bool(state) and not state.startswith(("down", "unk")) and not state.endswith("*")


def slurmd_works(name: str) -> bool:
    """The controller hears from the node, and its slurmd itself reacts.

    For minutes the controller does not notice a slurmd that hangs.  One that
    works hangs up at once on a message that is no message.
    """
    port = 17000 + int(name.removeprefix("n"))
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            connection.sendall(b"\0\0\0\4none")
            connection.settimeout(3)
            with contextlib.suppress(ConnectionResetError):
                connection.recv(1)
    except OSError:
        return False
    return node_responds(name)


def http_answers() -> bool:
    try:
        host, port = REGISTRY.split(":")
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
            return b"200 OK" in connection.recv(200)
    except OSError:
        return False


def munged() -> Daemon:
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    return Daemon(
        "munged",
        ["/usr/sbin/munged", "--foreground", "--force"],
        munge_answers,
        user="munge",
        stale=("/run/munge/munge.socket.2", "/run/munge/munge.socket.2.lock"),
    )


def dockerd() -> Daemon:
    return Daemon(
        "dockerd",
        ["/usr/sbin/dockerd"],
        lambda: succeeds("docker", "info"),
        stale=("/var/run/docker.pid", "/var/run/docker/containerd/containerd.pid"),
        patience=60,
    )


def registry() -> Daemon:
    return Daemon(
        "registry", ["/usr/bin/docker-registry", "serve", registry_config()], http_answers
    )


def slurmctld() -> Daemon:
    return Daemon(
        "slurmctld.out",
        ["/usr/sbin/slurmctld", "-D"],
        lambda: succeeds("scontrol", "ping"),
        stale=(f"{RUN}/slurmctld.pid",),
    )


def slurmd(name: str) -> Daemon:
    return Daemon(
        f"slurmd-{name}.out",
        ["/usr/sbin/slurmd", "-D", "-N", name],
        lambda: slurmd_works(name),
        matches=(name,),
        hostname=name,  # MPI libraries tell nodes by it
        stale=(f"{RUN}/slurmd-{name}.pid",),
    )


def slurm_daemons() -> list[Daemon]:
    return [slurmctld(), *(slurmd(name) for name in node_names())]


def start_service(daemon: Daemon, unit: str) -> None:
    """Through systemd where it runs, else as our own background process."""
    if has_systemd():
        run("systemctl", "start", unit)
        wait_until(daemon.answers, unit, daemon.patience, f"`journalctl -u {unit}` says why")
    else:
        daemon.start()


def wake_nodes() -> None:
    """Bring back nodes that an earlier crash left down or drained, once all run."""
    for name in node_names():
        if not node_is_up(name):
            succeeds("scontrol", "update", f"nodename={name}", "state=resume")
    wait_until(
        lambda: all(node_is_up(name) for name in node_names()),
        "the nodes",
        30,
        f"`sinfo -R` and {LOGS}/slurmd-*.log say why",
    )


# --- up, down, clean ---------------------------------------------------------


def prepare_machine() -> None:
    with stage("packages of Slurm, munge, Docker and build tools"):
        install_missing()
    with stage("users alice and bob"):
        make_users()


def start_services() -> None:
    with stage("munge, Docker Engine and the registry"):
        make_folders()
        start_service(munged(), "munge")
        start_service(dockerd(), "docker")
        registry().start()


def start_slurm(new_plugin: bool) -> None:
    """slurmd looks once, at its start, whether a plugin has an epilog."""
    with stage(f"Slurm with {NODES} nodes"):
        changed = write_configuration() or new_plugin
        for daemon in slurm_daemons():
            if changed:
                daemon.stop()
            # slurmd answers only once its controller does; both are awaited below.
            daemon.start()
        wake_nodes()


def up() -> None:
    # `su` without a login leaves root without the sbin directories.
    os.environ["PATH"] = (
        f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    prepare_machine()
    start_services()
    with stage("the plugin, built and installed"):
        new_plugin = plugin.install()
    start_slurm(new_plugin)
    with stage("images busybox:1 and debian:bookworm in the registry"):
        provide_busybox()
        provide_debian()


def down() -> None:
    with stage("stopping the cluster"):
        if shutil.which("scancel") and slurmctld().pids():
            for user in ("alice", "bob"):  # of several --user scancel takes the last
                succeeds("scancel", f"--user={user}")
        for daemon in reversed(slurm_daemons()):
            daemon.stop()
        if STATE.exists():
            registry().stop()
        if not has_systemd():
            for daemon in (dockerd(), munged()):
                daemon.stop()


def clean() -> None:
    down()
    with stage("removing what the cluster made"):
        plugin.uninstall()
        succeeds("umount", str(STATE / "bench"))  # where a killed `make bench` has left it
        for name in ("slurm.conf", "cgroup.conf"):
            path = SLURM_ETC / name
            if path.exists() and MARKER in path.read_text():
                path.unlink()
        for folder in (STATE, RUN, LOGS, CACHE, Path("/run/socker")):
            shutil.rmtree(folder, ignore_errors=True)


def status() -> None:
    for daemon in (munged(), dockerd(), registry(), *slurm_daemons()):
        pids = daemon.pids()
        state = "answers" if pids and daemon.answers() else "does not answer" if pids else "is down"
        print(f"{daemon.name:18} {state} {pids or ''}")


def main() -> None:
    commands = {"up": up, "down": down, "clean": clean, "status": status}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=commands)
    command = parser.parse_args().command
    if os.geteuid() != 0:
        sys.exit("cluster.py: only root can start daemons: run it with sudo")
    commands[command]()


if __name__ == "__main__":
    main()
