/*
 * enter.c - in a task: waits for what the hook has to say, and does it.
 */
#include <unistd.h>

#include "shim.h"
#include "task.h"

static void tell_user(const char *text)
{
	dprintf(STDERR_FILENO, "socker: %s\n", text);
}

int enter_container(spank_t sp, struct hook *hook, int timeout)
{
	struct plan plan = PLAN_EMPTY;
	char **argv = step_command(sp);
	const char *command, *workdir;
	size_t index;

	if (caps_lay_down() || hook->process < 0 || !argv || step_task_index(sp, &index))
		return -1;
	if (index)
		trace_end();
	trace("slurmstepd: from the hook's start to the task's");
	if (hook_wait(hook, timeout, index == 0 ? tell_user : NULL, &plan))
		return -1;
	trace("task: waited for the plan");
	command = argv[0];	/* the launcher may come in its place */
	if (plan.namespaces[NS_MOUNT] < 0 || prolog_arrange(sp, &plan) ||
	    launch_arrange(sp, &plan))
		return -1;
	trace("task: TaskProlog and environment");
	if (join_container(&plan, &workdir) || step_close_descriptors_on_exec(sp) ||
	    spank_setenv(sp, "PWD", workdir, 1) != ESPANK_SUCCESS)
		return -1;
	if (index == 0)
		hint_give(sp, &plan, command);
	plan_free(&plan);
	trace("task: descriptors and hints");
	return 0;
}

int stay_native(spank_t sp, struct hook *hook, int timeout)
{
	struct plan plan = PLAN_EMPTY;
	size_t index;
	int rc;

	if (hook->process < 0 || step_task_index(sp, &index))
		return -1;
	rc = hook_wait(hook, timeout, index == 0 ? tell_user : NULL, &plan);
	plan_free(&plan);
	return rc;
}
