"""The site's rules in the decision about a step."""

import pytest

from pycontrol import config, policy, request, ruling, submit
from pycontrol.config import Config
from pycontrol.errors import PolicyError
from pycontrol.identity import Account
from pycontrol.judge import Judge
from pycontrol.rules import NOWHERE, Place, Rules

ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))
HERE = Place("physics", "gpu")
SCRATCH = '[[rule]]\nallow_sources = ["/scratch"]\ndeny_targets = ["/opt/site"]\n'


def decide(text="", cwd="/", places=(HERE,), **options):
    settings = Config(**config.parse_file(text, "f.toml"))
    named = tuple((name.replace("_", "-"), value) for name, value in options.items())
    asked = request.parse((("docker", "a"), *named), cwd)
    judges = ruling.judges_of(Rules(settings.rule), ALICE, places)
    return policy.decide(asked, ALICE, settings, cwd=cwd, step_id=0, argv=("true",), judges=judges)


def refusal(text, **options) -> str:
    with pytest.raises(PolicyError) as error:
        decide(text, **options)
    return str(error.value)


def shown(spec):
    return [(m.source, m.target, m.flags) for m in spec.mounts if m.source not in NODES]


NODES = ("/dev", "/proc", "/sys", "/tmp")


def test_what_allowed_the_image_is_kept_for_the_audit():
    assert decide().rule == "no rule is against it"
    text = '[[rule]]\nname = "r"\nallow_images = ["a"]\n'
    assert decide(text).rule == "rule 1 `r` allows `a`"


# --- options ----------------------------------------------------------------------


def test_an_option_that_is_switched_off():
    text = 'options_off = ["container-save", "container-writable"]\n'
    assert refusal(text, container_writable="") == (
        "--container-writable: this site has switched it off (options_off): leave it out"
    )
    assert decide(text, container_readonly="", container_name="x").name.name == "x"
    assert "--container-save: this site" in refusal(
        text, container_name="x", container_save="/x.tar"
    )


def test_its_default_cannot_be_given_either():
    assert "--container-tmp: " in refusal('options_off = ["container-tmp"]\n', container_tmp="host")


# --- mounts -----------------------------------------------------------------------


def test_the_sites_mounts_come_behind_the_nodes_and_before_the_users():
    text = (
        'mounts = ["/opt/site:/opt/site:ro", "/srv/x:/x"]\n'
        'mounts_if_there = ["/scratch", "tmpfs:/fast:size=1g"]\n'
    )
    spec = decide(text, cwd="/scratch/a", container_mounts="/u:/x")
    assert shown(spec) == [
        ("/opt/site", "/opt/site", "r"),
        ("/srv/x", "/x", ""),
        ("/scratch", "/scratch", "o"),
        ("", "/fast", "oi"),
        ("/home/alice", "/home/alice", "o"),
    ]
    assert [m.target for m in spec.user_mounts] == ["/x"]


def test_the_users_mounts_are_held_against_the_rules_twice():
    """As written, here; where they lead, by the task (flag c)."""
    spec = decide(SCRATCH, container_mounts="/scratch/x:/a,tmpfs:/b,umount:/tmp")
    assert [mount.flags for mount in spec.user_mounts] == ["c", "ci", "cu"]
    assert refusal(SCRATCH, container_mounts="/scratch/x:/a,/scratch2:/b") == (
        "mount /scratch2: this site allows mounts from /scratch only: use a path there"
    )


@pytest.mark.parametrize(
    "source", ["/scratch/../etc", "//etc", "/scratch2", "/scratch/../scratch2"]
)
def test_spellings_of_a_source(source):
    assert "this site allows mounts from /scratch only" in refusal(
        SCRATCH, container_mounts=f"{source}:/a"
    )


@pytest.mark.parametrize(
    "entry", ["/scratch:/opt/site", "tmpfs:/opt/site/x", "umount:/opt/site", "/scratch:/opt"]
)
def test_targets_that_must_stay_as_they_are(entry):
    assert "rule 1 keeps /opt/site as it is" in refusal(SCRATCH, container_mounts=entry)


def test_without_rules_about_paths_nothing_is_checked():
    spec = decide('[[rule]]\nallow_images = ["a"]\n', cwd="/data", container_mounts="/x:/y")
    assert not any(mount.checked for mount in (*spec.mounts, *spec.user_mounts))


def test_the_start_directory_is_the_users_choice_too():
    """Else `cd` would be the way around."""
    assert "/data" not in [m.target for m in decide(SCRATCH, cwd="/data").mounts]
    assert decide(SCRATCH, cwd="/scratch/x").mounts[-1].flags == "oc"
    assert "/opt/site/x" not in [
        m.target for m in decide('[[rule]]\ndeny_targets = ["/opt/site"]', cwd="/opt/site/x").mounts
    ]


