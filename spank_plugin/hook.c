/*
 * hook.c - runs one Python hook in a child process, with a deadline.
 *
 * The child becomes root with a clean signal mask, umask and descriptor table,
 * loads socker_python.so and calls the hook.  The parent (slurmstepd, whose
 * effective uid is the user's here) reads records until the child ends.  The
 * interpreter, its memory and its faults never stay in slurmstepd (DESIGN D4).
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

enum {
	DEFAULT_TIMEOUT = 60,
	LONGEST_TIMEOUT = 24 * 3600,
	RECORD_MAX = 160 * 1024,	/* above the kernel's limit of one variable */
	CHANNEL_FD = 3,
};

#ifndef SOCKER_LIBRARY
#define SOCKER_LIBRARY "/usr/lib/socker/socker_python.so"
#endif

/* --- the plugstack line's arguments that C itself needs ------------------- */

static const char *argument(char **args, const char *name)
{
	size_t length = strlen(name);
	const char *found = NULL;

	for (; *args; args++)
		if (!strncmp(*args, name, length) && (*args)[length] == '=')
			found = *args + length + 1;
	return found;
}

void hook_config_free(struct hook_config *config)
{
	free(config->library);
	free(config->python);
	free(config->args);
	*config = (struct hook_config) { 0 };
}

int hook_config_parse(struct hook_config *config, int ac, char **av)
{
	const char *library, *python, *timeout;

	hook_config_free(config);
	config->args = calloc((size_t)ac + 1, sizeof(char *));
	if (!config->args)
		return -1;
	memcpy(config->args, av, (size_t)ac * sizeof(char *));
	library = argument(config->args, "library");
	python = argument(config->args, "python");
	timeout = argument(config->args, "timeout");
	if (!python) {
		say("plugstack.conf: the argument python=PATH is missing: run "
		    "`socker install` again");
		return -1;
	}
	config->library = strdup(library ? library : SOCKER_LIBRARY);
	config->python = strdup(python);
	config->timeout = timeout ? atoi(timeout) : DEFAULT_TIMEOUT;
	if (config->timeout < 1 || config->timeout > LONGEST_TIMEOUT)
		config->timeout = DEFAULT_TIMEOUT;
	return config->library && config->python ? 0 : -1;
}

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

/* Keep the channel and stderr; nothing of srun's connections. */
static int arrange_descriptors(int channel, int errors)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(errors, STDERR_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (channel != CHANNEL_FD && dup2(channel, CHANNEL_FD) < 0))
		return -1;
	fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	return close_range(CHANNEL_FD + 1, ~0U, 0);
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
	int (*hook_main)(const char *, const struct step_request *, int);
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
	return hook_main(config->python, request, CHANNEL_FD);
}

