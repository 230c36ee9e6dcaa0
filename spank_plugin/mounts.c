/*
 * mounts.c - a task's mounts: sources cloned with the user's own rights before
 * the container is entered, attached at targets inside it afterwards (DESIGN D3).
 *
 * Needs Linux 5.12: mount_setattr is the only way to make a tree of mounts
 * nosuid, nodev or read-only before anybody can use it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "task.h"

static bool has(const struct mount_entry *mount, char flag);

/* In messages; what the hook made has no name of the user's. */
static const char *name_of(const struct mount_entry *mount)
{
	return has(mount, 'i') ? "tmpfs" : mount->source;
}

static bool has(const struct mount_entry *mount, char flag)
{
	return strchr(mount->flags, flag) != NULL;
}

/* --- sources -------------------------------------------------------------- */

/* The descriptor decides: what was checked is what is mounted. */
static int check_source(struct mount_entry *mount, int source)
{
	struct stat status;

	if (fstat(source, &status))
		return -1;
	mount->is_dir = S_ISDIR(status.st_mode);
	mount->is_own = sys_is_of_a_process(source);
	/* A directory is of use to who may pass through it, a file to readers. */
	return (int)syscall(SYS_faccessat2, source, "",
			    mount->is_dir ? X_OK : R_OK, AT_EMPTY_PATH | AT_EACCESS);
}

static int refuse_source(struct mount_entry *mount)
{
	mount->is_own = true;
	if (has(mount, 'o') && (errno == ENOENT || errno == EACCES ||
				(errno == ELOOP && has(mount, 'l'))))
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
static int open_source(const struct mount_entry *mount)
{
	uint64_t refused = has(mount, 'l') ? RESOLVE_NO_SYMLINKS : RESOLVE_NO_MAGICLINKS;
	int fd = sys_openat2(AT_FDCWD, mount->source, O_PATH | O_DIRECTORY, refused);

	if (fd >= 0 || errno != ENOTDIR)
		return fd;
	return sys_openat2(AT_FDCWD, mount->source, O_PATH, refused);
}

static uint64_t attributes(const struct mount_entry *mount)
{
	return MOUNT_ATTR_NOSUID | (has(mount, 'd') ? 0 : MOUNT_ATTR_NODEV) |
	       (has(mount, 'r') ? MOUNT_ATTR_RDONLY : 0) |
	       (has(mount, 'x') ? MOUNT_ATTR_NOEXEC : 0);
}

static int set_propagation(const struct mount_entry *mount)
{
	static const struct { char flag; uint64_t kind; } kinds[] = {
		{ 'p', MS_PRIVATE }, { 's', MS_SLAVE }, { 'h', MS_SHARED },
		{ 'n', MS_UNBINDABLE },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct mount_attr attr = { .propagation = kinds[i].kind };

		if (has(mount, kinds[i].flag) &&
		    sys_mount_setattr(mount->tree, has(mount, '-') ? AT_RECURSIVE : 0, &attr))
			return -1;
	}
	return 0;
}

/*
 * A clone of the mounts at an open source.  A slave first, whatever was asked
 * for: what is mounted inside it later must never appear on the node, and what
 * is mounted on the node (automounted homes) still appears inside.
 */
static int clone_tree(struct mount_entry *mount, int source)
{
	struct mount_attr attr = {
		.attr_set = attributes(mount), .propagation = MS_SLAVE,
		/* All that was in the container is read-only by now (join.c). */
		.attr_clr = has(mount, 'i') && !has(mount, 'r') ? MOUNT_ATTR_RDONLY : 0,
	};

	if (caps_raise(CAP_BIT(CAP_SYS_ADMIN)))
		return -1;
	mount->tree = sys_open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE |
				    OPEN_TREE_CLOEXEC | (has(mount, 'b') ? 0 : AT_RECURSIVE));
	if (mount->tree < 0 || sys_mount_setattr(mount->tree, AT_RECURSIVE, &attr) ||
	    set_propagation(mount))
		return fail("mount %s: it cannot be cloned: %m: tell the admin", name_of(mount));
	return 0;
}

/*
 * Without what is mounted below it a source would show what that hides, a job's
 * private /tmp among it.  The names are the task's own view (proc(5), mountinfo).
 */
static bool hides_something(int source)
{
	char link[64], path[PATH_MAX + 2], line[3 * PATH_MAX], point[PATH_MAX];
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	bool found = !mounts;
	ssize_t size;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", source);
	size = readlink(link, path, sizeof(path) - 2);
	if (size <= 0 || path[0] != '/')
		found = true;
	else if (path[size - 1] != '/')
		path[size++] = '/';
	path[size > 0 ? size : 0] = '\0';
	while (!found && fgets(line, sizeof(line), mounts))
		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 ||
		    strchr(point, '\\') ||
		    !strncmp(point, path, strlen(path)))
			found = true;
	if (mounts)
		fclose(mounts);
	return found;
}

