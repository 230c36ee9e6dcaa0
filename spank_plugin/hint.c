/*
 * hint.c - tells the user, before the command starts, what it will miss.
 *
 * Ranks of MPI that cannot find each other are each a program of its own, and no
 * error says so.  The hook knows what to tell (pycontrol/mpi.py), but not whether it
 * matters to the step and its command: that is looked up here, inside the container,
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

/* Slurm sets SLURM_MPI_TYPE unless it is `none` (mpi_process_env() of Slurm). */
static bool is_mpi(const char *type, const struct hint_entry *hint)
{
	return !strncmp(*type ? type : "none", hint->mpi, strlen(hint->mpi));
}

static const char *search(const struct plan *plan, const char *type, const char *data,
			  size_t size)
{
	for (size_t i = 0; i < plan->hint_count; i++)
		if (is_mpi(type, &plan->hints[i]) &&
		    memmem(data, size, plan->hints[i].needle, strlen(plan->hints[i].needle)))
			return plan->hints[i].text;
	return NULL;
}

static const char *look_into(const struct plan *plan, const char *type, int fd)
{
	char *data = fd >= 0 ? malloc(LOOK) : NULL;
	ssize_t size = data ? read(fd, data, LOOK) : -1;
	const char *text = size > 0 ? search(plan, type, data, (size_t)size) : NULL;

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

/* A single task needs nobody; and mpirun has its own ways to its ranks. */
static bool needs_mpi(char **env)
{
	return atoi(variable(env, "SLURM_STEP_NUM_TASKS")) > 1 &&
	       !*variable(env, "OMPI_COMM_WORLD_RANK");
}

void hint_give(spank_t sp, const struct plan *plan, const char *command)
{
	char **env = step_environment(sp), **argv = step_command(sp);
	const char *type, *text;

	if (!plan->hint_count || !env || !argv || !needs_mpi(env))
		return;
	type = variable(env, "SLURM_MPI_TYPE");
	text = look_into(plan, type, open_command(command, env));
	if (!text && argv[1] && is_python(command))
		text = look_into(plan, type, open_regular(argv[1]));
	if (text)
		dprintf(STDERR_FILENO, "socker: %s\n", text);
}
