/*
 * join.c - a task enters the container, just before Slurm executes its command.
 *
 * Runs in the forked task.  Only system calls from the first privileged one to
 * execve: no NSS, no Python, no library that opens files by name (DESIGN D2).
 *
 *   task_init_privileged (root)  join_keep_capabilities()
 *   task_init (the user)         join_container():
 *      1. clone the mount sources, with the user's own rights
 *      2. enter the container's mount namespace and take a private copy of it
 *      3. attach the clones at their targets
 *      4. read-only root, no capability, no_new_privs, working directory
 *
 * Capabilities are permitted all along and effective only around the calls
 * that need them; CAP_DAC_OVERRIDE for none but look-ups and new mount points
 * that cannot leave the image's own file system (DESIGN D3).
 *
 * Needs Linux 5.12: mount_setattr is the only way to make a tree of mounts
 * nosuid, nodev or read-only before anybody can use it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

#define CAP_BIT(capability) (1ULL << (capability))

enum { NO_CAPS = 0 };
static const uint64_t MOUNT_CAPS = CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_CHROOT);
static const uint64_t LOOKUP_CAPS = CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH);

/* --- messages ------------------------------------------------------------- */

/*
 * Straight to the task's stderr: Slurm's own log is buffered, and the task
 * ends with _exit.
 */
#define fail(fmt, ...) (dprintf(STDERR_FILENO, "socker: " fmt "\n", ##__VA_ARGS__), -1)

/* --- system calls without a wrapper in every libc ------------------------- */

static int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}

static int sys_move_mount(int tree, int target)
{
	return (int)syscall(SYS_move_mount, tree, "", target, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int sys_mount_setattr(int fd, unsigned flags, struct mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH,
			    attr, sizeof(*attr));
}

/* --- capabilities --------------------------------------------------------- */

static int set_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)effective,
		  .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(effective >> 32),
		  .permitted = (uint32_t)(permitted >> 32) },
	};

	return (int)syscall(SYS_capset, &header, data);
}

/* While joining, this is all a task may ever raise. */
static const uint64_t JOIN_CAPS = CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_CHROOT) |
				  CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |
				  CAP_BIT(CAP_SETPCAP);

static int raise_caps(uint64_t effective)
{
	if (set_caps(JOIN_CAPS, effective))
		return fail("capset: %m");
	return 0;
}

int join_keep_capabilities(void)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return fail("PR_SET_KEEPCAPS: %m");
	return 0;
}

/* Nothing may come back: bounding, ambient, permitted, effective, inheritable. */
static int drop_all_caps(void)
{
	if (raise_caps(CAP_BIT(CAP_SETPCAP)))
		return -1;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return fail("capability %d cannot be dropped: %m", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) || set_caps(0, 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail("the capabilities cannot be dropped: %m");
	return 0;
}

/* --- 1. sources ----------------------------------------------------------- */

/* The descriptor decides: what was checked is what is mounted. */
static int check_source(struct mount_entry *mount, int source)
{
	struct stat status;

	if (fstat(source, &status))
		return -1;
	mount->is_dir = S_ISDIR(status.st_mode);
	/* A directory is of use to who may pass through it, a file to readers. */
	return (int)syscall(SYS_faccessat2, source, "",
			    mount->is_dir ? X_OK : R_OK, AT_EMPTY_PATH | AT_EACCESS);
}

static int refuse_source(const struct mount_entry *mount)
{
	if (mount->optional && (errno == ENOENT || errno == EACCES))
		return 0;
	if (errno == EACCES)
		return fail("mount %s: the job's user cannot read the source: "
			    "check its permissions on this node", mount->source);
	if (errno == ENOENT)
		return fail("mount %s: no such file or directory on this node: "
			    "check the path", mount->source);
	return fail("mount %s: %m", mount->source);
}

/*
 * A clone of the source's mounts, with the user's rights.  Mounts made on the
 * node later (automounted homes) still appear: the clone is a slave.
 */
static int clone_source(struct mount_entry *mount)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID |
			    (mount->devices ? 0 : MOUNT_ATTR_NODEV) |
			    (mount->read_only ? MOUNT_ATTR_RDONLY : 0),
		.propagation = MS_SLAVE,
	};
	int source;

	if (raise_caps(NO_CAPS))
		return -1;
	source = sys_openat2(AT_FDCWD, mount->source, O_PATH, RESOLVE_NO_MAGICLINKS);
	if (source < 0)
		return refuse_source(mount);
	if (check_source(mount, source)) {
		int rc = refuse_source(mount);
		close(source);
		return rc;
	}
	if (raise_caps(CAP_BIT(CAP_SYS_ADMIN)))
		return -1;
	mount->tree = sys_open_tree(source, "", AT_EMPTY_PATH | AT_RECURSIVE |
				    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	close(source);
	if (mount->tree < 0 ||
	    sys_mount_setattr(mount->tree, AT_RECURSIVE, &attr))
		return fail("mount %s: it cannot be cloned: %m", mount->source);
	return 0;
}

/* --- 2. the container's root ---------------------------------------------- */

