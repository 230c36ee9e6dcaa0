"""Steps over both nodes: one container on each."""

from conftest import BUSYBOX, DEBIAN, containers, read


def test_four_tasks_on_two_nodes(alice):
    result = alice.srun(
        "-N2", "-n4", "--label", f"--docker={DEBIAN}", "sh", "-c",
        "echo $SLURM_PROCID $SLURMD_NODENAME $(grep -c bookworm /etc/os-release)",
    )  # fmt: skip
    assert sorted(line.split()[1] for line in result.lines) == ["0", "1", "2", "3"]
    assert {line.split()[2] for line in result.lines} == {"n1", "n2"}
    assert all(line.split()[0] == f"{line.split()[1]}:" for line in result.lines)


def test_one_container_per_node(alice, wait_for):
    job = alice.start("srun", "-Q", "-N2", "-n4", f"--docker={BUSYBOX}", "sleep", "3")
    found = wait_for(lambda: containers() if len(containers()) == 2 else None)
    nodes = [
        read("docker", "inspect", "-f", '{{index .Config.Labels "socker.node"}}', c).strip()
        for c in found
    ]
    assert sorted(nodes) == ["n1", "n2"]
    assert job.wait(30) == 0
    assert len(found) == 2


def test_tasks_of_a_node_share_one_mount_of_the_image(alice):
    result = alice.srun("-N1", "-n2", f"--docker={BUSYBOX}", "stat", "-c", "%d", "/bin")
    assert len(result.lines) == 2
    assert len(set(result.lines)) == 1
