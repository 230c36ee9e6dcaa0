/*
 * plan.c - the plan of a step: what the hook's records say, kept in memory.
 *
 * Each task reads its own, and keeps it until its execve.  The records come from our own root child; still, one that does not parse
 * makes the plan fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

const struct plan PLAN_EMPTY = { .namespace_fd = -1 };

void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->mount_count; i++) {
		free(plan->mounts[i].source);
		free(plan->mounts[i].target);
	}
	for (size_t i = 0; i < plan->workdir_count; i++)
		free(plan->workdirs[i]);
	for (size_t i = 0; i < plan->env_count; i++)
		free(plan->env[i]);
	free(plan->mounts);
	free(plan->workdirs);
	free(plan->env);
	free(plan->failure);
	if (plan->namespace_fd >= 0)
		close(plan->namespace_fd);
	*plan = PLAN_EMPTY;
}

static int add_string(char ***list, size_t *count, const char *text)
{
	char **grown = reallocarray(*list, *count + 1, sizeof(**list));
	char *copy = strdup(text);

	if (grown)
		*list = grown;
	if (!grown || !copy) {
		free(copy);
		return -1;
	}
	grown[(*count)++] = copy;
	return 0;
}

/* flags NUL source NUL target */
static int add_mount(struct plan *plan, const char *flags, size_t size)
{
	const char *end = flags + size;
	const char *source = flags + strlen(flags) + 1;
	const char *target = source < end ? source + strlen(source) + 1 : end;
	struct mount_entry *grown;

	if (target >= end || source[0] != '/' || target[0] != '/')
		return -1;
	grown = reallocarray(plan->mounts, plan->mount_count + 1, sizeof(*grown));
	if (!grown)
		return -1;
	plan->mounts = grown;
	grown[plan->mount_count] = (struct mount_entry) {
		.read_only = strchr(flags, 'r') != NULL,
		.devices = strchr(flags, 'd') != NULL,
		.optional = strchr(flags, 'o') != NULL,
		.source = strdup(source),
		.target = strdup(target),
		.tree = -1,
	};
	plan->mount_count++;
	return grown[plan->mount_count - 1].source &&
	       grown[plan->mount_count - 1].target ? 0 : -1;
}

static int set_once(int *slot, int fd)
{
	if (fd < 0 || *slot >= 0)
		return -1;
	*slot = fd;
	return 0;
}

/* record is NUL-terminated behind its size bytes. */
int plan_add(struct plan *plan, const char *record, size_t size, int fd)
{
	const char *payload = record + 1;

	if (size < 1 || plan->complete)
		return -1;
	switch (record[0]) {
	case 'V':
	case 'U':
		return add_string(&plan->env, &plan->env_count, payload);
	case 'W':
		return add_string(&plan->workdirs, &plan->workdir_count, payload);
	case 'M':
		return add_mount(plan, payload, size - 1);
	case 'R':
		plan->read_only_root = true;
		return 0;
	case 'N':
		return set_once(&plan->namespace_fd, fd);
	case 'F':
		free(plan->failure);
		plan->failure = strdup(payload);
		return plan->failure ? 0 : -1;
	default:
		return -1;
	}
}
