/*
 * job_files.c - the shim's part of what root keeps of a job on a node
 * (pycontrol/state.py has the whole).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

static int path_of(const struct step_request *request, const char *name, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/%s/%u/%s", STATE_DIRECTORY, request->node,
			      request->job_id, name);

	return length > 0 && (size_t)length < size ? 0 : -1;
}

static bool exists(const struct step_request *request, const char *name)
{
	char path[512];

	return path_of(request, name, path, sizeof(path)) == 0 && access(path, F_OK) == 0;
}

bool job_used_us(const struct step_request *request)
{
	return exists(request, "");
}

/* The hook of step_start left a file when something is to be done at the end. */
bool job_step_has_end(const struct step_request *request)
{
	char name[32];

	snprintf(name, sizeof(name), "step-%u", request->step_id);
	return exists(request, name);
}

/* Beside the states of jobs, not in one: the job may never ask for a container. */
static int native_path_of(const struct step_request *request, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/native/%s.%u", STATE_DIRECTORY, request->node,
			      request->job_id);

	return length > 0 && (size_t)length < size ? 0 : -1;
}

bool job_may_be_native(const struct step_request *request)
{
	char path[512];

	return native_path_of(request, path, sizeof(path)) == 0 && access(path, F_OK) == 0;
}

void job_forget_native(const struct step_request *request)
{
	char path[512];

	if (native_path_of(request, path, sizeof(path)) == 0)
		unlink(path);
}

/* For the audit, which the job's epilog writes: a line "step status milliseconds". */
void job_note_end(const struct step_request *request, int status)
{
	char path[512], line[64];
	struct timespec now;
	int fd, length;

	clock_gettime(CLOCK_REALTIME, &now);
	length = snprintf(line, sizeof(line), "%u %d %lld\n", request->step_id, status,
			  now.tv_sec * 1000LL + now.tv_nsec / 1000000);
	if (!job_used_us(request) || path_of(request, "ended", path, sizeof(path)))
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, line, (size_t)length) != length)
		slurm_error("socker: %s: %m", path);
	if (fd >= 0)
		close(fd);
}