def test_the_home_directory_is_the_sites_unless_only_the_user_wants_it():
    assert ("/home/alice", "/home/alice", "o") in shown(decide(SCRATCH))
    text = f"mount_home = false\n{SCRATCH}"
    assert "mount /home/alice: this site allows mounts from /scratch only" in refusal(
        text, container_mount_home=""
    )
    assert not shown(decide(text))
    text = f"mount_home = false\n{SCRATCH}".replace("/scratch", "/home")
    assert shown(decide(text, container_mount_home="")) == [("/home/alice", "/home/alice", "oc")]


# --- what is not known on the node --------------------------------------------------

NAMELESS = Account("carol", 1003, 100, "", "/home/carol", ((100, "users"), (7, "gid7")))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ('groups = ["x"]\ndeny_images = ["a"]', False),
        ('groups = ["users"]\ndeny_images = ["b"]', True),
        ('groups = ["7"]\nallow_images = ["a"]', True),
        ('groups = ["x"]\nallow_images = ["a"]', False),
        ('groups = ["x"]\nusers = ["alice"]\ndeny_images = ["a"]', True),
    ],
)
def test_a_group_that_has_no_name_on_the_node(text, allowed):
    """The job may be in the group of the rule: what depends on that is refused."""
    judges = ruling.judges_of(Rules(rules_of(text)), NAMELESS, [HERE])
    asked = request.parse((("docker", "a"),), "/")
    found = ruling.verdicts(asked, (), judges, Config())
    if allowed:
        ruling.refuse(found)
        return
    ruling.refuse(found, surely=False)
    with pytest.raises(PolicyError, match="it is not known whether the site allows it: rule 1 "):
        ruling.refuse(found)


def rules_of(text):
    return config.parse_file(f"[[rule]]\n{text}\n", "f.toml")["rule"]


# --- several places -----------------------------------------------------------------


def test_all_components_of_a_job_must_allow_it():
    text = '[[rule]]\npartitions = ["cpu"]\ndeny_images = ["a"]\n'
    assert decide(text)
    with pytest.raises(PolicyError, match="rule 1 denies `a`"):
        decide(text, places=(HERE, Place("", "cpu")))


def test_a_step_that_ends_is_not_judged_again():
    """The rules may have changed; its container must go all the same."""
    settings = Config(options_off=("container-writable",))
    asked = request.parse((("docker", "a"), ("container-writable", "")), "/")
    spec = policy.specify(asked, ALICE, settings, cwd="/", step_id=1, argv=("true",))
    assert spec.key == "step:1"


@pytest.mark.parametrize("image", ["name:x", "step:0", "image:x"])
def test_no_image_is_called_like_another_container(image):
    """Else a step in that image would join it."""
    keys = [
        policy.specify(
            request.parse(options, "/"), ALICE, Config(), cwd="/", step_id=0, argv=("true",)
        ).key
        for options in (
            (("docker", image),),
            (("docker", "a"), ("container-name", "x")),
            (("docker", "a"), ("container-writable", "")),
            (("docker", "x"),),
        )
    ]
    assert len(set(keys)) == 4


# --- at submission --------------------------------------------------------------------


def check(text, **options):
    settings = Config(**config.parse_file(text, "f.toml"))
    named = {"docker": "a"} | {name.replace("_", "-"): v for name, v in options.items()}
    submit.check(named, "/", (settings, Judge(Rules(settings.rule), ALICE, NOWHERE)))


def test_what_no_partition_allows_is_refused_before_it_is_queued():
    with pytest.raises(PolicyError, match="rule 1 denies `a`"):
        check('[[rule]]\ndeny_images = ["a"]\n')
    with pytest.raises(PolicyError, match="options_off"):
        check('options_off = ["container-tmp"]\n', container_tmp="host")
    with pytest.raises(PolicyError, match="allows mounts from"):
        check(SCRATCH, container_mounts="/etc:/x")


def test_what_the_partition_decides_is_left_to_the_node():
    check('[[rule]]\npartitions = ["gpu"]\ndeny_images = ["a"]\n')
    check('[[rule]]\npartitions = ["gpu"]\nallow_images = ["a"]\n')


def test_an_image_file_is_left_to_the_node_unless_none_is_allowed():
    check('[[rule]]\nallow_images = ["/apps"]\n', docker="/home/x.sqsh")
    with pytest.raises(PolicyError, match="no rule of this site allows it"):
        check('[[rule]]\nallow_images = ["a"]\n', docker="/home/x.sqsh")


def test_the_node_itself_is_no_image():
    check('[[rule]]\nallow_images = ["b"]\n', docker="none")
