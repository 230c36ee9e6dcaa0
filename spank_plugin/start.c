/*
 * start.c - what is kept of the start of a step whose plan was replayed: the lines
 * that Python would have written (pycontrol/audit.py, shown.py).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

static long long milliseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

long long start_clock(void)
{
	return milliseconds(CLOCK_MONOTONIC);
}

static int step_path(const struct step_request *request, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/%s/%u/steps/%u", request->state_directory,
			      request->node, request->job_id, request->step_id);

	return length < 0 || (size_t)length >= size ? -1 : 0;
}

/* The line of the step's end, as far as it is known, for the job's epilog. */
static int open_step(const struct step_request *request)
{
	char path[512];

	if (step_path(request, path, sizeof(path)))
		return -1;
	return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int start_open(struct start_files *files, const char *log)
{
	if (*log)
		files->log = audit_open(log);
	if (*log && files->log < 0)
		return -1;
	files->step = open_step(files->request);
	return files->step < 0 ? -1 : 0;
}

/* It has not started: what becomes of it is Python's to say. */
void start_forget(const struct start_files *files)
{
	char path[512];

	if (files->step >= 0 && !step_path(files->request, path, sizeof(path)))
		unlink(path);
}

void start_close(struct start_files *files)
{
	if (files->log >= 0)
		close(files->log);
	if (files->step >= 0)
		close(files->step);
	files->log = files->step = -1;
}

/* For `socker ps`: nothing depends on it. */
void start_join(const struct start_files *files, const char *path)
{
	FILE *file = fopen(path, "ae");

	if (file) {
		fprintf(file, "%u\n", files->request->step_id);
		fclose(file);
	}
}

static int keep_end(const struct start_files *files, const char *template)
{
	const struct audit_facts facts = { .step = files->request->step_id };
	char *line = audit_fill(template, &facts);
	size_t size = line ? strlen(line) : 0;
	int rc = line && write(files->step, line, size) == (ssize_t)size ? 0 : -1;

	if (rc && ftruncate(files->step, 0))	/* half a line is none */
		fprintf(stderr, "audit: %m\n");
	free(line);
	return rc;
}

void start_note(const struct start_files *files, const char *template, const char *end,
		bool syslog)
{
	const struct audit_facts facts = {
		.step = files->request->step_id,
		.when = milliseconds(CLOCK_REALTIME),
		.milliseconds = start_clock() - files->since,
	};
	char *line = audit_fill(template, &facts);

	if (keep_end(files, end))
		fprintf(stderr, "audit: step %u: %m: its end is lost\n", facts.step);
	if (!line || audit_write(files->log, syslog, line))
		fprintf(stderr, "audit: %m: lost: %s\n", line ? line : "a line");
	free(line);
}
