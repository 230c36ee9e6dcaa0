/*
 * hook.c - starts a hook in a child process (child.c), and ends it.
 *
 * slurmstepd does not wait for the hook: each task does, by its own channel,
 * just before it joins.  So a step whose image is being pulled runs for Slurm,
 * and scancel, signals and time limits end it as they end any step
 * (docs/developer/decisions/0006-tasks-wait.md).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

enum {
	END_PATIENCE = 5000,		/* milliseconds for a hook to undo */
};

static int start_child(const struct hook_config *config, struct step_request *request,
		       int queue, size_t count, int errors)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0)
		hook_child(config, request, parent, queue, count, errors);
	if (child < 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, child, 0);
}

/*
 * slurmstepd gets few descriptors, whatever the number of tasks: where its table of
 * them has to grow, it waits for some milliseconds (synchronize_rcu() in
 * expand_fdtable() of the kernel's fs/file.c).
 */
int hook_start(const struct hook_config *config, struct step_request *request,
	       size_t count, struct hook *hook)
{
	int queue[2] = { -1, -1 }, errors[2] = { -1, -1 };

	*hook = (struct hook) HOOK_NONE;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, queue) == 0 &&
	    pipe2(errors, O_CLOEXEC | O_NONBLOCK) == 0)
		hook->process = start_child(config, request, queue[1], count, errors[1]);
	if (hook->process < 0)
		say("the set-up of the container cannot be started: %m");
	hook->queue = queue[0];
	hook->errors = errors[0];
	descriptor_close(&queue[1]);
	descriptor_close(&errors[1]);
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
		descriptor_close(&hook->process);
	}
	if (hook->errors >= 0)
		log_errors(hook->errors);
	descriptor_close(&hook->errors);
	descriptor_close(&hook->queue);
	descriptor_close(&hook->channel);
}
