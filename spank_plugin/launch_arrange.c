/*
 * launch_arrange.c - in a task: makes Slurm execute the launcher (launch.c) in
 * place of the command, where the image's ENTRYPOINT or a pid namespace needs it.
 *
 * Slurm 22.05 has no call that puts words in front of a command, but the words
 * are the task's own copy: the first is exchanged in place.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "launch.h"
#include "task.h"

static int set(spank_t sp, const char *suffix, const char *value)
{
	char name[64];

	snprintf(name, sizeof(name), LAUNCH_VARIABLE "%s", suffix);
	return spank_setenv(sp, name, value, 1) == ESPANK_SUCCESS ? 0 : -1;
}

static int set_words(spank_t sp, const struct words *words, const char *command)
{
	char number[32];

	snprintf(number, sizeof(number), "%zu", words->count);
	if (words->count > LAUNCH_MOST_WORDS || set(sp, "", number) ||
	    set(sp, "_COMMAND", command))
		return -1;
	for (size_t i = 0; i < words->count; i++) {
		snprintf(number, sizeof(number), "_%zu", i);
		if (set(sp, number, words->list[i]))
			return -1;
	}
	return 0;
}

/* Before the join: the launcher is a file of the node. */
int launch_arrange(spank_t sp, const struct plan *plan)
{
	bool in_child = plan->namespaces[NS_PID] >= 0;
	char **argv = step_command(sp), *path;
	int fd;

	if (!plan->entrypoint.count && !in_child)
		return 0;
	if (!plan->launcher || !argv)
		return fail("the command cannot be run through the launcher");
	/* Gone at the execve, which a static program does not mind. */
	fd = open(plan->launcher, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail("%s: %m: the admin must run `socker install` again",
			    plan->launcher);
	if (asprintf(&path, LAUNCH_NAME "%d", fd) < 0 ||
	    set_words(sp, &plan->entrypoint, argv[0]) ||
	    (in_child && set(sp, "_PID", "1")))
		return fail("the command cannot be run through the launcher");
	argv[0] = path;
	return 0;
}
