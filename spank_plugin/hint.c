/*
 * hint.c - tells the user, before the command starts, what it will miss.
 *
 * Ranks of MPI that cannot find each other are each a program of its own, and no
 * error says so.  The hook knows what the step lacks (pycontrol/mpi.py), but not
 * whether it matters to the command: that is looked up here, inside the container,
 * as the user and without a capability, by the task itself.
 *
 * No parser: a program names its libraries among its dynamic strings, near its
 * beginning, and a script its modules.  What is not found there gets no hint.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "task.h"

enum { LOOK = 256 * 1024 };	/* bytes of the file */

/* Never waits, whatever the file is. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat status;

	if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

static const char *variable(char **env, const char *name)
{
	size_t length = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, length) && (*env)[length] == '=')
			return *env + length + 1;
	return "";
}

/* The file that execve will find, by the PATH that it will have. */
static int open_command(const char *command, char **env)
{
	const char *path = variable(env, "PATH"), *end;
	char full[PATH_MAX];
	int fd = -1;

	if (strchr(command, '/'))
		return open_regular(command);
	for (; *path && fd < 0; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		if (snprintf(full, sizeof(full), "%.*s/%s", (int)(end - path), path,
			     command) < (int)sizeof(full) && access(full, X_OK) == 0)
			fd = open_regular(full);
	}
	return fd;
}

static const char *search(const struct plan *plan, const char *data, size_t size)
{
	for (size_t i = 0; i < plan->hint_count; i++)
		if (memmem(data, size, plan->hints[i].needle, strlen(plan->hints[i].needle)))
			return plan->hints[i].text;
	return NULL;
}

static const char *look_into(const struct plan *plan, int fd)
{
	char *data = fd >= 0 ? malloc(LOOK) : NULL;
	ssize_t size = data ? read(fd, data, LOOK) : -1;
	const char *text = size > 0 ? search(plan, data, (size_t)size) : NULL;

	free(data);
	if (fd >= 0)
		close(fd);
	return text;
}

static bool is_python(const char *command)
{
	const char *slash = strrchr(command, '/');

	return !strncmp(slash ? slash + 1 : command, "python", strlen("python"));
}

void hint_give(spank_t sp, const struct plan *plan, const char *command)
{
	char **env = step_environment(sp), **argv = step_command(sp);
	const char *text;

	if (!plan->hint_count || !env || !argv)
		return;
	text = look_into(plan, open_command(command, env));
	if (!text && argv[1] && is_python(command))
		text = look_into(plan, open_regular(argv[1]));
	if (text)
		dprintf(STDERR_FILENO, "socker: %s\n", text);
}
