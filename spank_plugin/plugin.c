/*
 * plugin.c - the SPANK entry points: which process does what, and nothing more.
 *
 *   every process   init                 register the options
 *   slurmstepd      user_init            run the Python hook, keep its plan
 *   each task       task_init_privileged (root) keep capabilities for the join
 *                   task_init            (the user) join, or end the task
 *   slurmd's child  job_epilog           run the Python hook if the job used us
 *
 * A step that asks for no container leaves each of these after one test, and
 * no Python is ever loaded (DESIGN D9).
 *
 * Slurm drains a node, or runs the command on the bare node, for some failures
 * of a hook (DESIGN D5).  So user_init stores a failure and returns success,
 * and the task ends itself: a task of a container step reaches its execve
 * inside the container or not at all, also when plugstack.conf says "optional".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

SPANK_PLUGIN(socker, 1);

/* Where a node keeps the state of jobs that used a container; root's alone. */
#define STATE_DIRECTORY "/run/socker"

static bool wanted;		/* the step asked for a container */
static struct plan plan = { .namespace_fd = -1 };
static struct hook_config config;

int slurm_spank_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	if (options_register(sp))
		slurm_error("socker: the options cannot be registered");
	/* A failure here would drain the node. */
	return 0;
}

static void set_up(spank_t sp, int ac, char **av)
{
	struct step_request request;

	if (hook_config_parse(&config, ac, av))
		return;
	if (step_fill_step(sp, &request)) {
		say("Slurm does not tell about the step: its release and the "
		    "plugin's may differ: `socker check` tells");
		return;
	}
	request.hook = SOCKER_STEP_START;
	request.options = options_collect();
	request.plugin_args = config.args;
	request.state_directory = STATE_DIRECTORY;
	if (hook_run(&config, &request, &plan) ||
	    step_apply_environment(sp, &plan) || plan.namespace_fd < 0)
		plan.complete = false;
}

int slurm_spank_user_init(spank_t sp, int ac, char **av)
{
	wanted = options_want_container();
	if (wanted)
		set_up(sp, ac, av);
	return 0;
}

int slurm_spank_task_init_privileged(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (wanted && plan.complete && join_keep_capabilities())
		plan.complete = false;
	return 0;
}

int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
	const char *workdir;

	(void)ac;
	(void)av;
	if (!wanted)
		return 0;
	/* user_init has said why. */
	if (!plan.complete || join_container(&plan, &workdir))
		_exit(EXIT_FAILURE);
	if (spank_setenv(sp, "PWD", workdir, 1) != ESPANK_SUCCESS)
		_exit(EXIT_FAILURE);
	return 0;
}

static bool job_used_us(const struct step_request *request)
{
	char path[512];
	int length = snprintf(path, sizeof(path), "%s/%s/%u", STATE_DIRECTORY,
			      request->node, request->job_id);

	return length > 0 && (size_t)length < sizeof(path) && access(path, F_OK) == 0;
}

/* Never a failure: it would drain the node.  The hook logs what is left. */
int slurm_spank_job_epilog(spank_t sp, int ac, char **av)
{
	struct step_request request;
	struct plan none = PLAN_EMPTY;

	if (step_fill_job(sp, &request)) {
		slurm_error("socker: epilog: Slurm does not tell about the job");
		return 0;
	}
	if (!job_used_us(&request) || hook_config_parse(&config, ac, av))
		return 0;
	request.hook = SOCKER_JOB_EPILOG;
	request.plugin_args = config.args;
	request.state_directory = STATE_DIRECTORY;
	if (hook_run(&config, &request, &none))
		slurm_error("socker: epilog of job %u failed: containers of it "
			    "may be left", request.job_id);
	plan_free(&none);
	return 0;
}
