"""Control groups: where a process is, and how to place one.

Knows cgroup v1 and v2 and the names that Slurm gives its groups; knows nothing
of containers.  No group is ever made or named from a job id: a process that
Slurm put somewhere shows where that is (Slurm's names differ by release).
"""
