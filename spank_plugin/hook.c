/*
 * hook.c - runs one Python hook in a child process, with a deadline.
 *
 * The child becomes root with a clean signal mask, umask and descriptor table,
 * loads socker_python.so and calls the hook.  The interpreter, its memory and
 * its faults never stay in slurmstepd (DESIGN D4).
 *
 * slurmstepd does not wait for the hook: each task does, by its own channel,
 * just before it joins.  So a step whose image is being pulled runs for Slurm,
 * and scancel, signals and time limits end it as they end any step
 * (docs/developer/decisions/0006-tasks-wait.md).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

enum {
	END_PATIENCE = 5000,		/* milliseconds for a hook to undo */
};

/* --- the child ------------------------------------------------------------ */

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

/* Keep the channels and stderr; nothing of srun's connections. */
static int arrange_descriptors(int *channels, size_t count, int errors)
{
	int null = open("/dev/null", O_RDWR);
	unsigned next = STDERR_FILENO + 1;

	if (null < 0 || dup2(errors, STDERR_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -1;
	qsort(channels, count, sizeof(*channels), by_number);
	for (size_t i = 0; i < count; i++) {
		unsigned channel = (unsigned)channels[i];

		if (channel > next && close_range(next, channel - 1, 0))
			return -1;
		next = channel + 1;
	}
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

static _Noreturn void run_child(const struct hook_config *config,
				struct step_request *request, pid_t parent,
				int *channels, size_t count, int errors)
{
	if (become_root())
		_exit(1);
	reset_signals();
	/* After the change of ids, which clears it.  The hook cleans up on it. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(1);
	if (arrange_descriptors(channels, count, errors))
		_exit(1);
	allow_oom_kill();
	request->channels = channels;
	request->channel_count = (int32_t)count;
	_exit(call_hook(config, request));
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(fds);
}

/* Our ends and the hook's; both arrays are new, -1 where a pair is missing. */
static int make_channels(size_t count, int **ours, int **theirs)
{
	*ours = malloc(count * sizeof(**ours));
	*theirs = malloc(count * sizeof(**theirs));
	for (size_t i = 0; *ours && i < count; i++)
		(*ours)[i] = -1;
	for (size_t i = 0; *theirs && i < count; i++)
		(*theirs)[i] = -1;
	if (!*ours || !*theirs)
		return -1;
	for (size_t i = 0; i < count; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
			return -1;
		(*ours)[i] = pair[0];
		(*theirs)[i] = pair[1];
	}
	return 0;
}

static int start_child(const struct hook_config *config, struct step_request *request,
		       int *channels, size_t count, int errors)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0)
		run_child(config, request, parent, channels, count, errors);
	if (child < 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, child, 0);
}

int hook_start(const struct hook_config *config, struct step_request *request,
	       size_t count, struct hook *hook)
{
	int *ours = NULL, *theirs = NULL, errors[2] = { -1, -1 };

	if (make_channels(count, &ours, &theirs) || pipe2(errors, O_CLOEXEC) ||
	    fcntl(errors[0], F_SETFL, O_NONBLOCK) ||
	    fcntl(errors[1], F_SETFL, O_NONBLOCK)) {
		say("the set-up of the container cannot be started: %m");
		close_all(ours, ours ? count : 0);
		close_all(theirs, theirs ? count : 0);
		return -1;
	}
	*hook = (struct hook) {
		.process = start_child(config, request, theirs, count, errors[1]),
		.errors = errors[0],
		.channels = ours,
		.channel_count = count,
	};
	close_all(theirs, count);
	close(errors[1]);
	if (hook->process < 0)
		say("the set-up of the container cannot be started: %m");
	return hook->process < 0 ? -1 : 0;
}

/* --- its end --------------------------------------------------------------- */

/*
 * What the hook printed to stderr (failures, tracebacks) goes to the node's log.
 * Only slurmstepd can do that, and only when the step ends: a task's own log is
 * buffered, and lost with it.
 */
static void log_errors(int errors)
{
	char text[65536];
	ssize_t got = read(errors, text, sizeof(text) - 1);
	char *line, *rest = text;

	if (got <= 0)
		return;
	text[got] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line)
			slurm_info("socker: hook: %s", line);
}

void hook_close_channel(struct hook *hook, size_t index)
{
	if (index < hook->channel_count && hook->channels[index] >= 0) {
		close(hook->channels[index]);
		hook->channels[index] = -1;
	}
}

void hook_keep_channel(struct hook *hook, size_t index)
{
	for (size_t i = 0; i < hook->channel_count; i++)
		if (i != index)
			hook_close_channel(hook, i);
}

static bool ended_within(int process, int milliseconds)
{
	struct pollfd ready = { .fd = process, .events = POLLIN };

	return poll(&ready, 1, milliseconds) > 0;
}

/*
 * In slurmstepd when the step ends, and behind an epilog's hook.  One that
 * still runs has nobody left to work for: it gets a moment to undo.  Never by
 * its pid: slurmstepd reaps any child, and the number may be another's by now.
 */
void hook_end(struct hook *hook)
{
	if (hook->process >= 0) {
		syscall(SYS_pidfd_send_signal, hook->process, SIGTERM, NULL, 0);
		if (!ended_within(hook->process, END_PATIENCE))
			syscall(SYS_pidfd_send_signal, hook->process, SIGKILL, NULL, 0);
		/* One that the kernel cannot end must not keep slurmstepd, too. */
		if (ended_within(hook->process, END_PATIENCE))
			waitid(P_PIDFD, (id_t)hook->process, &(siginfo_t) { 0 }, WEXITED);
		else
			slurm_error("socker: a hook does not end");
		close(hook->process);
	}
	if (hook->errors >= 0) {
		log_errors(hook->errors);
		close(hook->errors);
	}
	close_all(hook->channels, hook->channel_count);
	*hook = (struct hook) HOOK_NONE;
}
