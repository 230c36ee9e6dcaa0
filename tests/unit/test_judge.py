"""What rules say: one order, the first that holds and speaks decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontrol import config, judge, rulefile, ruleshow, ruling
from pycontrol.errors import PolicyError
from pycontrol.identity import Account
from pycontrol.image import Image, parse_reference
from pycontrol.imagename import full_name
from pycontrol.judge import Judge
from pycontrol.rules import NOWHERE, Place, Rules

ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"), (2000, "lab")))
BOB = Account("bob", 1002, 100, "", "/home/bob", ((100, "users"),))
GPU = Place("physics", "gpu")
A, B = ("sha256:" + letter * 64 for letter in "ab")


def rules(text, listed=None):
    found = config.parse_file(text, "f.toml").get("rule", ())
    if listed is None:
        return Rules(found)
    return Rules(found, rulefile.parse_list(listed, "/l"), "/l")


def image(text, name, account=ALICE, place=GPU, listed=None):
    return Judge(rules(text, listed), account, place).image(full_name(parse_reference(name)))


ORDER = """
[[rule]]
name = "old"
deny_images = ["debian:11"]
reason = "has holes"
[[rule]]
name = "lab"
groups = ["lab"]
allow_images = ["*"]
[[rule]]
name = "all"
deny_images = ["docker.io/library/alpine"]
allow_images = ["docker.io/library"]
"""


@pytest.mark.parametrize(
    ("name", "account", "allowed", "why"),
    [
        ("debian:11", ALICE, False, "rule 1 `old` denies `debian:11`: has holes"),
        ("debian", ALICE, True, "rule 2 `lab` allows `*`"),
        ("alpine", ALICE, True, "rule 2 `lab` allows `*`"),
        ("debian", BOB, True, "rule 3 `all` allows `docker.io/library`"),
        (
            "alpine", BOB, False, "rule 3 `all` denies `docker.io/library/alpine`: "
            "`socker images` lists what you may run",
        ),
        (
            "reg.example.org/x", BOB, False,
            "no rule of this site allows it: `socker images` lists what you may run",
        ),
        (
            f"debian@{A}", BOB, False, "rule 1 `old` denies `debian:11`: which tags a digest "
            "has nobody knows, so name the image by its tag: has holes",
        ),
    ],
)  # fmt: skip
def test_the_first_rule_that_holds_decides(name, account, allowed, why):
    verdict = image(ORDER, name, account)
    assert (verdict.allowed, verdict.why) == (allowed, why)


def test_without_rules_all_is_allowed():
    judging = Judge(Rules(), ALICE, NOWHERE)
    assert image("", "anything").allowed
    assert judging.source("/x").allowed
    assert judging.target("/x").allowed
    assert judging.native().allowed
    assert judging.sources() is None


def test_denials_alone_allow_the_rest():
    text = '[[rule]]\ndeny_images = ["alpine"]\n'
    assert image(text, "debian").allowed
    assert not image(text, "alpine").allowed
    assert image(text, "/x.tar").allowed


def test_what_is_allowed_to_some_is_refused_to_others():
    text = '[[rule]]\ngroups = ["lab"]\nallow_images = ["debian"]\n'
    assert image(text, "debian", ALICE).allowed
    assert image(text, "debian", BOB).allowed is False
    assert image(text, "alpine", BOB).allowed is False


@pytest.mark.parametrize(
    ("condition", "account", "place", "allowed"),
    [
        ('users = ["alice"]', ALICE, GPU, True),
        ('users = ["alice"]', BOB, GPU, False),
        ('users = ["1002"]', BOB, GPU, True),
        ('groups = ["lab", "x"]', ALICE, GPU, True),
        ('groups = ["2000"]', ALICE, GPU, True),
        ('groups = ["lab"]', BOB, GPU, False),
        ('accounts = ["physics"]', BOB, GPU, True),
        ('accounts = ["physics"]', BOB, Place("", "gpu"), False),
        ('partitions = ["cpu", "gpu"]', BOB, GPU, True),
        ('partitions = ["cpu"]', BOB, GPU, False),
        ('partitions = ["gpu"]\nusers = ["alice"]', BOB, GPU, False),
        ('partitions = ["gpu"]\nusers = ["alice"]', ALICE, GPU, True),
        ('partitions = ["gpu"]', ALICE, NOWHERE, None),
        ('partitions = ["gpu"]\nusers = ["alice"]', BOB, NOWHERE, False),
        ('accounts = ["physics"]', ALICE, Place(None, "gpu"), None),
    ],
)
def test_conditions(condition, account, place, allowed):
    text = f'[[rule]]\n{condition}\nallow_images = ["debian"]\n'
    assert image(text, "debian", account, place).allowed is allowed


def test_what_holds_wherever_the_job_runs_is_known_before():
    """A rule that may hold makes it unknown only if it would say otherwise."""
    maybe = '[[rule]]\npartitions = ["gpu"]\n{}\n[[rule]]\n{}\n'
    deny, allow = 'deny_images = ["debian"]', 'allow_images = ["debian"]'
    assert image(maybe.format(deny, deny), "debian", place=NOWHERE).allowed is False
    assert image(maybe.format(allow, allow), "debian", place=NOWHERE).allowed is True
    unknown = image(maybe.format(deny, allow), "debian", place=NOWHERE)
    assert unknown.allowed is None
    assert "rule 1 denies `debian`" in unknown.why
    assert ", where it holds; else rule 2 allows `debian`" in unknown.why


def test_the_list_of_images_counts_after_the_rules():
    text = '[[rule]]\ndeny_images = ["alpine"]\n'
    listed = f"debian:12\nalpine:3\nreg.example.org/a@{A}\n/apps/x.sqsh\n"
    for name, allowed in (
        ("docker.io/library/debian:12", True), ("debian", False), (f"debian:12@{A}", False),
        ("alpine:3", False), (f"reg.example.org/a:9@{A}", True), ("reg.example.org/a", False),
        ("/apps/x.sqsh", True), ("/apps/x.sqsh/y", False),
    ):  # fmt: skip
        assert image(text, name, listed=listed).allowed is allowed, name
    assert image("", "debian:12", listed=listed).why == "/l has it"
    assert image("", "debian", listed="").allowed is False


DIGESTS = """
[[rule]]
name = "loose"
users = ["bob"]
digest = "optional"
[[rule]]
name = "production"
allow_images = ["reg.example.org"]
digest = "required"
[[rule]]
allow_images = ["debian"]
"""


@pytest.mark.parametrize(
    ("name", "account", "allowed"),
    [
        ("reg.example.org/a:1", ALICE, False),
        (f"reg.example.org/a:1@{A}", ALICE, True),
        ("reg.example.org/a:1", BOB, True),
        ("debian", ALICE, True),
    ],
)
def test_digests_may_be_required(name, account, allowed):
    judging = Judge(rules(DIGESTS), account, GPU)
    verdict = judging.digest(full_name(parse_reference(name)))
    assert verdict.allowed is allowed
    if not allowed:
        assert verdict.why == "rule 2 `production` requires one: name the image as NAME@sha256:..."


def on_the_node(text, name, *digests, image_id="sha256:" + "0" * 64):
    reference = parse_reference(name)
    found = Image(image_id, (), "", digests=digests)
    judges = (Judge(rules(text), ALICE, GPU),)
    ruling.check_image(judges, reference, found, config.Config())


def test_a_rule_about_a_digest_holds_for_what_is_run():
    """By whatever name it was asked for: the node knows its digests."""
    for pattern in (f"reg.example.org/a@{A}", f"@{A}"):
        text = f'[[rule]]\ndeny_images = ["{pattern}"]\n'
        assert image(text, "reg.example.org/a:1").allowed, "nobody knows yet"
        on_the_node(text, "reg.example.org/a:1", B)
        with pytest.raises(PolicyError, match=r"^image reg.example.org/a:1@?.*: rule 1 denies"):
            on_the_node(text, "reg.example.org/a:1", A)
        with pytest.raises(PolicyError, match="rule 1 denies"):
            on_the_node(text, "reg.example.org/a:1", B, image_id=A)


def test_a_digest_that_was_allowed_first_stays_allowed():
    text = f'[[rule]]\nallow_images = ["debian:1"]\n[[rule]]\ndeny_images = ["@{A}"]\n'
    on_the_node(text, "debian:1", A)
    text = f'[[rule]]\nallow_images = ["@{A}"]\n'
    on_the_node(text, f"debian@{A}", B, image_id=B)


def test_a_file_is_no_digest_wherever_a_link_to_it_is():
    """Named by a link it is not what the rule is about: the node sees where that leads."""
    text = '[[rule]]\nallow_images = ["/apps", "/home"]\ndigest = "required"\n'
    text = f'[[rule]]\nallow_images = ["/home"]\n{text}'
    optional = text.replace("[[rule]]", '[[rule]]\ndigest = "optional"', 1)
    for found, path, allowed in (
        (text, "/home/x", False),
        (text, "/apps/x", False),
        (optional, "/home/x", True),
        (optional, "/apps/x", False),
    ):
        check = ruling.file_judge((Judge(rules(found), ALICE, GPU),))
        if allowed:
            check(path)
        else:
            with pytest.raises(PolicyError, match="rule 2 requires one: name the image as"):
                check(path)


def test_an_image_file_is_held_against_its_path_and_its_content():
    text = f'[[rule]]\ndeny_images = ["/apps/old", "@{A}"]\nallow_images = ["/apps"]\n'
    check = ruling.file_judge((Judge(rules(text), ALICE, GPU),))
    check("/apps/x")
    for path in ("/apps/old/x", "/apps2/x", "/home/alice/x"):
        with pytest.raises(PolicyError, match=f"image {path}: "):
            check(path)
    on_the_node(text, "/home/link")
    with pytest.raises(PolicyError, match="denies"):
        on_the_node(text, "/home/link", image_id=A)
    assert ruling.file_judge((Judge(rules(ORDER), ALICE, GPU),)) is None


SOURCES = """
[[rule]]
allow_sources = ["/home", "/scratch"]
deny_targets = ["/opt/site"]
[[rule]]
name = "lab"
groups = ["lab"]
allow_sources = ["/data/lab"]
deny_targets = ["/etc"]
reason = "the site's"
"""


@pytest.mark.parametrize(
    ("path", "account", "allowed"),
    [
        ("/scratch", BOB, True),
        ("/scratch/x", BOB, True),
        ("/scratch2", BOB, False),
        ("/scratch2/x", BOB, False),
        ("/", BOB, False),
        ("/data/lab/x", ALICE, True),
        ("/data/lab/x", BOB, False),
        ("/scratch/../etc", BOB, False),
        ("/data/lab/../../scratch//./x", BOB, True),
    ],
)
def test_sources(path, account, allowed):
    assert Judge(rules(SOURCES), account, GPU).source(path).allowed is allowed


def test_a_refused_source_says_what_is_allowed():
    verdict = Judge(rules(SOURCES), BOB, GPU).source("/etc")
    assert verdict.text == (
        "mount /etc: this site allows mounts from /home, /scratch only: use a path there"
    )


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/opt/site", False),
        ("/opt/site/bin", False),
        ("/opt", False),
        ("/opt/site2", True),
        ("/etc/ssl", False),
        ("/data", True),
    ],
)
def test_targets(path, allowed):
    assert Judge(rules(SOURCES), ALICE, GPU).target(path).allowed is allowed


def test_a_refused_target_says_why():
    verdict = Judge(rules(SOURCES), ALICE, GPU).target("/etc")
    assert verdict.text == "mount at /etc: rule 2 `lab` keeps /etc as it is: the site's"


NATIVE = """
[[rule]]
users = ["bob"]
container = "optional"
[[rule]]
name = "gpu"
partitions = ["gpu"]
container = "required"
"""


@pytest.mark.parametrize(
    ("account", "place", "allowed"),
    [
        (ALICE, GPU, False),
        (BOB, GPU, True),
        (ALICE, Place("", "cpu"), True),
        (ALICE, NOWHERE, None),
        (BOB, NOWHERE, True),
    ],
)
def test_a_container_may_be_required(account, place, allowed):
    assert Judge(rules(NATIVE), account, place).native().allowed is allowed


def test_the_components_of_a_job_must_all_be_satisfied():
    text = '[[rule]]\npartitions = ["gpu"]\nallow_sources = ["/a", "/b/c"]\n'
    text += '[[rule]]\npartitions = ["cpu"]\nallow_sources = ["/a/x", "/b", "/d"]\n'
    places = (GPU, Place("", "cpu"), GPU)
    judges = ruling.judges_of(rules(text), ALICE, places)
    assert len(judges) == 2
    assert judge.common_sources(judges) == ("/b/c", "/a/x")
    assert judge.common_sources(judges[:1]) == ("/a", "/b/c")
    assert judge.common_sources(()) is None


def test_what_a_user_may_run():
    text = ORDER + '[[rule]]\npartitions = ["gpu"]\nallow_images = ["/apps"]\n'
    assert ruleshow.authorised(rules(text, "alpine"), BOB) == (
        ruleshow.Entry("debian:11", False, "rule 1 `old`"),
        ruleshow.Entry("docker.io/library/alpine", False, "rule 3 `all`"),
        ruleshow.Entry("docker.io/library", True, "rule 3 `all`"),
        ruleshow.Entry("/apps", True, "rule 4", "partitions gpu"),
    )


def test_the_list_for_a_user():
    text = '[[rule]]\ndeny_images = ["alpine"]\npartitions = ["gpu"]\n'
    text += '[[rule]]\nusers = ["bob"]\ndeny_images = ["debian"]\n'
    listed = "docker.io/library/alpine\ndebian:12\ndebian:12\n/apps/x\n"
    assert ruleshow.names(rules(text, listed), ALICE) == ("alpine:latest", "debian:12", "/apps/x")
    assert ruleshow.names(rules(text, listed), BOB) == ("alpine:latest", "/apps/x")
    assert ruleshow.names(rules(SOURCES), BOB) is None
    assert ruleshow.names(rules(ORDER), BOB) == ()


def test_which_of_the_present_images_a_user_may_run():
    may_run = ruleshow.allows(rules(ORDER), BOB)
    assert [may_run(n) for n in ("debian:12", "alpine:1", "-", "socker.local/file:1")] == [
        True, False, False, False,
    ]  # fmt: skip
    assert not ruleshow.allows(rules(SOURCES), BOB)("debian:12")


# --- properties -------------------------------------------------------------------------

COMPONENT = st.sampled_from(["a", "b", "ab", "a-b"])
PATH = st.lists(COMPONENT, min_size=2, max_size=3).map("/".join)
SPELLING = st.sampled_from(
    ["reg.org/{}", "REG.ORG/{}", "reg.org:443/{}", "docker://reg.org/{}", "dockerd://Reg.org:80/{}",
     "reg.org#{}", "user@reg.org#{}"]
)  # fmt: skip
TAIL = st.sampled_from(["", ":1", f"@{A}", f":1@{A}"])
EFFECT = st.sampled_from(["deny_images", "allow_images"])
RULE = st.tuples(EFFECT, PATH, st.sampled_from(["", ":1", f"@{A}", "/*"]))


@given(st.lists(RULE, max_size=4), PATH, TAIL, SPELLING, SPELLING)
def test_no_spelling_changes_the_verdict(tables, path, tail, one, other):
    text = "".join(f'[[rule]]\n{kind} = ["reg.org/{p}{end}"]\n' for kind, p, end in tables)
    verdicts = [image(text, form.format(path) + tail).allowed for form in (one, other)]
    assert verdicts[0] is verdicts[1]


@given(st.lists(RULE, max_size=4), PATH, TAIL)
def test_a_denial_in_front_decides(tables, path, tail):
    text = f'[[rule]]\ndeny_images = ["reg.org/{path}"]\n'
    text += "".join(f'[[rule]]\n{kind} = ["reg.org/{p}{end}"]\n' for kind, p, end in tables)
    assert image(text, f"reg.org:443/{path}{tail}").allowed is False
    assert image(text, f"reg.org/{path}/x").allowed is False


@given(st.lists(RULE, max_size=4), PATH, TAIL)
def test_what_is_known_before_is_what_the_node_says(tables, path, tail):
    """Before a job is queued nothing is refused or allowed that the node would not."""
    text = "".join(
        f'[[rule]]\npartitions = ["p{n % 2}"]\n{kind} = ["reg.org/{p}{end}"]\n'
        for n, (kind, p, end) in enumerate(tables)
    )
    before = image(text, f"reg.org/{path}{tail}", place=NOWHERE).allowed
    for partition in ("p0", "p1", "p2"):
        there = image(text, f"reg.org/{path}{tail}", place=Place("", partition)).allowed
        assert before is None or before is there
