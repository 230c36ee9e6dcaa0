"""bridge.h is kept by both sides: what one writes, the other reads back equal, or refuses."""

import contextlib
import ctypes
import os
import re
import socket
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontrol import bridge, imagename, request
from pycontrol import given as settled
from pycontrol.bridge import Channel
from pycontrol.errors import UserError
from pycontrol.mounts import Mount
from pycontrol.srunline import Word
from tests.fuzz import builds, seeds

LARGEST = 1 << 20
# Whatever can stand in a record: bytes that are no UTF-8 come as surrogates.
TEXT = st.text(
    st.characters(min_codepoint=1, blacklist_categories=("Cs",))
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    max_size=40,
)
NAME = st.text("ABC_019", min_size=1, max_size=5)
PATH = TEXT.map(lambda text: "/" + text)
RULE = st.lists(st.text("ab.-\udcff ", min_size=1), max_size=3).map(lambda p: "/" + "/".join(p))


def read_plan(contract, channel: socket.socket) -> list[str] | None:
    """The plan as C has read it: letters, each before its fields."""
    into = contract.ffi.new(f"unsigned char[{LARGEST}]")
    size = contract.lib.contract_read_plan(channel.fileno(), into, LARGEST)
    if size < 0:
        return None
    data = bytes(contract.ffi.buffer(into, size))
    return [part.decode(errors="surrogateescape") for part in data.split(b"\0")[:-1]]


def write(channel: socket.socket, records) -> None:
    with channel, contextlib.suppress(BrokenPipeError):  # it may have read enough
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        for record in records:
            channel.send(record)


