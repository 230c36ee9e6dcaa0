/*
 * plugin.c - the SPANK entry points: which process does what, and nothing more.
 *
 *   every process   init                 register the options
 *   srun and friends  init_post_opt      check them before anything is queued
 *   srun            local_user_init      keep the command off nodes without socker
 *   slurmstepd      user_init            start the Python hook
 *   each task       task_init_privileged (root) keep capabilities for the join
 *                   task_init            (the user) wait for the hook's plan,
 *                                        join, or end the task
 *   slurmstepd      task_post_fork       leave the task's channel to the task
 *   slurmstepd      task_exit, exit      end a hook that nobody waits for; behind
 *                                        the last task the step's end
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

static bool wanted;		/* the step asked for a container */
static bool can_join;		/* the task kept its capabilities */
static struct hook hook = HOOK_NONE;
static struct hook_config config;
static size_t task_count, tasks_ended;
static int worst_status;	/* of the step's tasks on this node, as shells say it */
static pid_t loaded_in;		/* the process that keeps our state */

int slurm_spank_init(spank_t sp, int ac, char **av)
{
	spank_context_t context = spank_context();

	loaded_in = getpid();
	if (options_register(sp, ac, av))
		slurm_error("socker: the options cannot be registered");
	if (context == S_CTX_LOCAL || context == S_CTX_ALLOCATOR)
		submit_begin(context == S_CTX_ALLOCATOR);
	/* A failure here would drain the node. */
	return 0;
}

/* Called once all options are known; nothing is queued yet. */
int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
	spank_context_t context = spank_context();

	if (context != S_CTX_LOCAL && context != S_CTX_ALLOCATOR)
		return 0;
	/* Not by a return value, which Slurm ignores for an `optional` plugin. */
	if (submit_settle(sp, ac, av, context == S_CTX_ALLOCATOR))
		exit(EXIT_FAILURE);
	return 0;
}

/* In srun, when the step is about to be launched. */
int slurm_spank_local_user_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	if (options_want_container())
		protect_command(sp);
	return 0;
}

static void start_hook(spank_t sp, int ac, char **av)
{
	static struct step_request request;

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
	if (step_fill_step(sp, &request) || step_local_task_count(sp, &task_count)) {
		say("Slurm does not tell about the step: its release and the "
		    "plugin's may differ: `socker check` tells");
		return;
	}
	request.hook = SOCKER_STEP_START;
	request.options = options_collect();
	request.plugin_args = config.args;
	request.state_directory = STATE_DIRECTORY;
	if (request.options)
		hook_start(&config, &request, task_count, &hook);
	else
		say("no memory for the step's options");
}

int slurm_spank_user_init(spank_t sp, int ac, char **av)
{
	char **env = step_environment(sp);

	/* The list is nothing for the user's programs. */
	if (env && options_receive(env))
		spank_unsetenv(sp, OPTIONS_VARIABLE);
	wanted = options_want_container();
	if (wanted) {
		if (protect_restore(sp))
			options_show_stages();
		start_hook(sp, ac, av);
	}
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

/*
 * The site's TaskProlog before the join, its variables over all others, as
 * natively.
 */
static int arrange_environment(spank_t sp, struct plan *plan)
{
	struct words changes = { 0 };
	char **env = step_environment(sp);
	int rc;

	if (!env)
		return -1;
	rc = prolog_run(env, &changes);
	if (!rc && prolog_path())
		rc = plan_cover(plan, prolog_path());
	if (!rc && (step_apply_environment(sp, &plan->env) ||
		    step_copy_variables(sp, &plan->copies) ||
		    step_apply_environment(sp, &changes)))
		rc = -1;
	words_free(&changes);
	return rc;
}

/* 0 only if this process is now inside the container, without a capability. */
static int enter_container(spank_t sp)
{
	struct plan plan = PLAN_EMPTY;
	char **argv = step_command(sp);
	const char *command, *workdir;
	size_t index;

	if (!can_join || caps_lay_down() || hook.process < 0 || !argv ||
	    step_task_index(sp, &index))
		return -1;
	hook_keep_channel(&hook, index);
	if (hook_wait(&hook, index, config.timeout, index == 0 ? tell_user : NULL, &plan))
		return -1;
	command = argv[0];	/* the launcher may come in its place */
	if (plan.namespaces[NS_MOUNT] < 0 || arrange_environment(sp, &plan) ||
	    launch_arrange(sp, &plan))
		return -1;
	if (join_container(&plan, &workdir) || step_close_descriptors_on_exec(sp) ||
	    spank_setenv(sp, "PWD", workdir, 1) != ESPANK_SUCCESS)
		return -1;
	if (index == 0)
		hint_give(sp, &plan, command);
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

static void tell_step(const char *text)
{
	say("%s", text);
}

static void run_step_end(spank_t sp)
{
	struct step_request request;
	struct plan none = PLAN_EMPTY;

	if (step_fill_step(sp, &request))
		return;
	job_note_end(&request, worst_status);
	if (!job_step_has_end(&request))
		return;
	request.hook = SOCKER_STEP_END;
	request.options = options_collect();
	request.plugin_args = config.args;
	request.state_directory = STATE_DIRECTORY;
	if (request.options && hook_start(&config, &request, 1, &hook) == 0)
		hook_wait(&hook, 0, config.timeout, tell_step, &none);
	hook_end(&hook);
	plan_free(&none);
}

/*
 * Before Slurm removes the step's cgroups, which a hook that still works is in.
 */
int slurm_spank_task_exit(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	if (!wanted)
		return 0;
	worst_status = step_worse_status(sp, worst_status);
	if (++tasks_ended != task_count)
		return 0;
	hook_end(&hook);
	run_step_end(sp);
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