static _Noreturn void run_child(const struct hook_config *config,
				struct step_request *request, pid_t parent,
				int channel, int errors)
{
	if (become_root())
		_exit(1);
	reset_signals();
	/* After the change of ids, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	if (arrange_descriptors(channel, errors))
		_exit(1);
	allow_oom_kill();
	_exit(call_hook(config, request));
}

/* --- the parent ----------------------------------------------------------- */

struct reader {
	struct plan *plan;
	unsigned long records;
	long long deadline;	/* milliseconds, monotonic */
	char *buffer;
};

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void extend_deadline(struct reader *reader, const char *seconds)
{
	long long wanted = atoll(seconds);

	if (wanted > LONGEST_TIMEOUT)
		wanted = LONGEST_TIMEOUT;
	reader->deadline = now_ms() + wanted * 1000;
}

static int take_record(struct reader *reader, const char *record, size_t size, int fd)
{
	const char *payload = record + 1;

	switch (record[0]) {
	case 'T':
		say("%s", payload);
		break;
	case 'L':
		slurm_info("socker: %s", payload);
		break;
	case 'D':
		extend_deadline(reader, payload);
		break;
	case 'K':
		if (strtoul(payload, NULL, 10) != reader->records)
			return -1;
		reader->plan->complete = true;
		break;
	default:
		if (plan_add(reader->plan, record, size, fd))
			return -1;
	}
	reader->records++;
	return 0;
}

/* One packet, with the descriptor that may come along.  0 at the end. */
static ssize_t receive(int channel, char *buffer, size_t size, int *fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = buffer, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	*fd = -1;
	if (header && header->cmsg_level == SOL_SOCKET &&
	    header->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	if (got > 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		errno = EMSGSIZE;
		return -1;
	}
	return got;
}

/* 1: more may come, 0: the child closed its end, -1: a record is wrong. */
static int read_record(struct reader *reader, int channel)
{
	int fd;
	ssize_t got = receive(channel, reader->buffer, RECORD_MAX, &fd);

	if (got <= 0)
		return got < 0 && errno == EINTR ? 1 : (int)got;
	reader->buffer[got] = '\0';
	if (take_record(reader, reader->buffer, (size_t)got, fd)) {
		say("internal error: the set-up sent a record ('%c') that "
		    "cannot be read", reader->buffer[0]);
		return -1;
	}
	return 1;
}

/* What Python prints to stderr (tracebacks) goes to the node's log. */
static void log_errors(int errors)
{
	char text[4096];
	ssize_t got = read(errors, text, sizeof(text) - 1);
	char *line, *rest = text;

	if (got <= 0)
		return;
	text[got] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line)
			slurm_info("socker: hook: %s", line);
}

/* 0 when the child closed the channel, -1 after a fault or the deadline. */
static int read_until_end(struct reader *reader, int channel, int errors)
{
	for (;;) {
		long long left = reader->deadline - now_ms();
		struct pollfd fds[2] = {
			{ .fd = channel, .events = POLLIN },
			{ .fd = errors, .events = POLLIN },
		};
		int ready, rc;

		if (left <= 0) {
			say("the set-up of the container did not finish in time "
			    "and was stopped: try again, and tell the admin if "
			    "it stays so");
			return -1;
		}
		ready = poll(fds, 2, left > 1000 ? 1000 : (int)left);
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready <= 0)
			continue;
		if (fds[1].revents & POLLIN)
			log_errors(errors);
		if (!fds[0].revents)
			continue;
		rc = read_record(reader, channel);
		if (rc <= 0)
			return rc;
	}
}

/* Says why a hook failed, if it has not said so itself. */
static void report(const struct plan *plan, int status)
{
	if (plan->failure)
		say("%s", plan->failure);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		say("the set-up of the container was killed: when the job's "
		    "--mem is below 100 MB, ask for more");
	else
		say("internal error in the set-up of the container (status "
		    "%#x): the log of slurmd on this node has the details",
		    status);
}

static int supervise(struct plan *plan, int timeout, pid_t child, int channel, int errors)
{
	struct reader reader = {
		.plan = plan,
		.deadline = now_ms() + timeout * 1000LL,
		.buffer = malloc(RECORD_MAX + 1),
	};
	int status = 0;
	bool in_time = reader.buffer &&
		       read_until_end(&reader, channel, errors) == 0;
	bool ok;

	if (!in_time)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	log_errors(errors);
	free(reader.buffer);
	ok = in_time && plan->complete && WIFEXITED(status) &&
	     WEXITSTATUS(status) == SOCKER_HOOK_OK;
	plan->complete = ok;
	if (!ok && (in_time || plan->failure))
		report(plan, status);
	return ok ? 0 : -1;
}

int hook_run(const struct hook_config *config, struct step_request *request,
	     struct plan *plan)
{
	int channel[2], errors[2];
	pid_t parent = getpid(), child;
	int rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel)) {
		say("socketpair: %m");
		return -1;
	}
	if (pipe2(errors, O_CLOEXEC) || fcntl(errors[0], F_SETFL, O_NONBLOCK)) {
		say("pipe: %m");
		close(channel[0]);
		close(channel[1]);
		return -1;
	}
	child = fork();
	if (child == 0)
		run_child(config, request, parent, channel[1], errors[1]);
	close(channel[1]);
	close(errors[1]);
	if (child < 0) {
		say("fork: %m");
		rc = -1;
	} else {
		rc = supervise(plan, config->timeout, child, channel[0], errors[0]);
	}
	close(channel[0]);
	close(errors[0]);
	return rc;
}
