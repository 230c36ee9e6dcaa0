/*
 * leave.c - takes this process out of its job's cgroups.
 *
 * Nothing tells a plugin in an extern step of the step's end before Slurm removes the
 * step's groups, and those that a process is in would stay.  So a hook that works there
 * goes where slurmstepd itself goes before it removes them: in v1 to the hierarchy's
 * root, in v2 to the group that keeps Slurm's scope.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

#define SCOPE "slurmstepd.scope/"	/* of v2; the node's name may come before it */
#define KEEPER "system"

/* The group to go to, in place of one of Slurm's; false for any other's group. */
static bool outside(const char *group, char *other, size_t size)
{
	const char *scope = strstr(group, SCOPE);
	int length;

	if (scope)
		length = snprintf(other, size, "%.*s" KEEPER,
				  (int)(scope + strlen(SCOPE) - group), group);
	else
		length = snprintf(other, size, "/");
	return (scope || !strncmp(group, "/slurm", strlen("/slurm"))) && length >= 0 &&
	       (size_t)length < size;
}

/* Whether a list with commas has the word. */
static bool has_word(char *list, const char *word)
{
	char *entry;

	while ((entry = strsep(&list, ",")))
		if (!strcmp(entry, word))
			return true;
	return false;
}

/*
 * Where the hierarchy with these controllers is mounted, as a new string; v2 has none.
 * proc(5): behind " - " come type, source and, in v1 with the controllers, options.
 */
static char *mount_of(const char *controllers)
{
	char *line = NULL, *point = NULL, type[16], options[256];
	char first[64], root[PATH_MAX], where[PATH_MAX];
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	size_t size = 0;

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(controllers, ","), controllers);
	while (mounts && !point && getline(&line, &size, mounts) > 0) {
		char *rest = strstr(line, " - ");

		if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", root, where) != 2 ||
		    sscanf(rest, " - %15s %*s %255s", type, options) != 2 || strcmp(root, "/"))
			continue;
		if (*first ? !strcmp(type, "cgroup") && has_word(options, first)
			   : !strcmp(type, "cgroup2"))
			point = strdup(where);
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return point;
}

static int go_to(const char *mount, const char *group)
{
	char *path;
	int fd, rc = -1;

	if (asprintf(&path, "%s%s/cgroup.procs", mount, group) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		rc = write(fd, "0", 1) == 1 ? 0 : -1;	/* cgroups(7): the writer itself */
		close(fd);
	}
	free(path);
	return rc;
}

/* What fails leaves groups that the job's epilog removes. */
void leave_job(void)
{
	FILE *groups = fopen("/proc/self/cgroup", "re");
	char *line = NULL, other[PATH_MAX];
	size_t size = 0;

	while (groups && getline(&line, &size, groups) > 0) {
		char *rest = line, *controllers, *group, *mount;

		strsep(&rest, ":");
		controllers = strsep(&rest, ":");
		group = strsep(&rest, "\n");
		if (!controllers || !group || !outside(group, other, sizeof(other)))
			continue;
		mount = mount_of(controllers);
		if (!mount || go_to(mount, other))
			fprintf(stderr, "cgroup %s cannot be left: %m\n", group);
		free(mount);
	}
	free(line);
	if (groups)
		fclose(groups);
}
