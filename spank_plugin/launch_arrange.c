/*
 * launch_arrange.c - in a task: makes Slurm execute the launcher (launch.c) in
 * place of the command, where the image's ENTRYPOINT or a pid namespace needs it.
 *
 * Slurm 22.05 has no call that puts words in front of a command, but the words
 * are the task's own copy: the first is exchanged in place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/*
 * Before the join, where the launcher is mounted with all else.  Not by a
 * descriptor: in a pid namespace of its own /proc/self is not the task's.
 */
int launch_arrange(spank_t sp, struct plan *plan)
{
	bool in_child = plan->namespaces[NS_PID] >= 0;
	char **argv = step_command(sp), *path = strdup(LAUNCH_PATH);

	if (!plan->entrypoint.count && !in_child)
		return 0;
	if (!argv || !path || plan_cover(plan, LAUNCH_PATH) ||
	    set_words(sp, &plan->entrypoint, argv[0]) ||
	    (in_child && set(sp, "_PID", "1")))
		return fail("the command cannot be run through the launcher");
	argv[0] = path;
	return 0;
}
