/*
 * step.c - what SPANK knows of the step or job; the only spank_get_item calls.
 */
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"
#include "task.h"

/* uid_t and gid_t are handed to Python as they are. */
_Static_assert(sizeof(uid_t) == sizeof(uint32_t), "uid_t is 32 bits");
_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "gid_t is 32 bits");

/*
 * slurmd puts its node's name into the environment of slurmstepd itself: it
 * is trusted, unlike the job's environment.  Several slurmd may share a host.
 */
static const char *node_name(void)
{
	static char host[HOST_NAME_MAX + 1];
	const char *name = getenv("SLURMD_NODENAME");

	if (name && *name)
		return name;
	if (gethostname(host, sizeof(host) - 1))
		return NULL;
	return host;
}

/*
 * Set by Slurm's mpi/pmix in slurmstepd itself, before user_init: the variable of
 * that name in the job's environment may be of another step, or a lie.
 */
static const char *pmix_server(void)
{
	const char *directory = getenv("PMIX_SERVER_TMPDIR");

	return directory ? directory : "";
}

int step_fill_job(spank_t sp, struct step_request *request)
{
	*request = (struct step_request) { .abi = SOCKER_ABI };
	request->node = node_name();
	request->adopt = extern_adopts();
	if (!request->node ||
	    spank_get_item(sp, S_JOB_ID, &request->job_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_UID, &request->uid) != ESPANK_SUCCESS)
		return -1;
	return 0;
}

int step_fill_step(spank_t sp, struct step_request *request)
{
	static char cwd[PATH_MAX];
	gid_t *groups = NULL;
	int group_count = 0, argc = 0;

	if (step_fill_job(sp, request))
		return -1;
	if (spank_get_item(sp, S_JOB_STEPID, &request->step_id) ||
	    spank_get_item(sp, S_JOB_NODEID, &request->node_index) ||
	    spank_get_item(sp, S_JOB_GID, &request->gid) ||
	    spank_get_item(sp, S_JOB_SUPPLEMENTARY_GIDS, &groups, &group_count) ||
	    spank_get_item(sp, S_JOB_ENV, &request->env) ||
	    spank_get_item(sp, S_JOB_ARGV, &argc, &request->argv))
		return -1;
	request->groups = groups;
	request->group_count = group_count;
	/* Slurm has entered the step's directory as the user (or /tmp). */
	request->cwd = getcwd(cwd, sizeof(cwd)) ? cwd : "/";
	request->tmp_fs = &slurm_conf && slurm_conf.tmp_fs ? slurm_conf.tmp_fs : "";
	request->pmix_server = pmix_server();
	return 0;
}

int step_local_task_count(spank_t sp, size_t *count)
{
	uint32_t tasks;

	if (spank_get_item(sp, S_JOB_LOCAL_TASK_COUNT, &tasks) != ESPANK_SUCCESS || !tasks)
		return -1;
	*count = tasks;
	return 0;
}

/* The step that PrologFlags=Contain makes; it lasts as long as the job. */
bool step_is_extern(spank_t sp)
{
	uint32_t step;

	return spank_get_item(sp, S_JOB_STEPID, &step) == ESPANK_SUCCESS &&
	       step == SLURM_EXTERN_CONT;
}

/* Which of the node's tasks this process is, from 0. */
int step_task_index(spank_t sp, size_t *index)
{
	int task;

	if (spank_get_item(sp, S_TASK_ID, &task) != ESPANK_SUCCESS || task < 0)
		return -1;
	*index = (size_t)task;
	return 0;
}

int step_worse_status(spank_t sp, int other)
{
	int status, shown;

	if (spank_get_item(sp, S_TASK_EXIT_STATUS, &status) != ESPANK_SUCCESS)
		return other;
	shown = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return shown > other ? shown : other;
}

/*
 * Of the task's environment, as Slurm's pmi2 plugin has set it: a socket.  Without
 * that plugin the user may have, and no file that leaked comes of it.
 */
static unsigned pmi_descriptor(spank_t sp)
{
	char **env = step_environment(sp);
	struct stat status;

	while (env && *env && strncmp(*env, "PMI_FD=", strlen("PMI_FD=")))
		env++;
	if (env && *env) {
		int fd = atoi(*env + strlen("PMI_FD="));

		if (fd > STDERR_FILENO && !fstat(fd, &status) && S_ISSOCK(status.st_mode))
			return (unsigned)fd;
	}
	return 0;
}

/*
 * Whatever slurmstepd or another plugin left open, root's files among it.  PMI's
 * descriptor stays as it is: a wrong number in the environment opens nothing.
 */
int step_close_descriptors_on_exec(spank_t sp)
{
	unsigned first = STDERR_FILENO + 1, pmi = pmi_descriptor(sp);

	if (pmi >= first) {
		if (pmi > first && close_range(first, pmi - 1, CLOSE_RANGE_CLOEXEC))
			return fail("descriptors cannot be closed: %m");
		first = pmi + 1;
	}
	return close_range(first, ~0U, CLOSE_RANGE_CLOEXEC)
		       ? fail("descriptors cannot be closed: %m") : 0;
}

/* Slurm's own array: an exchanged word is what Slurm sends or executes. */
char **step_command(spank_t sp)
{
	char **argv;
	int argc = 0;

	if (spank_get_item(sp, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1)
		return NULL;
	return argv;
}

char **step_environment(spank_t sp)
{
	char **env;

	return spank_get_item(sp, S_JOB_ENV, &env) == ESPANK_SUCCESS ? env : NULL;
}

/* "NAME=OTHER": the value of the task's variable OTHER, if it has that one. */
int step_copy_variables(spank_t sp, const struct words *copies)
{
	for (size_t i = 0; i < copies->count; i++) {
		char value[256], *equals = strchr(copies->list[i], '=');
		spank_err_t rc = ESPANK_SUCCESS;

		*equals = '\0';
		if (spank_getenv(sp, equals + 1, value, sizeof(value)) == ESPANK_SUCCESS)
			rc = spank_setenv(sp, copies->list[i], value, 1);
		*equals = '=';
		if (rc != ESPANK_SUCCESS) {
			say("environment: %s: %s", copies->list[i], spank_strerror(rc));
			return -1;
		}
	}
	return 0;
}

/* "NAME=VALUE" sets, "NAME" removes. */
int step_apply_environment(spank_t sp, const struct words *changes)
{
	for (size_t i = 0; i < changes->count; i++) {
		char *name = changes->list[i];
		char *equals = strchr(name, '=');
		spank_err_t rc;

		if (equals) {
			*equals = '\0';
			rc = spank_setenv(sp, name, equals + 1, 1);
			*equals = '=';
		} else {
			rc = spank_unsetenv(sp, name);
			if (rc == ESPANK_ENV_NOEXIST)
				rc = ESPANK_SUCCESS;
		}
		if (rc != ESPANK_SUCCESS) {
			say("environment: %s cannot be set: %s", name,
			    spank_strerror(rc));
			return -1;
		}
	}
	return 0;
}
