/*
 * paths.c - holds a mount against the site's rules about paths (bridge.h: 'S', 'G').
 *
 * Runs in a task.  What is compared is where an open descriptor is, as the kernel
 * names it, and that descriptor is what is then mounted or mounted upon: no link
 * and no exchange of a directory comes in between.  Which paths there are, and for
 * whom, the hook has decided (pycontrol/ruling.py).
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "task.h"

/* The node's: inside, /proc may be the step's own, or unmounted. */
static int descriptors = -1;

int paths_begin(const struct plan *plan)
{
	if (!plan->sources.count && !plan->targets.count)
		return 0;
	descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return descriptors < 0 ? fail("/proc/self/fd: %m") : 0;
}

/* Where an open file is, from this process's root; -1 when that is not told. */
static int path_of(int fd, char path[PATH_MAX])
{
	char name[16];
	ssize_t size;

	snprintf(name, sizeof(name), "%d", fd);
	size = readlinkat(descriptors, name, path, PATH_MAX);
	if (size <= 0 || size >= PATH_MAX || path[0] != '/')
		return -1;
	path[size] = '\0';
	return 0;
}

/* Component by component: /scratch does not cover /scratch2. */
static bool covers(const char *prefix, const char *path)
{
	size_t length = strlen(prefix);

	if (length == 1)	/* the root */
		return true;
	return !strncmp(prefix, path, length) &&
	       (path[length] == '/' || path[length] == '\0');
}

/* What is optional is left out without a word. */
#define refuse(optional, fmt, ...) ((optional) ? -1 : fail(fmt, ##__VA_ARGS__))

static bool is_optional(const struct mount_entry *mount)
{
	return strchr(mount->flags, 'o') != NULL;
}

int paths_check_source(const struct plan *plan, const struct mount_entry *mount, int source)
{
	bool optional = is_optional(mount);
	char path[PATH_MAX];

	if (!plan->sources.count)
		return 0;
	if (path_of(source, path))
		return refuse(optional, "mount %s: it is not known where it leads, and this site "
			      "allows mounts from some places only", mount->source);
	for (size_t i = 0; i < plan->sources.count; i++)
		if (covers(plan->sources.list[i], path))
			return 0;
	return refuse(optional, "mount %s: it leads to %s on this node, and this site allows no "
		      "mounts from there: `socker explain` says from where", mount->source, path);
}

static int check_target(const struct plan *plan, const char *named, const char *path,
			bool optional)
{
	for (size_t i = 0; i < plan->targets.count; i++) {
		const char *kept = plan->targets.list[i];

		if (covers(kept, path) || covers(path, kept))
			return refuse(optional, "mount at %s: it leads to %s in this image, and "
				      "this site keeps %s as it is: use another target",
				      named, path, kept);
	}
	return 0;
}

int paths_check_target(const struct plan *plan, const struct mount_entry *mount, int target)
{
	bool optional = is_optional(mount);
	char path[PATH_MAX];

	if (!plan->targets.count)
		return 0;
	if (path_of(target, path))
		return refuse(optional, "mount at %s: it is not known where it leads, and this "
			      "site keeps some places as they are", mount->target);
	return check_target(plan, mount->target, path, optional);
}

/* The same of something in an open directory, which is to be unmounted. */
int paths_check_entry(const struct plan *plan, const char *named, int parent, const char *name)
{
	char path[PATH_MAX + NAME_MAX + 2];
	size_t length;

	if (!plan->targets.count)
		return 0;
	if (strlen(name) > NAME_MAX || path_of(parent, path))
		return fail("umount %s: it is not known where it leads, and this site keeps "
			    "some places as they are", named);
	length = strcmp(path, "/") ? strlen(path) : 0;
	snprintf(path + length, sizeof(path) - length, "/%s", name);
	return check_target(plan, named, path, false);
}
