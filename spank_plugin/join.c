/*
 * join.c - a task enters the container, just before Slurm executes its command.
 *
 * Runs in the forked task.  Only system calls from the first privileged one to
 * execve: no NSS, no Python, no library that opens files by name (DESIGN D2).
 *
 *   task_init_privileged (root)  caps_keep()
 *   task_init (the user)         caps_lay_down(), then join_container():
 *      1. clone the mount sources, with the user's own rights
 *      2. enter the container's mount namespace and take a private copy of it
 *      3. attach the clones at their targets; read-only root
 *         (1 to 3 once a step: the other tasks enter what the first has made, share.c)
 *      4. the step's other namespaces
 *      5. no capability, no_new_privs, working directory
 *
 * Capabilities (caps.c) are permitted all along and effective only around the
 * calls that need them; CAP_DAC_OVERRIDE for none but look-ups and new mount
 * points that cannot leave the image's own file system (mounts.c).
 */
#include <fcntl.h>
#include <sched.h>

#include "task.h"

/* --- the container's root ------------------------------------------------ */

static int set_root(int root, unsigned flags, uint64_t set, uint64_t clear)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear,
				   .propagation = flags ? MS_PRIVATE : 0 };

	if (sys_mount_setattr(root, flags, &attr))
		return fail("the root file system's mount options cannot be "
			    "set: %m (Linux 5.12 or newer is needed)");
	return 0;
}

/*
 * The step's own namespaces, made by the hook; that of pids is for children: the
 * launcher makes one (launch.c).
 */
static int enter_others(const struct plan *plan)
{
	static const int types[NS_KINDS] = {
		[NS_NET] = CLONE_NEWNET, [NS_IPC] = CLONE_NEWIPC,
		[NS_UTS] = CLONE_NEWUTS, [NS_PID] = CLONE_NEWPID,
	};

	if (caps_raise(CAP_BIT(CAP_SYS_ADMIN)))
		return -1;
	for (int kind = NS_MOUNT + 1; kind < NS_KINDS; kind++)
		if (plan->namespaces[kind] >= 0 &&
		    setns(plan->namespaces[kind], types[kind]))
			return fail("the step's namespaces cannot be entered: %m");
	return 0;
}

/* All that Docker mounted becomes read-only; "/" itself stays open for new
 * mount points until the end. */
static int enter_namespace(int namespace_fd)
{
	int root;

	if (caps_raise(MOUNT_CAPS))
		return -1;
	if (setns(namespace_fd, CLONE_NEWNS) || unshare(CLONE_NEWNS))
		return fail("the container cannot be entered: %m");
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return fail("/: %m");
	if (set_root(root, AT_RECURSIVE, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
		     MOUNT_ATTR_RDONLY, 0) ||
	    set_root(root, 0, 0, MOUNT_ATTR_RDONLY)) {
		close(root);
		return -1;
	}
	return root;
}

/* --- the whole ------------------------------------------------------------ */

static int enter_workdir(const struct plan *plan, const char **workdir)
{
	for (size_t i = 0; i < plan->workdirs.count; i++) {
		if (chdir(plan->workdirs.list[i]) == 0) {
			*workdir = plan->workdirs.list[i];
			return 0;
		}
	}
	return fail("working directory %s: %m: choose one that is in the "
		    "container, or mount it",
		    plan->workdirs.count ? plan->workdirs.list[0] : "(none)");
}

static int mount_all(const struct plan *plan, int root)
{
	if (mounts_attach(plan, root) || caps_raise(MOUNT_CAPS))
		return -1;
	return plan->read_only_root ? set_root(root, 0, MOUNT_ATTR_RDONLY, 0) : 0;
}

static int make_namespace(const struct plan *plan)
{
	int root, rc;

	if (mounts_clone_sources(plan))
		return -1;
	trace("task: sources of mounts");
	root = enter_namespace(plan->namespaces[NS_MOUNT]);
	if (root < 0)
		return -1;
	trace("task: entered the container");
	rc = mount_all(plan, root);
	close(root);
	return rc;
}

int join_container(const struct plan *plan, const char **workdir)
{
	if (share_mounts(plan, make_namespace))
		return -1;
	trace("task: mounts");
	if (enter_others(plan) || caps_drop_all())
		return -1;
	trace("task: rights laid down");
	return enter_workdir(plan, workdir);
}
