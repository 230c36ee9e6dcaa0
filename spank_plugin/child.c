/*
 * child.c - a hook's process, from its fork to its end.
 *
 * It becomes root with a clean signal mask, umask and descriptor table.  Where an
 * earlier step of the job has left the plan for this one (replay.c) it sends that;
 * else it starts a worker, which loads socker_python.so and calls the hook.  The
 * interpreter, its memory and its faults never stay in slurmstepd (DESIGN D4).
 *
 * The child itself stays until slurmstepd ends it: when a child that is no task
 * ends before the tasks, Slurm waits for 100 ms (_wait_for_all_tasks() in
 * slurmstepd's mgr.c), which is longer than most steps.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

/* In user_init only the effective ids are the user's: the real uid is root's. */
static int become_root(void)
{
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0) || setgroups(0, NULL))
		return -1;
	umask(022);	/* slurmstepd has the user's */
	return chdir("/");
}

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int by_number(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

/* Keep the channels, stderr and an early start's lock; nothing of srun's connections. */
static int arrange_descriptors(const int *channels, size_t count, int errors)
{
	int null = open("/dev/null", O_RDWR), *kept = calloc(count + 1, sizeof(*kept));
	unsigned next = STDERR_FILENO + 1;
	size_t total = count + (early_held() >= 0);

	if (!kept || null < 0 || dup2(errors, STDERR_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -1;
	memcpy(kept, channels, count * sizeof(*kept));
	kept[count] = early_held();
	qsort(kept, total, sizeof(*kept), by_number);
	for (size_t i = 0; i < total; i++) {
		unsigned one = (unsigned)kept[i];

		if (one > next && close_range(next, one - 1, 0))
			return -1;
		next = one + 1;
	}
	free(kept);
	return close_range(next, ~0U, 0);
}

/*
 * The child is charged to the step's memory and inherits slurmstepd's immunity
 * to the OOM killer; a process that can be killed beats a hang.
 */
static void allow_oom_kill(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "0", 1) != 1)
			fprintf(stderr, "oom_score_adj: %m\n");
		close(fd);
	}
}

static int call_hook(const struct hook_config *config, struct step_request *request)
{
	int (*hook_main)(const char *, struct step_request *);
	/* Global: Python's extension modules look for libpython's symbols. */
	void *library = dlopen(config->library, RTLD_NOW | RTLD_GLOBAL);

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	*(void **)&hook_main = dlsym(library, "socker_hook_main");
	if (!hook_main) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return hook_main(config->python, request);
}

/* --- who does the work, and who stays ---------------------------------------- */

static pid_t start_worker(const struct hook_config *config, struct step_request *request)
{
	pid_t parent = getpid(), worker = fork();

	if (worker)
		return worker;
	reset_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	_exit(call_hook(config, request));
}

/* The worker cleans up on SIGTERM; without one there is nothing to clean. */
static _Noreturn void stay(pid_t worker, bool ending, const sigset_t *awaited)
{
	for (;;) {
		int number = sigwaitinfo(awaited, NULL);

		if (number == SIGTERM) {
			ending = true;
			if (worker > 0)
				kill(worker, SIGTERM);
		}
		while (worker > 0 && waitpid(worker, NULL, WNOHANG) == worker)
			worker = 0;
		if (ending && worker <= 0)
			_exit(0);
	}
}

/* Nothing is kept open: the tasks notice the end of the one who works for them. */
static void let_go(void)
{
	dup2(STDIN_FILENO, STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
}

_Noreturn void hook_child(const struct hook_config *config, struct step_request *request,
			  pid_t parent, int *channels, size_t count, int errors)
{
	pid_t worker = 0;
	sigset_t awaited;

	if (become_root())
		_exit(1);
	reset_signals();
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGCHLD);
	sigprocmask(SIG_BLOCK, &awaited, NULL);
	/* After the change of ids, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(1);
	if (arrange_descriptors(channels, count, errors))
		_exit(1);
	allow_oom_kill();
	if (request->hook == SOCKER_JOB_START)
		leave_job();
	request->channels = channels;
	request->channel_count = (int32_t)count;
	asked_describe(request);
	if (request->hook == SOCKER_STEP_START)
		early_wait(request);
	if (request->hook != SOCKER_STEP_START || replay(request))
		worker = start_worker(config, request);
	if (worker < 0)
		fprintf(stderr, "no process for the hook: %m\n");
	let_go();
	/* The extern step waits for the end of its own process only. */
	stay(worker, request->hook == SOCKER_JOB_START, &awaited);
}
