/*
 * mounts.c - a task's mounts: sources cloned with the user's own rights before
 * the container is entered, attached at targets inside it afterwards (DESIGN D3).
 *
 * Needs Linux 5.12: mount_setattr is the only way to make a tree of mounts
 * nosuid, nodev or read-only before anybody can use it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "task.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

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

int mount_setattr_at(int fd, unsigned flags, struct mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH,
			    attr, sizeof(*attr));
}

/* --- sources -------------------------------------------------------------- */

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

/* As a directory first: only then an automounted one gets mounted (follow_automount() in namei.c). */
static int open_source(const char *path)
{
	int fd = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);

	if (fd >= 0 || errno != ENOTDIR)
		return fd;
	return sys_openat2(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
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

	if (caps_raise(NO_CAPS))
		return -1;
	source = open_source(mount->source);
	if (source < 0)
		return refuse_source(mount);
	if (check_source(mount, source)) {
		int rc = refuse_source(mount);
		close(source);
		return rc;
	}
	if (caps_raise(CAP_BIT(CAP_SYS_ADMIN)))
		return -1;
	mount->tree = sys_open_tree(source, "", AT_EMPTY_PATH | AT_RECURSIVE |
				    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	close(source);
	if (mount->tree < 0 ||
	    mount_setattr_at(mount->tree, AT_RECURSIVE, &attr))
		return fail("mount %s: it cannot be cloned: %m", mount->source);
	return 0;
}

int mounts_clone_sources(const struct plan *plan)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		if (clone_source(&plan->mounts[i]))
			return -1;
	return 0;
}

/* --- targets -------------------------------------------------------------- */

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

	if (caps_raise(NO_CAPS))
		return -1;
	fd = sys_openat2(root, path, O_PATH, INSIDE);
	if (fd >= 0 || (errno != EACCES && errno != ENOENT))
		return fd;
	if (caps_raise(LOOKUP_CAPS))
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
	parent = slash == path ? fcntl(root, F_DUPFD_CLOEXEC, 0)
			       : find_or_make(root, path, true);
	*slash = '/';
	if (parent < 0)
		return -1;
	/* In a mounted directory of the node nothing is made but by the user. */
	rc = caps_raise(same_mount(parent, root) ? LOOKUP_CAPS : NO_CAPS);
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
	if (caps_raise(MOUNT_CAPS))
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

int mounts_attach(const struct plan *plan, int root)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		if (plan->mounts[i].tree >= 0 && attach(root, &plan->mounts[i]))
			return -1;
	return 0;
}
