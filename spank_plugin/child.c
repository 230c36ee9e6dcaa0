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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

enum { ROOM_OF_A_CHANNEL = 4096 };	/* bytes that the kernel takes for it, and some more */

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

/* Keep the queue, stderr and an early start's lock; nothing of srun's connections. */
static int arrange_descriptors(int queue, int errors)
{
	int null = open("/dev/null", O_RDWR), held = early_held();
	unsigned low, high;

	if (null < 0 || dup2(errors, STDERR_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -1;
	low = (unsigned)(held >= 0 && held < queue ? held : queue);
	high = (unsigned)(held > queue ? held : queue);
	if ((low > STDERR_FILENO + 1 && close_range(STDERR_FILENO + 1, low - 1, 0)) ||
	    (high > low + 1 && close_range(low + 1, high - 1, 0)))
		return -1;
	return close_range(high + 1, ~0U, 0);
}

/*
 * One channel for each task, which takes it later: the queue gets room for all, since
 * what has none waits for a task to come.
 */
static int *make_channels(int queue, size_t count)
{
	int *channels = calloc(count + 1, sizeof(*channels)), pair[2];
	int room = (int)count * ROOM_OF_A_CHANNEL;

	if (!channels)
		return NULL;
	setsockopt(queue, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	for (size_t i = 0; i < count; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
			return NULL;
		if (packet_send(queue, "", 1, pair[1]) != 1)
			return NULL;
		close(pair[1]);
		channels[i] = pair[0];
	}
	close(queue);
	return channels;
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
			  pid_t parent, int queue, size_t count, int errors)
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
	if (arrange_descriptors(queue, errors))
		_exit(1);
	request->channels = make_channels(queue, count);
	if (!request->channels) {
		fprintf(stderr, "no channels for the tasks: %m\n");
		_exit(1);
	}
	request->channel_count = (int32_t)count;
	allow_oom_kill();
	if (request->hook == SOCKER_JOB_START)
		leave_job();
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
