"""One digest for a job: what srun, sbatch and salloc send along with an image's tag."""

import re
import sys

import pytest

from tests import registry_server

JOB = "SLURM_SPANK__SLURM_SPANK_OPTION_socker_"
JOBS_DIGEST = "SLURM_SOCKER_DIGEST"
PYTHON = [f"python={sys.executable}"]
OLD = "sha256:" + "a" * 64


@pytest.fixture
def registry():
    with registry_server.running() as server:
        server.digest = server.put("a/b", "1", b"{}")
        server.image = f"{server.name}/a/b:1"
        yield server


def value(output: str, name: str) -> str | None:
    found = re.search(rf"(?m)^env {name}=(.*)$", output)
    return found[1] if found else None


def sent(output: str) -> dict[str, str]:
    entries = (value(output, "SLURM_SOCKER_OPTIONS") or "").split("\x1f")
    return dict(entry.split("=", 1) for entry in entries if entry)


def test_it_goes_along(stub, registry):
    output = stub.run("local", f"docker={registry.image}", args=PYTHON, python=True)
    assert sent(output) == {"docker": registry.image, "digest": registry.digest}
    assert value(output, JOBS_DIGEST) is None, "a step is no job"


def test_the_sruns_of_a_job_have_that_of_its_image(stub, registry):
    output = stub.run("allocator", f"docker={registry.image}", args=PYTHON, python=True)
    assert sent(output)["digest"] == registry.digest
    text = value(output, JOBS_DIGEST)
    assert text == f"digest={registry.digest} {registry.image}"
    env = {JOB + "docker": "a:1", JOBS_DIGEST: f"digest={OLD} a:1"}
    assert sent(stub.run("local", "docker=a:1", env=env)) == {"docker": "a:1", "digest": OLD}


def test_another_image_has_another(stub):
    env = {JOB + "docker": "a:1", JOBS_DIGEST: f"digest={OLD} a:1"}
    assert "digest" not in sent(stub.run("local", "docker=a:1", "container-image=b", env=env))
    assert "digest" not in sent(stub.run("local", "docker=a:2", env=env))


def test_a_new_job_does_not_take_the_outer_ones(stub):
    env = {JOBS_DIGEST: f"digest={OLD} a:1", "SLURM_SOCKER_JOB": "x"}
    output = stub.run("allocator", "docker=a:1", env=env)
    assert "digest" not in sent(output)
    assert value(output, JOBS_DIGEST) is None
    assert re.fullmatch(r"[0-9a-f]{32}", value(output, "SLURM_SOCKER_JOB"))


@pytest.mark.parametrize("text", ["", " a:1", "digest= a:1", f"{OLD} a:1", f"digest={OLD}"])
def test_what_is_none_is_not_sent_or_refused_on_the_node(stub, text):
    env = {JOB + "docker": "a:1", JOBS_DIGEST: text}
    assert sent(stub.run("local", "docker=a:1", env=env)).get("digest", "") == ""


def test_one_that_is_too_long_is_not_sent(stub):
    env = {JOB + "docker": "a:1", JOBS_DIGEST: f"digest={OLD}{'a' * 1000} a:1"}
    assert "digest" not in sent(stub.run("local", "docker=a:1", env=env))


def test_the_node_gets_it(stub):
    env = {"SLURM_SOCKER_OPTIONS": f"docker=a:1\x1fdigest={OLD}"}
    output = stub.run("remote", script="show\nexit 1", env=env)
    assert f"option digest={OLD}" in output
    env = {"SLURM_SOCKER_OPTIONS": f"docker=a:1\x1fdigest={'a' * 10_000}"}
    assert "option digest" not in stub.run("remote", script="show\nexit 1", env=env)


def test_later_steps_of_a_job_have_the_first_ones(stub, registry, tmp_path):
    env = {"SLURM_SOCKER_JOB": "0" * 32, "SLURM_JOB_ID": "7", "XDG_CACHE_HOME": str(tmp_path)}
    options = f"docker={registry.image}"
    first = sent(stub.run("local", options, args=PYTHON, env=env, python=True))
    asked = len(registry.seen)
    assert asked
    registry.put("a/b", "1", b'{"moved": 1}')
    assert sent(stub.run("local", options, args=PYTHON, env=env, python=True)) == first
    assert len(registry.seen) == asked, "a later step asks nobody"
    env["SLURM_JOB_ID"] = "8"
    assert sent(stub.run("local", options, args=PYTHON, env=env, python=True)) != first


def test_where_the_site_says_that_nodes_ask(stub, registry):
    args = [*PYTHON, "resolve_tags=node"]
    output = stub.run("local", f"docker={registry.image}", args=args, python=True)
    assert sent(output) == {"docker": registry.image}
    assert not registry.seen


def test_a_registry_that_does_not_answer_stops_nobody(stub):
    output = stub.run("local", "docker=127.0.0.1:1/a:1", args=PYTHON, python=True)
    assert sent(output) == {"docker": "127.0.0.1:1/a:1"}
    assert "socker: image 127.0.0.1:1/a:1: which digest its tag stands for cannot be" in output
    assert "post_opt 0" in output


def test_a_refusal_is_the_nodes_to_tell(stub, registry):
    output = stub.run("local", f"docker={registry.name}/a/b:no", args=PYTHON, python=True)
    assert sent(output) == {"docker": f"{registry.name}/a/b:no"}
    assert "socker: " not in output