/* With the user's rights: whatever the user cannot reach cannot be mounted. */
static int clone_source(const struct plan *plan, struct mount_entry *mount)
{
	int source, rc;

	if (caps_raise(NO_CAPS))
		return -1;
	source = open_source(mount);
	if (source < 0)
		return refuse_source(mount);
	if (check_source(mount, source))
		rc = refuse_source(mount);
	else if (has(mount, 'c') && paths_check_source(plan, mount, source))
		rc = has(mount, 'o') ? 0 : -1;
	else if (has(mount, 'b') && hides_something(source))
		rc = fail("mount %s: bind: something is mounted below it: use rbind, or the "
			  "directory that you need", mount->source);
	else
		rc = clone_tree(mount, source);
	close(source);
	return rc;
}

/* What the hook made for this step in the container's namespace. */
static int clone_inside(int root, struct mount_entry *mount)
{
	int source, rc;

	if (caps_raise(NO_CAPS))
		return -1;
	source = sys_openat2(root, mount->source, O_PATH | O_DIRECTORY,
			     RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (source < 0)
		return fail("mount %s: %m", mount->target);
	mount->is_dir = true;
	rc = clone_tree(mount, source);
	close(source);
	return rc;
}

int mounts_clone_sources(const struct plan *plan)
{
	if (paths_begin(plan))
		return -1;
	for (size_t i = 0; i < plan->mount_count; i++) {
		struct mount_entry *mount = &plan->mounts[i];

		if (!has(mount, 'u') && !has(mount, 'i') && clone_source(plan, mount))
			return -1;
	}
	return 0;
}

/* Before anything is attached, which could cover them. */
static int clone_from_inside(const struct plan *plan, int root)
{
	for (size_t i = 0; i < plan->mount_count; i++) {
		struct mount_entry *mount = &plan->mounts[i];

		if (has(mount, 'i') && clone_inside(root, mount))
			return -1;
	}
	return 0;
}

/* --- targets -------------------------------------------------------------- */

static int attach_at(struct mount_entry *mount, int target)
{
	struct stat status;

	if (fstat(target, &status) == 0 && S_ISDIR(status.st_mode) != mount->is_dir)
		return fail("mount %s: one of source and target %s is a "
			    "directory, the other is not: mount like on like",
			    name_of(mount), mount->target);
	if (caps_raise(MOUNT_CAPS))
		return -1;
	if (sys_move_mount(mount->tree, target))
		return fail("mount %s at %s: %m", name_of(mount), mount->target);
	close(mount->tree);
	mount->tree = -1;
	return 0;
}

/* By a link; what covers the root is the root only for who enters later (setns(2)). */
static int refuse_root(const struct mount_entry *mount)
{
	return fail("mount %s: the target %s is the container's root: choose another",
		    name_of(mount), mount->target);
}

static int attach(const struct plan *plan, int root, struct mount_entry *mount)
{
	bool as_dir = has(mount, 'D') || (mount->is_dir && !has(mount, 'F'));
	int target = target_find_or_make(root, mount->target, as_dir);
	int rc;

	if (target < 0)
		return fail("mount %s: the target %s cannot be made in the "
			    "container: %m", name_of(mount), mount->target);
	if (sys_same_place(target, root))
		rc = has(mount, 'o') ? 0 : refuse_root(mount);
	else if (has(mount, 'c') && paths_check_target(plan, mount, target))
		rc = has(mount, 'o') ? 0 : -1;
	else
		rc = attach_at(mount, target);
	close(target);
	return rc;
}

static int detach(const struct plan *plan, int root, const struct mount_entry *mount)
{
	if (target_unmount(root, mount->target, has(mount, 'c') ? plan : NULL) == 0)
		return 0;
	if (errno == ECANCELED)	/* said already, by paths.c */
		return -1;
	if (errno == EINVAL || errno == ENOENT)
		return fail("umount %s: nothing is mounted there: check the path",
			    mount->target);
	if (errno == EPERM)
		return fail("umount %s: it is below another mount: umount that one, or "
			    "choose another source", mount->target);
	return fail("umount %s: %m", mount->target);
}

/*
 * What the engine mounted there: the node's own come in their place, and if these
 * are unmounted, the image's directories show.  The engine's /proc would not have
 * the node's hidepid.
 */
static void drop_engines(int root)
{
	static const char *const places[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		while (target_unmount(root, places[i], NULL) == 0)
			;
}

int mounts_attach(const struct plan *plan, int root)
{
	drop_engines(root);
	if (clone_from_inside(plan, root))
		return -1;
	for (size_t i = 0; i < plan->mount_count; i++) {
		struct mount_entry *mount = &plan->mounts[i];

		if (has(mount, 'u') ? detach(plan, root, mount)
				    : mount->tree >= 0 && attach(plan, root, mount))
			return -1;
	}
	return 0;
}
