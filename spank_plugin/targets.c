/*
 * targets.c - finds, makes and unmounts paths inside the container.
 *
 * No look-up leaves the container's root: links of the image, and /proc's magic
 * ones, which would lead to the node's processes, are resolved or refused by
 * openat2 (DESIGN D3).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "task.h"

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
	rc = caps_raise(sys_same_mount(parent, root) ? LOOKUP_CAPS : NO_CAPS);
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

int target_find_or_make(int root, const char *path, bool is_dir)
{
	char *copy = strdup(path);
	int fd = copy ? find_or_make(root, copy, is_dir) : -1, saved = errno;

	free(copy);
	errno = saved;
	return fd;
}

/* The topmost mount at path; by its parent, so that no link is followed. */
static int unmount_below(int parent, const char *name)
{
	if (caps_raise(MOUNT_CAPS) || fchdir(parent))
		return -1;
	return umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/* rules: NULL where none hold; ECANCELED when they forbid it */
int target_unmount(int root, const char *path, const struct plan *rules)
{
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
	int parent, rc, saved;

	if (!slash) {
		free(copy);
		return -1;
	}
	*slash = '\0';
	parent = slash == copy ? fcntl(root, F_DUPFD_CLOEXEC, 0) : find_target(root, copy);
	rc = -1;
	/* What is mounted in a directory of the node hides what is below it. */
	if (parent >= 0 && !sys_same_mount(parent, root))
		errno = EPERM;
	else if (parent >= 0 && rules && paths_check_entry(rules, path, parent, slash + 1))
		errno = ECANCELED;
	else if (parent >= 0)
		rc = unmount_below(parent, slash + 1);
	saved = errno;
	if (parent >= 0)
		close(parent);
	free(copy);
	errno = saved;
	return rc;
}