static int set_root(int root, unsigned flags, uint64_t set, uint64_t clear)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear,
				   .propagation = flags ? MS_PRIVATE : 0 };

	if (sys_mount_setattr(root, flags, &attr))
		return fail("the root file system's mount options cannot be "
			    "set: %m (Linux 5.12 or newer is needed)");
	return 0;
}

/* All that Docker mounted becomes read-only; "/" itself stays open for new
 * mount points until the end. */
static int enter_namespace(int namespace_fd)
{
	int root;

	if (raise_caps(MOUNT_CAPS))
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

/* --- 3. targets ----------------------------------------------------------- */

static bool same_mount(int one, int other)
{
	struct statx a, b;

	return !statx(one, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) &&
	       !statx(other, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) &&
	       (a.stx_mask & b.stx_mask & STATX_MNT_ID) &&
	       a.stx_mnt_id == b.stx_mnt_id;
}

static const uint64_t INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/*
 * First as the user, anywhere inside; then with the right to pass directories
 * of the image that are closed to the user, but never across a mount: what is
 * mounted is the node's, and there the user has the user's rights alone.
 */
static int find_target(int root, const char *path)
{
	int fd;

	if (raise_caps(NO_CAPS))
		return -1;
	fd = sys_openat2(root, path, O_PATH, INSIDE);
	if (fd >= 0 || (errno != EACCES && errno != ENOENT))
		return fd;
	if (raise_caps(LOOKUP_CAPS))
		return -1;
	fd = sys_openat2(root, path, O_PATH, INSIDE | RESOLVE_NO_XDEV);
	/* Beyond a mount only the user's own look counts, and it found nothing. */
	if (fd < 0 && errno == EXDEV)
		errno = ENOENT;
	return fd;
}

static int make_node(int parent, const char *name, bool is_dir)
{
	if (is_dir)
		return mkdirat(parent, name, 0755);
	return mknodat(parent, name, S_IFREG | 0644, 0);
}

static int find_or_make(int root, char *path, bool is_dir);

/* Make the last part of path; its parents first.  0, or -1 with errno. */
static int make_target(int root, char *path, bool is_dir)
{
	char *slash = strrchr(path, '/');
	int parent, rc, saved;

	*slash = '\0';
	parent = slash == path ? dup(root) : find_or_make(root, path, true);
	*slash = '/';
	if (parent < 0)
		return -1;
	/* In a mounted directory of the node nothing is made but by the user. */
	rc = raise_caps(same_mount(parent, root) ? LOOKUP_CAPS : (uint64_t)NO_CAPS);
	if (!rc)
		rc = make_node(parent, slash + 1, is_dir);
	saved = errno;
	close(parent);
	errno = saved;
	/* Another task of the node may have been faster. */
	return rc && errno != EEXIST ? -1 : 0;
}

static int find_or_make(int root, char *path, bool is_dir)
{
	int fd = find_target(root, path);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (make_target(root, path, is_dir))
		return -1;
	return find_target(root, path);
}

static int attach_at(struct mount_entry *mount, int target)
{
	struct stat status;

	if (fstat(target, &status) == 0 && S_ISDIR(status.st_mode) != mount->is_dir)
		return fail("mount %s: one of source and target %s is a "
			    "directory, the other is not: mount like on like",
			    mount->source, mount->target);
	if (raise_caps(MOUNT_CAPS))
		return -1;
	if (sys_move_mount(mount->tree, target))
		return fail("mount %s at %s: %m", mount->source, mount->target);
	close(mount->tree);
	mount->tree = -1;
	return 0;
}

static int attach(int root, struct mount_entry *mount)
{
	int target = find_or_make(root, mount->target, mount->is_dir);
	int rc;

	if (target < 0)
		return fail("mount %s: the target %s cannot be made in the "
			    "container: %m", mount->source, mount->target);
	rc = attach_at(mount, target);
	close(target);
	return rc;
}

/* --- 4. the rest ---------------------------------------------------------- */

static int enter_workdir(const struct plan *plan, const char **workdir)
{
	for (size_t i = 0; i < plan->workdir_count; i++) {
		if (chdir(plan->workdirs[i]) == 0) {
			*workdir = plan->workdirs[i];
			return 0;
		}
	}
	return fail("working directory %s: %m: choose one that is in the "
		    "container, or mount it",
		    plan->workdir_count ? plan->workdirs[0] : "(none)");
}

static int mount_all(const struct plan *plan, int root)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		if (plan->mounts[i].tree >= 0 && attach(root, &plan->mounts[i]))
			return -1;
	if (raise_caps(MOUNT_CAPS))
		return -1;
	return plan->read_only_root ? set_root(root, 0, MOUNT_ATTR_RDONLY, 0) : 0;
}

int join_container(const struct plan *plan, const char **workdir)
{
	int root, rc;

	/* Also against other processes of the same user (DESIGN D13). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return fail("PR_SET_DUMPABLE: %m");
	for (size_t i = 0; i < plan->mount_count; i++)
		if (clone_source(&plan->mounts[i]))
			return -1;
	root = enter_namespace(plan->namespace_fd);
	if (root < 0)
		return -1;
	rc = mount_all(plan, root);
	close(root);
	if (rc || drop_all_caps())
		return -1;
	return enter_workdir(plan, workdir);
}
