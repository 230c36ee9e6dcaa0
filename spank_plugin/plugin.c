/*
 * plugin.c - the SPANK entry points: which process does what, and nothing more.
 *
 *   every process   init                 register the options
 *   slurmstepd      user_init            start the Python hook
 *   each task       task_init_privileged (root) keep capabilities for the join
 *                   task_init            (the user) wait for the hook's plan,
 *                                        join, or end the task
 *   slurmstepd      task_post_fork       leave the task's channel to the task
 *   slurmstepd      task_exit, exit      end a hook that nobody waits for
 *   slurmd's child  job_epilog           run the Python hook if the job used us
 *
 * A step that asks for no container leaves each of these after one test, and
 * no Python is ever loaded (DESIGN D9).
 *
 * Slurm drains a node, or runs the command on the bare node, for some failures
 * of a hook (DESIGN D5).  So nothing here ever returns failure, and a task of a
 * container step reaches its execve inside the container or ends itself, also
 * when plugstack.conf says "optional".
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
static bool can_join;		/* the task kept its capabilities */
static struct hook hook = HOOK_NONE;
static struct hook_config config;
static size_t tasks_ended;
static pid_t loaded_in;		/* the process that keeps our state */

int slurm_spank_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	loaded_in = getpid();
	if (options_register(sp))
		slurm_error("socker: the options cannot be registered");
	/* A failure here would drain the node. */
	return 0;
}

static void start_hook(spank_t sp, int ac, char **av)
{
	static struct step_request request;
	size_t tasks;

	/*
	 * With CONTAIN_SPANK Slurm calls user_init in a child of its own, which
	 * has no descriptors in common with slurmstepd: nothing could be kept.
	 */
	if (getpid() != loaded_in) {
		say("Slurm runs plugins in a namespace of their own here: the admin "
		    "must take contain_spank out of LaunchParameters");
		return;
	}
	if (hook_config_parse(&config, ac, av))
		return;
	if (step_fill_step(sp, &request) || step_local_task_count(sp, &tasks)) {
		say("Slurm does not tell about the step: its release and the "
		    "plugin's may differ: `socker check` tells");
		return;
	}
	request.hook = SOCKER_STEP_START;
	request.options = options_collect();
	request.plugin_args = config.args;
	request.state_directory = STATE_DIRECTORY;
	if (request.options)
		hook_start(&config, &request, tasks, &hook);
	else
		say("no memory for the step's options");
}

int slurm_spank_user_init(spank_t sp, int ac, char **av)
{
	wanted = options_want_container();
	if (wanted)
		start_hook(sp, ac, av);
	return 0;
}

int slurm_spank_task_init_privileged(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (wanted)
		can_join = caps_keep() == 0;
	return 0;
}

static void tell_user(const char *text)
{
	dprintf(STDERR_FILENO, "socker: %s\n", text);
}

/* 0 only if this process is now inside the container, without a capability. */
static int enter_container(spank_t sp)
{
	struct plan plan = PLAN_EMPTY;
	const char *workdir;
	size_t index;

	if (!can_join || caps_lay_down() || hook.process < 0 || step_task_index(sp, &index))
		return -1;
	hook_keep_channel(&hook, index);
	if (hook_wait(&hook, index, config.timeout, index == 0 ? tell_user : NULL, &plan))
		return -1;
	if (plan.namespace_fd < 0 || step_apply_environment(sp, &plan))
		return -1;
	if (join_container(&plan, &workdir) ||
	    spank_setenv(sp, "PWD", workdir, 1) != ESPANK_SUCCESS)
		return -1;
	plan_free(&plan);
	return 0;
}

int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	if (wanted && enter_container(sp))
		_exit(EXIT_FAILURE);
	return 0;
}

int slurm_spank_task_post_fork(spank_t sp, int ac, char **av)
{
	size_t index;

	(void)ac;
	(void)av;
	if (wanted && step_task_index(sp, &index) == 0)
		hook_close_channel(&hook, index);
	return 0;
}

/*
 * Before Slurm removes the step's cgroups, which a hook that still works is in.
 */
int slurm_spank_task_exit(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (wanted && ++tasks_ended == hook.channel_count)
		hook_end(&hook);
	return 0;
}

int slurm_spank_exit(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (wanted)
		hook_end(&hook);
	return 0;
}

static bool job_used_us(const struct step_request *request)
{
	char path[512];
	int length = snprintf(path, sizeof(path), "%s/%s/%u", STATE_DIRECTORY,
			      request->node, request->job_id);

	return length > 0 && (size_t)length < sizeof(path) && access(path, F_OK) == 0;
}

static void tell_log(const char *text)
{
	slurm_info("socker: %s", text);
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
	if (hook_start(&config, &request, 1, &hook) ||
	    hook_wait(&hook, 0, config.timeout, tell_log, &none))
		slurm_error("socker: epilog of job %u failed: containers of it "
			    "may be left", request.job_id);
	hook_end(&hook);
	plan_free(&none);
	return 0;
}
