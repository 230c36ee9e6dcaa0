/*
 * start.c - what is kept of the start of a step whose plan was replayed: the lines
 * that Python would have written (pycontrol/audit.py, shown.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

/* In a template: pycontrol/replay.py. */
enum { TIME = '\1', STEP = '\2', SECONDS = '\3' };

#define SYSLOG "/dev/log"
#define PRIORITY "<86>"		/* authpriv, info (RFC 5424, 6.2.1) */

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

/* Opened anew each time: it may be rotated. */
static int open_log(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600);
	struct stat status;

	if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int step_path(const struct step_request *request, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/%s/%u/steps/%u", request->state_directory,
			      request->node, request->job_id, request->step_id);

	return length < 0 || (size_t)length >= size ? -1 : 0;
}

/* The line of a step's start is kept for that of its end, which the epilog writes. */
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
		files->log = open_log(log);
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

/* RFC 3339, in UTC, with milliseconds. */
static void put_time(FILE *out)
{
	long long now = milliseconds(CLOCK_REALTIME);
	time_t seconds = (time_t)(now / 1000);
	char text[64];
	struct tm parts;

	if (gmtime_r(&seconds, &parts) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts))
		fprintf(out, "%s.%03lldZ", text, now % 1000);
}

static char *fill(const struct start_files *files, const char *template)
{
	char *line = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&line, &size);

	for (; out && *template; template++) {
		if (*template == TIME)
			put_time(out);
		else if (*template == STEP)
			fprintf(out, "%u", files->request->step_id);
		else if (*template == SECONDS)
			fprintf(out, "%.3f", (double)(start_clock() - files->since) / 1000);
		else
			fputc(*template, out);
	}
	if (!out || fclose(out)) {
		free(line);
		return NULL;
	}
	return line;
}

/* Never waits: what a daemon that hangs does not take is lost. */
static void tell_syslog(const char *line)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SYSLOG };
	int channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char *text;

	if (channel < 0)
		return;
	if (asprintf(&text, PRIORITY "socker: %s", line) >= 0) {
		if (sendto(channel, text, strlen(text), MSG_NOSIGNAL,
			   (struct sockaddr *)&address, sizeof(address)) < 0 &&
		    errno != ENOENT && errno != ECONNREFUSED)	/* no syslog here */
			fprintf(stderr, "audit: %s: %m\n", SYSLOG);
		free(text);
	}
	close(channel);
}

void start_note(const struct start_files *files, const char *template, bool syslog)
{
	char *line = template ? fill(files, template) : NULL;
	size_t size = line ? strlen(line) : 0;

	if (!line || write(files->step, line, size) != (ssize_t)size)
		fprintf(stderr, "audit: step %u: %m: its end is lost\n", files->request->step_id);
	/* In one write, with its end. */
	if (line && files->log >= 0) {
		line[size] = '\n';
		if (write(files->log, line, size + 1) != (ssize_t)size + 1)
			fprintf(stderr, "audit: %m: lost: %.*s\n", (int)size, line);
		line[size] = '\0';
	}
	if (line && syslog)
		tell_syslog(line);
	free(line);
}
