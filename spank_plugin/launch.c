/*
 * launch.c - stands between Slurm's execve and the user's command, where a task
 * needs more than the command: the image's ENTRYPOINT in front of it, or a fork
 * into the step's pid namespace.
 *
 * Runs as the user, inside the container, without a capability; static, since
 * the image has its own libraries or none.  The plugin (launch_arrange.c) mounts
 * it, makes Slurm execute it, and says the rest in variables:
 *
 *   SOCKER_LAUNCH=N             words in front of the command
 *   SOCKER_LAUNCH_0...          these words
 *   SOCKER_LAUNCH_COMMAND=...   the command's own first word
 *   SOCKER_LAUNCH_PID=1         run it in a child, and be its go-between
 *
 * Started under another name it is what covers the site's TaskProlog inside the
 * image: it has run on the node already, so nothing is to be done.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

extern char **environ;

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };	/* as docker run and shells say it */

static char *take(const char *name)
{
	char *value = getenv(name);

	value = value ? strdup(value) : NULL;
	unsetenv(name);
	return value;
}

static _Noreturn void give_up(const char *what)
{
	int status = errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;

	fprintf(stderr, "socker: %s: %s\n", what, strerror(errno));
	exit(status);
}

/* --- what to execute -------------------------------------------------------- */

/* The words of the ENTRYPOINT, then the command as the user gave it. */
static char **arguments(int argc, char **argv, int words, char *command)
{
	char **list = calloc((size_t)(words + argc) + 1, sizeof(*list));
	char name[64];

	for (int i = 0; list && i < words; i++) {
		snprintf(name, sizeof(name), LAUNCH_VARIABLE "_%d", i);
		list[i] = take(name);
		if (!list[i])
			return NULL;
	}
	if (!list)
		return NULL;
	list[words] = command;
	memcpy(list + words + 1, argv + 1, (size_t)argc * sizeof(*argv));
	return list;
}

/* As execvp, but a file that is no program is an error and not sh's to read. */
static void execute(char *const *argv)
{
	const char *path = getenv("PATH"), *end;
	char *full;
	int saved = ENOENT;

	if (strchr(argv[0], '/')) {
		execv(argv[0], argv);
		return;
	}
	for (; path && *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		if (asprintf(&full, "%.*s/%s", (int)(end - path), path, argv[0]) < 0)
			return;
		execv(full, argv);
		free(full);
		if (errno != ENOENT && errno != ENOTDIR)
			saved = errno;
	}
	errno = saved;
}

/* --- the go-between ----------------------------------------------------------- */

/* A signal from the terminal has reached the child already: one process group. */
static void pass_on(pid_t child, const siginfo_t *info)
{
	if (info->si_code != SI_KERNEL)
		kill(child, info->si_signo);
}

/* End as the child did; its core dump is enough. */
static _Noreturn void end_like(int status)
{
	sigset_t none;

	if (WIFSIGNALED(status)) {
		setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
		signal(WTERMSIG(status), SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		raise(WTERMSIG(status));
	}
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static _Noreturn void go_between(pid_t child, const sigset_t *all)
{
	siginfo_t info;
	int status;

	for (;;) {
		if (sigwaitinfo(all, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD) {
			pass_on(child, &info);
			continue;
		}
		if (waitpid(child, &status, WNOHANG) == child &&
		    (WIFEXITED(status) || WIFSIGNALED(status)))
			end_like(status);
	}
}

/* The child is in the pid namespace that the plugin has set for children. */
static void fork_into_namespace(void)
{
	sigset_t all, before;
	pid_t child;

	sigfillset(&all);
	/* The kernel's own, of a fault here. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGTTIN);
	sigdelset(&all, SIGTTOU);
	sigprocmask(SIG_BLOCK, &all, &before);
	child = fork();
	if (child < 0)
		give_up("the step's pid namespace cannot be entered");
	if (child > 0)
		go_between(child, &all);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		give_up("prctl");
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(int argc, char **argv)
{
	char *count = take(LAUNCH_VARIABLE), *command = take(LAUNCH_VARIABLE "_COMMAND");
	char *pid = take(LAUNCH_VARIABLE "_PID");
	int words = count ? atoi(count) : 0;
	char **list;

	if (argc < 1 || strcmp(argv[0], LAUNCH_PATH))
		return 0;
	if (!count || !command || words < 0 || words > LAUNCH_MOST_WORDS)
		return NOT_EXECUTABLE;
	list = arguments(argc, argv, words, command);
	if (!list)
		return NOT_EXECUTABLE;
	if (pid)
		fork_into_namespace();
	execute(list);
	give_up(list[0]);
}
