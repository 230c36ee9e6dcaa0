/*
 * plugin.c - the SPANK entry points: which process does what, and nothing more.
 *
 *   every process   init                 register the options
 *   slurmd's child  job_prolog           keep the job's options for its extern step
 *   srun and friends  init_post_opt      check them before anything is queued
 *   srun            local_user_init      keep the command off nodes without socker
 *   slurmstepd      user_init            start the Python hook; in the job's extern
 *                                        step task_post_fork, if the job has options
 *   each task       task_init_privileged (root) keep capabilities for the join
 *                   task_init            (the user) wait for the hook's plan,
 *                                        join, or end the task
 *   slurmstepd      task_post_fork       leave the task's channel to the task
 *   slurmstepd      task_exit, exit      end a hook that nobody waits for; behind
 *                                        the last task the step's end
 *   slurmd's child  job_epilog           the job's end if it used us; the Python hook
 *                                        where that is more than is recorded
 *
 * A step that asks for no container leaves each of these after one test, and no
 * Python is ever loaded (DESIGN D9): unless the site lets the hook decide of such
 * steps, too (native=check).
 *
 * Slurm drains a node, or runs the command on the bare node, for some failures
 * of a hook (DESIGN D5).  So nothing here ever returns failure, and a task of a
 * container step reaches its execve inside the container or ends itself, also
 * when plugstack.conf says "optional".
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

SPANK_PLUGIN(socker, 1);

static bool wanted;		/* the step asked for a container */
static bool asked;		/* it did not, and the hook says whether it may do so */
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

/* Never a failure: it would drain the node. */
int slurm_spank_job_prolog(spank_t sp, int ac, char **av)
{
	struct step_request request;

	(void)ac;
	(void)av;
	if (step_fill_job(sp, &request) == 0)
		early_keep(&request);
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

static int start(struct step_request *request, enum socker_hook kind, size_t channels)
{
	request->hook = kind;
	request->plugin_args = config.args;
	request->state_directory = STATE_DIRECTORY;
	return hook_start(&config, request, channels, &hook);
}

static void start_hook(spank_t sp, int ac, char **av, enum socker_hook kind)
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
	if (kind == SOCKER_JOB_START)
		request.cwd = early_directory();
	if (kind == SOCKER_STEP_NATIVE && job_may_be_native(&request)) {
		asked = false;
		return;
	}
	request.options = options_collect();
	if (request.options)
		start(&request, kind, kind == SOCKER_JOB_START ? 0 : task_count);
	else
		say("no memory for the step's options");
}

/* The first step finds the container that its job named, or waits for it. */
static void begin_early(spank_t sp, int ac, char **av)
{
	struct step_request request;

	if (getpid() == loaded_in && step_fill_job(sp, &request) == 0 && early_take(&request))
		start_hook(sp, ac, av, SOCKER_JOB_START);
	hook_close_queue(&hook);	/* nobody waits for what it says */
	early_let_go();		/* the hook holds it now */
}

int slurm_spank_user_init(spank_t sp, int ac, char **av)
{
	char **env = step_environment(sp);

	/* The list is nothing for the user's programs. */
	if (env && options_receive(env)) {
		spank_unsetenv(sp, OPTIONS_VARIABLE);
		early_hide(sp);
	}
	wanted = options_want_container();
	trace_begin(wanted ? env : NULL);
	if (wanted) {
		if (protect_restore(sp))
			options_show_stages();
		start_hook(sp, ac, av, SOCKER_STEP_START);
		share_begin(task_count);
		return 0;
	}
	asked = native_is_checked(ac, av);
	if (asked)
		start_hook(sp, ac, av, SOCKER_STEP_NATIVE);
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

int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	if ((wanted && (!can_join || enter_container(sp, &hook, config.timeout))) ||
	    (asked && stay_native(sp, &hook, config.timeout)))
		_exit(EXIT_FAILURE);
	return 0;
}

/* Slurm calls it in the extern step, too, which has no user_init. */
int slurm_spank_task_post_fork(spank_t sp, int ac, char **av)
{
	static size_t tasks_forked;

	if (step_is_extern(sp))
		begin_early(sp, ac, av);
	if ((wanted || asked) && ++tasks_forked == task_count) {
		hook_close_queue(&hook);
		share_end();
	}
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
	request.options = options_collect();
	if (request.options && start(&request, SOCKER_STEP_END, 1) == 0)
		hook_wait(&hook, config.timeout, tell_step, &none);
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
	if (!(wanted || asked))
		return 0;
	worst_status = step_worse_status(sp, worst_status);
	if (++tasks_ended != task_count)
		return 0;
	hook_end(&hook);
	if (wanted)
		run_step_end(sp);
	return 0;
}

int slurm_spank_exit(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (hook.process >= 0)
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
	job_forget_native(&request);
	early_forget(&request);
	if (!job_used_us(&request) || hook_config_parse(&config, ac, av))
		return 0;
	request.plugin_args = config.args;
	if (job_end(&request) == 0)
		return 0;
	if (start(&request, SOCKER_JOB_EPILOG, 1) ||
	    hook_wait(&hook, config.timeout, tell_log, &none))
		slurm_error("socker: epilog of job %u failed: containers of it "
			    "may be left", request.job_id);
	hook_end(&hook);
	plan_free(&none);
	return 0;
}
