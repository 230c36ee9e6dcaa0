/*
 * plan.c - the plan of a step: what the hook's records say, kept in memory.
 *
 * Each task reads its own, and keeps it until its execve.  The records come from
 * our own root child; still, one that is not as bridge.h has it makes the plan fail.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

const struct plan PLAN_EMPTY = { .namespaces = { -1, -1, -1, -1, -1 } };

int words_add(struct words *words, const char *text)
{
	char **grown = reallocarray(words->list, words->count + 1, sizeof(*grown));
	char *copy = strdup(text);

	if (grown)
		words->list = grown;
	if (!grown || !copy) {
		free(copy);
		return -1;
	}
	grown[words->count++] = copy;
	return 0;
}

void words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
	free(words->list);
	*words = (struct words) { 0 };
}

void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		free((char *)plan->mounts[i].flags);
	free(plan->mounts);
	words_free(&plan->sources);
	words_free(&plan->targets);
	words_free(&plan->workdirs);
	words_free(&plan->env);
	words_free(&plan->copies);
	for (size_t i = 0; i < plan->hint_count; i++)
		free(plan->hints[i].mpi);
	free(plan->hints);
	words_free(&plan->entrypoint);
	free(plan->launcher);
	free(plan->failure);
	for (int kind = 0; kind < NS_KINDS; kind++)
		if (plan->namespaces[kind] >= 0)
			close(plan->namespaces[kind]);
	*plan = PLAN_EMPTY;
}

/* Whether a record, NUL-terminated behind its size bytes, has so many fields. */
static bool has_fields(const char *record, size_t size, size_t wanted)
{
	size_t ends = 1;

	for (size_t i = 0; i < size; i++)
		ends += !record[i];
	return ends == wanted;
}

/* As paths.c compares them: "" would cover everything, "/a/" not even itself. */
static bool is_rule(const char *path)
{
	return path[0] == '/' && (!path[1] || path[strlen(path) - 1] != '/');
}

/* flags NUL source NUL target */
static int add_mount(struct plan *plan, const char *record, size_t size)
{
	char *flags = has_fields(record, size, 3) ? malloc(size + 1) : NULL, *source, *target;
	struct mount_entry *grown;

	if (!flags)
		return -1;
	memcpy(flags, record, size + 1);
	source = flags + strlen(flags) + 1;
	target = source + strlen(source) + 1;
	grown = reallocarray(plan->mounts, plan->mount_count + 1, sizeof(*grown));
	if (grown)
		plan->mounts = grown;
	if (!grown || target[0] != '/' || (source[0] != '/' && !strchr(flags, 'u'))) {
		free(flags);
		return -1;
	}
	grown[plan->mount_count++] = (struct mount_entry) {
		.flags = flags, .source = source, .target = target, .tree = -1,
	};
	return 0;
}

int plan_cover(struct plan *plan, const char *target)
{
	char record[2 * PATH_MAX + 8];
	int size;

	if (!plan->launcher)
		return -1;
	size = snprintf(record, sizeof(record), "rF%c%s%c%s", 0, plan->launcher, 0, target);
	if (size < 0 || (size_t)size >= sizeof(record))
		return -1;
	return add_mount(plan, record, (size_t)size);
}

static int add_namespace(struct plan *plan, const char *name, int fd)
{
	static const char *const names[NS_KINDS] = {
		[NS_MOUNT] = "mnt", [NS_NET] = "net", [NS_IPC] = "ipc",
		[NS_UTS] = "uts", [NS_PID] = "pid",
	};

	for (int kind = 0; kind < NS_KINDS; kind++) {
		if (strcmp(names[kind], name))
			continue;
		if (fd < 0 || plan->namespaces[kind] >= 0)
			return -1;
		plan->namespaces[kind] = fd;
		return 0;
	}
	return -1;
}

/* mpi NUL needle NUL text */
static int add_hint(struct plan *plan, const char *record, size_t size)
{
	struct hint_entry *grown = reallocarray(plan->hints, plan->hint_count + 1, sizeof(*grown));
	bool whole = has_fields(record, size, 3) && record[strlen(record) + 1];
	char *copy = whole ? malloc(size + 1) : NULL, *needle;

	if (grown)
		plan->hints = grown;
	if (!grown || !copy) {
		free(copy);
		return -1;
	}
	memcpy(copy, record, size + 1);
	needle = copy + strlen(copy) + 1;
	grown[plan->hint_count++] = (struct hint_entry) {
		.mpi = copy, .needle = needle, .text = needle + strlen(needle) + 1,
	};
	return 0;
}

static int set_text(char **slot, const char *text)
{
	free(*slot);
	*slot = strdup(text);
	return *slot ? 0 : -1;
}

/* A record with one field, which no NUL may cut short. */
static int add_text(struct plan *plan, char kind, const char *text)
{
	const char *equals = strchr(text, '=');
	bool named = equals && equals > text;

	switch (kind) {
	case 'V':
		return named ? words_add(&plan->env, text) : -1;
	case 'U':
		return *text && !equals ? words_add(&plan->env, text) : -1;
	case 'C':
		return named ? words_add(&plan->copies, text) : -1;
	case 'S':
		return is_rule(text) ? words_add(&plan->sources, text) : -1;
	case 'G':
		return is_rule(text) ? words_add(&plan->targets, text) : -1;
	case 'W':
		return words_add(&plan->workdirs, text);
	case 'A':
		return words_add(&plan->entrypoint, text);
	case 'X':
		return set_text(&plan->launcher, text);
	case 'F':
		return set_text(&plan->failure, text);
	case 'R':
		plan->read_only_root = true;
		return *text ? -1 : 0;
	default:
		return -1;
	}
}

/* record is NUL-terminated behind its size bytes. */
int plan_add(struct plan *plan, const char *record, size_t size, int fd)
{
	const char *payload = record + 1;

	if (size < 1 || plan->complete)
		return -1;
	if (record[0] == 'M')
		return add_mount(plan, payload, size - 1);
	if (record[0] == 'H')
		return add_hint(plan, payload, size - 1);
	if (!has_fields(payload, size - 1, 1))
		return -1;
	if (record[0] == 'N')
		return add_namespace(plan, payload, fd);
	return add_text(plan, record[0], payload);
}
