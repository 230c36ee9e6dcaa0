/*
 * bridge.h - the whole contract between the C shim and the Python hooks.
 *
 * Compiled into the plugin (socker.so) and into the embedding library
 * (socker_python.so), and read by cffi in build.py: so below the first
 * directive there are only declarations that cffi's C parser knows.
 *
 * The shim fills a struct step_request, forks, and the child calls
 * socker_hook_main() of socker_python.so.  Everything the hook has to say
 * comes back over SOCK_SEQPACKET sockets, one for each local task, one record a
 * packet: a type byte, then its payload, its fields separated by NUL.  Each
 * record goes to each task; the first task alone shows texts.  What the hook
 * prints to stderr goes to the node's log when the step ends.
 *
 *   'T' text               a line for the user
 *   'D' seconds            give me that long from now (a pull takes a while)
 *   'V' NAME=VALUE         set in the job's environment
 *   'U' NAME               remove from the job's environment
 *   'C' NAME=OTHER         set to what the task's own variable OTHER is
 *   'M' flags source target   mount, in order; flags: letters, see below
 *   'S' path               mounts with flag c come from at or below such paths
 *                          only, if there is one
 *   'G' path               mounts with flag c leave alone what is at, below or
 *                          above such paths of the container
 *   'W' path               working directory: the first that can be entered
 *   'R'                    tasks see the root file system read-only
 *   'N' kind + SCM_RIGHTS  descriptor of a namespace: mnt, net, ipc, uts, pid
 *   'A' word               one more word in front of the command (ENTRYPOINT)
 *   'X' path               of the launcher, on the node
 *   'H' mpi NUL needle NUL text   a line for the user if the needle is in the command's
 *                          file, and Slurm's MPI begins with that in a step of some tasks
 *   'F' text               failure: the reason, for the user
 *   'K' records            success: the number of records before this one
 *
 * A hook succeeded only if its last record is 'K' with the right count.
 * Anything else, the end of the channel too, is failure (DESIGN D5).
 *
 * Mount flags:
 *   r read-only   x noexec   d device nodes work
 *   o optional: skip when the user cannot reach the source or it is not there
 *   b this mount alone, not those below it
 *   l only if no part of the source's path is a symbolic link
 *   c the site's rules ('S', 'G') hold for it
 *   i the source is a path of the container, where the hook put it
 *   u no mount, but the end of the one at target
 *   D or F: a missing target is made a directory or a file, whatever the source
 *   propagation, after a slave of the node's was made of it: p private, s slave,
 *   h shared, n unbindable; after - for the mounts below it, too
 */
#ifndef SOCKER_BRIDGE_H
#define SOCKER_BRIDGE_H

#include <stdint.h>

#define SOCKER_ABI 6 /* of this file: the two libraries must agree */

enum socker_hook {
	SOCKER_STEP_START = 1,
	SOCKER_JOB_EPILOG = 2,
	SOCKER_STEP_END = 3,
	SOCKER_STEP_NATIVE = 4,	/* may this step do without a container? */
	SOCKER_JOB_START = 5	/* in the extern step; nobody reads its channel */
};

/* Lets the job's extern step take a process in; 0: it has (adopt.c). */
typedef int32_t adopt_function(const char *node, uint32_t job_id, int32_t pid);

/* What the shim knows of the step or job; strings live as long as the call. */
struct step_request {
	uint32_t abi;
	uint32_t hook;		/* enum socker_hook */
	const int32_t *channels;	/* one for each local task */
	int32_t channel_count;
	uint32_t job_id;
	uint32_t step_id;
	uint32_t node_index;	/* of the step's nodes, from 0 */
	uint32_t uid;
	uint32_t gid;
	const uint32_t *groups;	/* supplementary, of the job */
	int32_t group_count;
	const char *node;	/* Slurm's name of this node */
	const char *state_directory;	/* the state of jobs, root's alone */
	const char *cwd;	/* where the tasks start, outside */
	const char *tmp_fs;	/* slurm.conf's TmpFS as it stands there */
	const char *pmix_server;	/* directory of mpi/pmix's server; "": there is none */
	char **env;		/* the job's environment, ends with NULL */
	char **argv;		/* the command, ends with NULL */
	char **options;		/* "name=value" as given, ends with NULL */
	char **plugin_args;	/* "name=value" of plugstack.conf, ends with NULL */
	const char *asked;	/* asked.c: all of this that a later step may have in common */
	uint32_t asked_size;
	const char *plan_file;	/* where the plan for such steps is kept; "": nowhere */
	adopt_function *adopt;	/* NULL: the extern step has a process to join */
};

#endif
