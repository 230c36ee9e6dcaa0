from pycontrol import progress
from pycontrol.bridge import Unheard
from pycontrol.state import JobState


def test_it_is_told_of_its_own_image_while_it_goes_on(tmp_path):
    job, channel = JobState(tmp_path, "n1", 7), Unheard()
    job.make([])
    assert progress.last(job, "a:1") == {}
    with progress.noted(job, channel, "a:1"):
        assert progress.last(job, "a:1") == {}
        channel.report("pulling", "0 of 1 layers complete", 2, 7)
        found = progress.last(job, "a:1")
        assert (found["doing"], found["what"], found["done"]) == ("pulling", "a:1", 2)
        assert progress.last(job, "b:1") == {}, "another image's step must not show it as its own"
    assert progress.last(job, "a:1") == {}