def sent(contract, *records: bytes) -> list[str] | None:
    """The plan that C makes of raw records."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, seeds.in_background(lambda: write(theirs, records)):
        return read_plan(contract, ours)


# --- plans: Python writes, C reads -----------------------------------------------------


@st.composite
def plans(draw):
    """Calls of the channel, and what C should have then, in the order of contract.c."""
    flags = st.lists(st.sampled_from("rxdobclDFi-pshn"), unique=True).map("".join)
    mounts = draw(st.lists(st.tuples(flags, PATH, PATH), max_size=6))
    mounts += [("cu", "", path) for path in draw(st.lists(PATH, max_size=2))]
    hint = st.tuples(TEXT, TEXT.filter(bool), st.text("ab c", max_size=9))
    hints = draw(st.lists(hint, max_size=2))
    words = {
        kind: draw(st.lists(of, max_size=4))
        for kind, of in (
            ("S", RULE), ("G", RULE), ("W", PATH), ("V", st.tuples(NAME, TEXT)), ("U", NAME),
            ("C", st.tuples(NAME, NAME)), ("A", TEXT),
        )
    }  # fmt: skip
    return mounts, hints, words, draw(st.booleans()), draw(PATH)


def tell(channel: Channel, plan) -> None:
    mounts, hints, words, read_only, launcher = plan
    calls = [lambda m=m: channel.mount(*m) for m in mounts]
    calls += [lambda h=h: channel.hint(*h) for h in hints]
    calls += [lambda k=k, p=p: channel.path_rule(k, p) for k in "SG" for p in words[k]]
    calls += [lambda p=p: channel.workdir(p) for p in words["W"]]
    calls += [lambda p=p: channel.set_variable(*p) for p in words["V"]]
    calls += [lambda n=n: channel.remove_variable(n) for n in words["U"]]
    calls += [lambda p=p: channel.copy_variable(*p) for p in words["C"]]
    calls += [lambda w=w: channel.entrypoint(w) for w in words["A"]]
    calls.append(lambda: channel.launcher(launcher))
    calls += [channel.read_only_root] * read_only
    for call in calls:
        channel.tell("line\nby\0line")
        call()
    channel.ask_for_time(60)


def expected(plan) -> list[str]:
    mounts, hints, words, read_only, launcher = plan
    found = [part for mount in mounts for part in ("M", *mount)]
    found += [part for hint in hints for part in ("H", *hint)]
    found += [part for kind in "SGW" for word in words[kind] for part in (kind, word)]
    found += [part for name, value in words["V"] for part in ("E", f"{name}={value}")]
    found += [part for name in words["U"] for part in ("E", name)]
    found += [part for name, other in words["C"] for part in ("C", f"{name}={other}")]
    found += [part for word in words["A"] for part in ("A", word)]
    return [*found, "X", launcher, *["R"] * read_only]


@given(plans())
def test_whatever_plan_python_writes_c_reads_back_equal(contract, plan):
    records = [record for record, _ in seeds.packets(lambda channel: tell(channel, plan))]
    assert sent(contract, *records) == expected(plan)


@given(plans(), st.data())
def test_a_plan_of_which_a_part_is_missing_is_refused(contract, plan, data):
    """A record less, the end cut off anywhere, or a record from elsewhere more."""
    records = [record for record, _ in seeds.packets(lambda channel: tell(channel, plan))]
    assert sent(contract, *records) == expected(plan)
    place = data.draw(st.integers(0, len(records) - 1))
    less = records[:place] + records[place + 1 :]
    more = [*records[:place], b"W/evil", *records[place:]]
    cut = records[:place]
    for wrong in (less, more, cut, [*cut, records[-1]]):
        if wrong != records:
            assert sent(contract, *wrong) is None
    number = records[-1]
    for end in (number[:-1], number + b"0", number + b"\0", b"K 0", b"K+0", b"K"):
        assert sent(contract, *records[:-1], end) is None


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"F", b"K0", b"K1", b"K2"]), max_size=5))
def test_bytes_are_a_plan_only_if_they_say_so(contract, records):
    found = sent(contract, *records)
    ends = [n for n, record in enumerate(records) if record == b"K%d" % n]
    assert found is None or (ends and not any(r[:1] == b"F" for r in records[: ends[0]]))


@pytest.mark.parametrize(
    "record",
    [
        b"", b"\0", b"Q", b"K", b"K-0", b"K00", b"K0\0", b"V", b"VA", b"V=b", b"VA=b\0", b"U",
        b"UA=b", b"CA", b"C=A", b"M", b"M\0", b"M\0/a\0", b"M\0/a\0b", b"M\0a\0/b",
        b"M\0/a\0/b\0", b"M\0/a\0/b\0c", b"H", b"Ha", b"H\0b", b"Ha\0b", b"Ha\0\0c", b"Ha\0b\0c\0d",
        b"Nmnt", b"Nxyz",
        b"S", b"Sa", b"S/a/", b"G", b"G/a/", b"R1", b"D", b"D-1", b"D1s", b"D 1", b"T\0x",
    ],
)  # fmt: skip
def test_records_that_are_none(contract, record):
    assert sent(contract, record, b"K1") is None
    assert sent(contract, b"W/", b"K1") == ["W", "/"]


def test_a_record_that_is_too_long_is_refused_with_a_word(contract):
    with pytest.raises(UserError, match=r"^NAME: longer than 128 KiB"):
        Channel([]).set_variable("NAME", "x" * (128 << 10))
    assert sent(contract, b"V" + b"A=" + b"x" * (161 << 10), b"K1") is None
    told = contract.ffi.string(contract.lib.contract_told())
    assert told == b"internal error: the set-up sent a record that cannot be read"


@pytest.mark.parametrize("value", ["a\0b", "\0", "a\0"])
def test_what_would_be_two_fields_is_not_sent(value):
    for send in (
        lambda c: c.set_variable("A", value),
        lambda c: c.set_variable(value, "A"),
        lambda c: c.remove_variable(value),
        lambda c: c.entrypoint(value),
        lambda c: c.workdir(value),
        lambda c: c.mount("r", "/a", value),
        lambda c: c.mount("r", value, "/b"),
    ):
        with pytest.raises(UserError, match="with a NUL"):
            send(Channel([]))


# --- the request: C writes, Python reads -----------------------------------------------

WORDS = st.lists(TEXT, max_size=4)
UINT = st.integers(0, 2**32 - 1)


@given(
    st.tuples(UINT, UINT, UINT, UINT, UINT),
    st.lists(UINT, max_size=5),
    st.lists(TEXT.filter(bool), min_size=1, max_size=4),
    st.dictionaries(NAME, TEXT, max_size=4),
    st.dictionaries(st.sampled_from([*settled.NAMES]), TEXT, max_size=5),
)
def test_whatever_c_says_of_a_step_python_reads_back(contract, numbers, groups, argv, env, options):
    """By the real step.c and options.c, from what Slurm says."""
    ffi, lib = contract.ffi, contract.lib
    options = {name: value.replace("\x1f", "") for name, value in options.items()}
    listed = "\x1f".join(f"{name}={value}" for name, value in options.items())
    entries = [f"{n}={v}" for n, v in env.items()] + [f"SLURM_SOCKER_OPTIONS={listed}"]
    words, kept = contract.strings([e.encode(errors="surrogateescape") for e in entries])
    command, kept_too = contract.strings([w.encode(errors="surrogateescape") for w in argv])
    step = lib.stub_step
    step.job_id, step.step_id, step.node_index, step.uid, step.gid = numbers
    step.groups = array = ffi.new("uint32_t[]", groups or [0])
    step.group_count, step.env = len(groups), words
    step.argv, step.argc = command, len(argv)
    found = ffi.new("struct step_request *")
    assert lib.step_fill_step(ffi.NULL, found) == 0
    assert lib.options_receive(words)
    found.options = lib.options_collect()
    found.state_directory = folder = ffi.new("char[]", b"/run/socker")
    facts = bridge.step_facts(ffi, found)
    step.env = ffi.NULL
    assert (facts.job_id, facts.step_id, facts.node_index, facts.uid, facts.gid) == numbers
    assert facts.groups == tuple(groups)
    assert facts.argv == tuple(argv)
    assert {name: facts.env[name] for name in env} == env
    assert dict(facts.options) == options
    assert facts.cwd == os.getcwd()
    assert len(kept) == len(entries) and len(kept_too) == len(argv) and array and folder


@pytest.mark.parametrize("abi", [0, bridge.ABI - 1, bridge.ABI + 1, 255, 2**32 - 1])
def test_another_abi_is_refused_on_both_sides(contract, tmp_path, abi):
    library = ctypes.CDLL(str(builds.entry(tmp_path)))
    wanted = contract.ffi.new("struct step_request *")
    wanted.abi, wanted.hook = abi, bridge.STEP_START
    address = ctypes.c_void_p(int(contract.ffi.cast("uintptr_t", wanted)))
    assert library.socker_hook_main(b"/nonexistent", address) == 1
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = contract.ffi.new("int32_t[]", [theirs.detach()])
    arguments, kept = contract.strings([])
    wanted.channels, wanted.channel_count, wanted.plugin_args = fds, 1, arguments
    with ours:
        assert in_a_child(lambda: bridge.run(contract.ffi, wanted)) == 1
        os.close(fds[0])
        assert read_plan(contract, ours) is None
    told = contract.ffi.string(contract.lib.contract_told()).decode()
    assert f"bridge.h is of ABI {abi}, this is {bridge.ABI}" in told
    assert kept == []


def in_a_child(work) -> int:
    """Hooks change signal handlers, and close what they are given."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            status = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- srun's options: the same rule in C, and in Python for `socker explain` --------------

