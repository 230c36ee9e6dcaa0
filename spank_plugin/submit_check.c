/*
 * submit_check.c - asks the parser (pycontrol/submit.py) about the options before
 * anything is queued.
 *
 * Runs in srun, sbatch and salloc as the user, in a process of its own: these
 * never load Python (DESIGN D9).  Where it cannot run, the node's own check of
 * the same options holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"
#include "options.h"

enum {
	PATIENCE = 10000,	/* milliseconds; 30 are usual */
	REFUSED = 2,		/* the check's exit status for the user's mistakes */
	ANSWER_MAX = 256 * 1024,
};

extern char **environ;

/* Only what this command line or its environment says: the job's was checked. */
static bool anything_new(void)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (option_given(i) && !submit_from_job(i))
			return true;
	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, "PYXIS_CONTAINER_", strlen("PYXIS_CONTAINER_")))
			return true;
	return false;
}

/*
 * Not by -m: to find a module by its name takes runpy longer than this.  Nor is
 * anything tidied up at its end, which would take 20 ms, a quarter of the whole.
 */
#define CHECK "from pycontrol import submit; submit.run()"
/* Without `site`, as in python_entry.c, unless the package is in none of a venv's places. */
#define CHECK_HERE "import gc, sys\ngc.disable()\n" \
	"sys.path.append('%s/lib/python%d.%d/site-packages' % " \
	"(sys.executable.rpartition('/bin/')[0], *sys.version_info[:2]))\n" \
	"try:\n import pycontrol\n" \
	"except ImportError:\n import site; site.main()\n" CHECK
/* For an srun inside a container: the interpreter's packages are elsewhere there. */
#define CHECK_INSIDE "import sys; sys.path.insert(0, '" INSIDE_PACKAGES "'); " CHECK

/* Arguments: those of the plugstack line, which hold settings. */
static char **command(const char *python, int ac, char **av)
{
	const char *const on_node[] = { python, "-IS", "-c", CHECK_HERE };
	const char *const in_image[] = { INSIDE_PYTHON, "-IS", "-c", CHECK_INSIDE };
	char **words = inside_words();
	size_t front = words ? INSIDE_WORDS : 0;
	char **argv = calloc(front + 4 + (size_t)ac + 1, sizeof(*argv));

	if (!argv)
		return NULL;
	if (words)
		memcpy(argv, words, front * sizeof(*argv));
	memcpy(argv + front, words ? in_image : on_node, sizeof(on_node));
	memcpy(argv + front + 4, av, (size_t)ac * sizeof(*av));
	return argv;
}

static pid_t start_check(char **argv, int channel)
{
	posix_spawn_file_actions_t actions;
	pid_t child = -1;

	if (posix_spawn_file_actions_init(&actions))
		return -1;
	if (posix_spawn_file_actions_adddup2(&actions, channel, STDIN_FILENO) ||
	    posix_spawn_file_actions_adddup2(&actions, channel, STDOUT_FILENO) ||
	    posix_spawn(&child, argv[0], &actions, NULL, argv, environ))
		child = -1;
	posix_spawn_file_actions_destroy(&actions);
	return child;
}

static int send_all(int channel, const char *text)
{
	size_t left = strlen(text) + 1;

	while (left) {
		ssize_t sent = send(channel, text, left, MSG_NOSIGNAL);

		if (sent <= 0)
			return -1;
		text += sent;
		left -= (size_t)sent;
	}
	return 0;
}

static int send_options(int channel)
{
	char **options = options_collect();
	int rc = options ? 0 : -1;

	for (size_t i = 0; options && options[i]; i++) {
		rc = rc ? rc : send_all(channel, options[i]);
		free(options[i]);
	}
	free(options);
	shutdown(channel, SHUT_WR);
	return rc;
}

/* The answer's size, up to its end; -1 when it does not come. */
static ssize_t receive_answer(int channel, char *answer, size_t size)
{
	size_t got = 0;

	while (got < size) {
		struct pollfd ready = { .fd = channel, .events = POLLIN };
		ssize_t part;

		if (poll(&ready, 1, PATIENCE) <= 0)
			return -1;
		part = recv(channel, answer + got, size - got, 0);
		if (part < 0)
			return -1;
		if (part == 0)
			return (ssize_t)got;
		got += (size_t)part;
	}
	return -1;
}

/* "name=value" of pyxis's variables, where the site lets them count; the digest last. */
static void take_answer(char *answer, size_t size)
{
	for (char *entry = answer; entry < answer + size; entry += strlen(entry) + 1) {
		char *equals = strchr(entry, '=');

		if (!equals || digest_take(entry))
			continue;
		*equals = '\0';
		for (int i = 0; i < OPTION_COUNT; i++)
			if (!strcmp(entry, OPTIONS[i].name) && !option_given(i))
				option_set(i, equals + 1, GIVEN);
		entry = equals + 1;
	}
}

/* Only a clear "refused" is a refusal: the node checks again. */
static int end_check(pid_t child, bool answered)
{
	int status = 0;

	if (!answered)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == REFUSED ? -1 : 0;
}

/* Asks the parser.  -1: it refuses.  *size: of its answer, -1 without one. */
static int ask(char **argv, char *answer, size_t most, ssize_t *size)
{
	int pair[2];
	pid_t child;

	*size = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return 0;
	child = start_check(argv, pair[1]);
	close(pair[1]);
	if (child >= 0 && send_options(pair[0]) == 0)
		*size = receive_answer(pair[0], answer, most);
	close(pair[0]);
	return child < 0 ? 0 : end_check(child, *size >= 0);
}

int submit_check(int ac, char **av)
{
	const char *python = hook_config_argument(ac, av, "python");
	static char answer[ANSWER_MAX];
	char **argv = python ? command(python, ac, av) : NULL;
	ssize_t size;
	int rc = 0;

	digest_take_jobs();	/* what is known need not be asked for */
	if (!argv || !anything_new())
		return 0;
	trace_begin(environ);
	size = checked_recall(ac, av, answer, sizeof(answer) - 1);
	if (size < 0) {
		rc = ask(argv, answer, sizeof(answer) - 1, &size);
		if (rc == 0 && size >= 0)
			checked_keep(answer, (size_t)size);
	}
	free(argv);
	trace("srun: options checked");
	if (rc == 0 && size > 0) {
		answer[size] = '\0';
		take_answer(answer, (size_t)size);
	}
	return rc;
}
