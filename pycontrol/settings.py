"""Every setting: its name, default, and what it means, for checks, `socker config` and docs.

config.py reads them.
"""

from __future__ import annotations

from pycontrol.plaindata import dataclass, field, fields
from pycontrol.rules import Rule


def _setting(default, meaning: str, example: str, choices: tuple[str, ...] = (), least: int = 1):
    metadata = {"meaning": meaning, "example": example, "choices": choices, "least": least}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Every setting, with its default; types are bool, int, str, or tuples."""

    engine: str = _setting(
        "unix:///var/run/docker.sock",
        "Where Docker Engine, or an engine with its interface, listens.",
        "unix:///run/podman/podman.sock",
    )
    engine_timeout: int = _setting(
        60, "Seconds that the engine may take to answer one request.", "120"
    )
    pull_timeout: int = _setting(
        1800, "Seconds that pulling one image may take, waiting for others included.", "3600"
    )
    early_start: bool = _setting(
        True,
        "Begin with the image and the container of a job that is submitted with them while the "
        "job starts, before its first step asks; needs PrologFlags=Contain.",
        "false",
    )
    progress_interval: int = _setting(
        5, "Seconds between two progress lines on the user's terminal.", "10"
    )
    pause: str = _setting(
        "/usr/lib/socker/pause",
        "The idle first process of a container, put in place by `socker install`.",
        "/opt/socker/lib/pause",
    )
    mount_home: bool = _setting(
        True,
        "Show the user's home directory inside; users can ask for the other with "
        "--[no-]container-mount-home.",
        "false",
    )
    mount_submit_dir: bool = _setting(
        True, "Show the directory that the step starts in, outside, also inside.", "false"
    )
    launcher: str = _setting(
        "/usr/lib/socker/launch",
        "What stands before a command with an ENTRYPOINT, put in place by `socker install`.",
        "/opt/socker/lib/launch",
    )
    pull: str = _setting(
        "missing",
        "When to ask the registry for an image: always (once a job), when the node has none "
        "(missing), or never; users can choose with --container-pull.",
        "always",
        choices=("always", "missing", "never"),
    )
    entrypoint: bool = _setting(
        False,
        "Run commands through the image's ENTRYPOINT; users can ask for the other with "
        "--[no-]container-entrypoint.",
        "true",
    )
    tmp: str = _setting(
        "host",
        "What /tmp is inside: the node's (host), or a memory file system of the step's own "
        "(private); users can choose with --container-tmp.",
        "private",
        choices=("host", "private"),
    )
    tmpfs_size: str = _setting(
        "50%",
        "How large a memory file system may get that has no size of its own: bytes with k, m "
        "or g, or a part of the node's memory. What is in it counts as the job's memory.",
        "4g",
    )
    writable_dir: str = _setting(
        "/var/lib/socker",
        "Where writable containers keep what is written to them, on a local file system; root's "
        "alone. It is removed with the container.",
        "/scratch/socker",
    )
    save_timeout: int = _setting(
        1800, "Seconds that --container-save may take when a step ends.", "3600"
    )
    slurm_commands: bool = _setting(
        True,
        "Have srun, sbatch and Slurm's other commands in batch scripts and interactive steps; "
        "users choose with --[no-]container-slurm.",
        "false",
    )
    slurm_bin: str = _setting(
        "/usr/bin", "Where Slurm's commands are on the nodes.", "/opt/slurm/bin"
    )
    slurm_paths: str = _setting(
        "",
        "More files and directories of the node, joined by `:`, that Slurm's commands need inside "
        "at their own paths, beside Slurm's configuration and plugins.",
        "/opt/slurm/lib:/opt/pmix",
    )
    plan_time: int = _setting(
        60,
        "Seconds for which what was decided of a step holds for later steps of its job that ask "
        "the same, while no file that it depends on changes: so long an account or group that is "
        "changed in a directory service may go unnoticed. 0: each is decided by itself.",
        "0",
        least=0,
    )
    audit_log: str = _setting(
        "/var/log/socker/audit.jsonl",
        "Where a JSON line is added for each container step that starts, is refused or ends; "
        "empty: nowhere.",
        "/var/log/slurm/socker.jsonl",
    )
    audit_syslog: bool = _setting(
        True, "Send the same lines to the node's syslog, if there is one.", "false"
    )
    pyxis_compat: bool = _setting(
        False, "Let PYXIS_CONTAINER_... variables count where no option says otherwise.", "true"
    )
    mounts: tuple = _setting(
        (),
        "Mounts of every container, written as for --container-mounts, made with the user's "
        "rights; a step whose user cannot reach the source fails.",
        '["/opt/site:/opt/site:ro"]',
    )
    mounts_if_there: tuple = _setting(
        (), "The same, but left out where the user cannot reach the source.", '["/scratch"]'
    )
    options_off: tuple = _setting(
        (),
        "Options that users may not give, in any way; without the dashes.",
        '["container-save", "container-writable", "container-name"]',
    )
    max_image_size: str = _setting(
        "unlimited",
        "How large an image may be on the node, unpacked: bytes with k, m, g or t.",
        "20g",
    )
    max_image_layers: int = _setting(127, "How many layers an image may have.", "64")
    max_node_size: str = _setting(
        "unlimited",
        "How much all images of a node may take before no more is pulled or imported.",
        "500g",
    )
    prune_age: str = _setting(
        "unlimited",
        "How long an image that socker brought may lie unused before `socker images prune` "
        "removes it: a number with m, h, d or w. See [gc.md](gc.md).",
        "30d",
    )
    prune_size: str = _setting(
        "unlimited",
        "How much all images of a node may take; more, and it removes those that socker brought, "
        "the one not used for longest first.",
        "200g",
    )
    image_list: str = _setting(
        "",
        "A file with the images that everybody may run, one reference a line; see "
        "[policy.md](policy.md).",
        "/etc/socker/images",
    )
    rule: tuple[Rule, ...] = _setting(
        (),
        "Who may run and mount what: tables in order, see [policy.md](policy.md).",
        "",
    )
    public_images: tuple = _setting(
        (),
        "Registries, or parts of them, whose images are for everybody: one that the node has "
        "runs without a question to its registry. See [registries.md](registries.md).",
        '["docker.io/library", "registry.example.org/public"]',
    )
    confirmation_time: int = _setting(
        300, "Seconds for which a registry's word that a user may read an image counts.", "3600"
    )
    unreachable_registry: str = _setting(
        "refuse",
        "What becomes of an image that the node has when its registry does not answer: refuse "
        "it, let those run it whom the registry has confirmed since the node's boot "
        "(confirmed), or allow it to everybody.",
        "confirmed",
        choices=("refuse", "confirmed", "allow"),
    )
    registry_timeout: int = _setting(
        30, "Seconds that a registry and a user's credential helper may take to answer.", "60"
    )
    resolve_tags: str = _setting(
        "submit",
        "Where a tag becomes the digest that all nodes of a job run: where the job is submitted, "
        "or on each node by itself.",
        "node",
        choices=("submit", "node"),
    )
    store_digest: str = _setting(
        "no",
        "Where a job's record in Slurm shows the digests of its images: nowhere, in its comment, "
        "or in its admin_comment.",
        "admin_comment",
        choices=("no", "comment", "admin_comment"),
    )
    verify: tuple = _setting(
        (),
        "A program, with its arguments, that says by its exit status whether a registry's image "
        "may run; IMAGE@DIGEST is its last argument. See [registries.md](registries.md).",
        '["/usr/local/bin/cosign", "verify", "--key", "/etc/socker/cosign.pub"]',
    )
    verify_user: str = _setting("nobody", "The account that it runs as; not root.", "cosign")
    verify_timeout: int = _setting(60, "Seconds that it may take.", "120")


FIELDS = {f.name: f for f in fields(Config)}