VALUES = st.sampled_from(
    ["", "a", "none", "./x", "../y", "/z", "a:/b,./c", "data:/d,tmpfs:/t", "umount:/u", ":", ",",
     "1", "0", "yes", "No", "A=1,B", "net", "host", "missing", "n:exec", "x#y", "vars"]
) | st.text("ab/.:,=+-", max_size=6)  # fmt: skip
SOME = st.dictionaries(st.sampled_from(settled.NAMES), VALUES, max_size=4)


@st.composite
def lines(draw):
    """Switches have no value on a command line."""
    found = draw(st.lists(st.tuples(st.sampled_from(settled.NAMES), VALUES), max_size=6))
    return [Word(n, v if n in settled.CONTAINER_VALUES else None) for n, v in found]


def in_c(contract, options, environ: dict[str, str]) -> dict[str, str]:
    words, kept = contract.strings([f"{o.name}={o.value or ''}".encode() for o in options])
    for name, value in environ.items():
        contract.lib.setenv(name.encode(), value.encode(), 1)
    made = contract.lib.contract_settle(words)
    for name in environ:
        contract.lib.unsetenv(name.encode())
    assert made != contract.ffi.NULL and len(kept) == len(options)
    text = contract.ffi.string(made).decode()
    contract.lib.free(made)
    return dict(entry.split("=", 1) for entry in text.split("\x1f") if entry)


def outcome(options: dict[str, str]):
    try:
        return request.parse(tuple(sorted(options.items())), os.getcwd()) if options else None
    except UserError as error:
        return str(error).replace(f"{os.getcwd()}/", "")


@given(lines(), SOME, SOME)
def test_srun_and_explain_settle_options_alike(contract, options, environment, job):
    environ = {f"SOCKER_{n.upper().replace('-', '_')}": v for n, v in environment.items()}
    environ |= {request.job_variable(n): v for n, v in job.items()}
    found = in_c(contract, options, environ)
    told = settled.settle(options, environ, "", pyxis=False)
    assert found.keys() == told.keys()
    told = settled.with_absolute_paths(told, os.getcwd())
    assert outcome(found) == outcome(told)


# --- rules about paths -------------------------------------------------------------------


@given(RULE, RULE)
def test_tasks_and_hooks_agree_on_what_is_below_a_path(contract, prefix, path):
    one, other = (p.encode(errors="surrogateescape") for p in (prefix, path))
    below = imagename.is_below(imagename.components(path), imagename.components(prefix))
    if all(p == "/" + "/".join(imagename.components(p)) for p in (prefix, path)):
        assert bool(contract.lib.contract_covers(one, other)) == below


def test_links_in_the_source_of_a_mount(contract, tmp_path):
    """With the flag of PMIx's directories none, and /proc's magic ones never."""
    (tmp_path / "there").mkdir()
    (tmp_path / "last").symlink_to("there")
    (tmp_path / "there/x").touch()
    for path, plain, without in (
        ("there", 1, 1), ("there/x", 1, 1), ("last", 1, 0), ("last/x", 1, 0), ("none", 0, 0),
    ):  # fmt: skip
        source = str(tmp_path / path).encode()
        mount = Mount(source.decode(), "/x", optional=True, no_links=True)
        assert contract.lib.contract_opens(b"o", source) == plain
        assert contract.lib.contract_opens(mount.flags.encode(), source) == without
        assert not contract.lib.contract_opens(b"o", b"/proc/self/root" + source)


def test_this_file_is_what_the_shim_is_tested_by():
    """A record of bridge.h without a place here would go untested."""
    header = (builds.SHIM / "bridge.h").read_text()
    kinds = set(re.findall(r"^ \*   '(.)'", header, re.MULTILINE))
    assert kinds == set("TDVUCMSGWRNAXHFK")
    assert {r[:1].decode() for r, _ in seeds.packets(seeds._step)} == kinds - {"F"}
    assert Path(builds.HERE).is_dir()
