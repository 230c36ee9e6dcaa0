"""Which variable wins: the table in environment.py and docs/user/options.md."""

import pytest

from pycontrol import environment
from pycontrol.environment import Wishes
from pycontrol.errors import UserError
from pycontrol.reads import Environment

ACCOUNT = {"HOME": "/home/u", "USER": "u"}


def result(job, image):
    """The environment after the changes."""
    changes = environment.merge(job, image, ACCOUNT)
    merged = job | changes.set
    return {name: value for name, value in merged.items() if name not in changes.remove}


def test_image_wins_over_job():
    assert result({"A": "job"}, ["A=image"])["A"] == "image"


def test_job_passes_through():
    assert result({"A": "job"}, [])["A"] == "job"


def test_slurms_variables_are_the_jobs():
    job = {"SLURM_JOB_ID": "1", "PMI_RANK": "0", "PMIX_RANK": "0", "CUDA_VISIBLE_DEVICES": "3"}
    image = [f"{name}=lie" for name in job]
    assert job.items() <= result(job, image).items()


def test_an_image_cannot_invent_slurms_variables():
    assert "SLURM_JOB_ID" not in result({}, ["SLURM_JOB_ID=5"])


def test_account_wins_over_image_and_job():
    assert result({"HOME": "/x"}, ["HOME=/root", "USER=root"])["HOME"] == "/home/u"


def test_path_is_the_images_or_dockers_default():
    assert result({"PATH": "/node"}, ["PATH=/image"])["PATH"] == "/image"
    assert result({"PATH": "/node"}, [])["PATH"] == environment.DEFAULT_PATH


def test_what_names_the_nodes_files_is_removed():
    job = {"LD_LIBRARY_PATH": "/node", "PYTHONPATH": "/node", "MANPATH": "/node"}
    assert not set(job) & set(result(job, []))
    assert result(job, ["PYTHONPATH=/image"])["PYTHONPATH"] == "/image"


def test_odd_entries_of_an_image():
    changed = result({}, ["=x", "EMPTY=", "NOVALUE", "A=b=c"])
    assert changed["EMPTY"] == ""
    assert changed["NOVALUE"] == ""
    assert changed["A"] == "b=c"
    assert "" not in changed


def test_the_changes_are_the_same_for_most_jobs():
    """So that a plan can be made before the job's first step (replay.py)."""
    job = Environment([("A", "1"), ("PATH", "/bin"), ("LD_PRELOAD", "/x.so")])
    changes = environment.merge(job, ["A=1"], ACCOUNT)
    assert changes == environment.merge({}, ["A=1"], ACCOUNT)
    assert (job.looked_up, job.all_read) == ({}, False)
    environment.merge(job, ["A=1"], ACCOUNT, Wishes(keep=("B",)))
    assert job.looked_up == {"B": None}


def test_the_images_digest_is_nobodys_to_say():
    name = environment.DIGEST
    changes = environment.merge({name: "outer"}, [f"{name}=image"], {}, Wishes(keep=(name,)))
    assert name not in changes.set
    with pytest.raises(UserError, match="is socker's own and cannot be set"):
        environment.parse_option(f"{name}=mine")
