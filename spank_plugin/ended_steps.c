/*
 * ended_steps.c - the audit's line for each step of a job that has ended: its start
 * left all but the end (start.c, pycontrol/audit.py), and slurmstepd when and how that
 * came (job_files.c).
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

enum { LARGEST = 8 << 20 };	/* bytes of a file of ours: more is a mistake */

/* A text that free() takes; NULL where there is none. */
static char *text_of(int folder, const char *name, struct timespec *changed)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;
	char *text = NULL;
	size_t size;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= LARGEST) {
		size = (size_t)status.st_size;
		text = malloc(size + 1);
		if (text)
			text[read_all(fd, text, size)] = '\0';
		if (changed)
			*changed = status.st_mtim;
	}
	close(fd);
	return text;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* "step status milliseconds" in a line of `ended`; where nobody saw it: null, now. */
static void find_end(const char *ended, struct audit_facts *facts, char status[16])
{
	unsigned step;
	long long when;
	int code;

	facts->when = now();
	strcpy(status, "null");
	for (; ended && *ended; ended = strchr(ended, '\n') ? strchr(ended, '\n') + 1 : "") {
		if (sscanf(ended, "%u %d %lld", &step, &code, &when) != 3 || step != facts->step)
			continue;
		facts->when = when;
		snprintf(status, 16, "%d", code);
	}
	facts->status = status;
}

/* Where a file's template cannot be used nothing is written, and its name stays. */
static int note(int steps, const char *name, const char *ended, int log, bool syslog)
{
	struct audit_facts facts = { .step = (unsigned)strtoul(name, NULL, 10) };
	struct timespec started;
	char status[16], *template = text_of(steps, name, &started), *line = NULL;

	if (template && *template) {
		find_end(ended, &facts, status);
		facts.milliseconds = facts.when - started.tv_sec * 1000LL -
				     started.tv_nsec / 1000000;
		line = audit_fill(template, &facts);
	}
	if (line && audit_write(log, syslog, line))
		slurm_error("socker: audit: %m: lost: %s", line);
	free(template);
	free(line);
	return line ? unlinkat(steps, name, 0) : -1;
}

static int is_number(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return *name && !name[strspn(name, "0123456789")];
}

static int by_number(const struct dirent **one, const struct dirent **other)
{
	unsigned long a = strtoul((*one)->d_name, NULL, 10);
	unsigned long b = strtoul((*other)->d_name, NULL, 10);

	return (a > b) - (a < b);
}

int ended_steps_note(int folder, const char *log_path, bool syslog)
{
	int steps = openat(folder, "steps", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int log = *log_path ? audit_open(log_path) : -1, count = -1, rc = 0;
	char *ended = text_of(folder, "ended", NULL);
	struct dirent **all = NULL;

	if (steps >= 0 && (log >= 0 || !*log_path))
		count = scandirat(steps, ".", &all, is_number, by_number);
	for (int i = 0; i < count; i++) {
		if (rc == 0)
			rc = note(steps, all[i]->d_name, ended, log, syslog);
		free(all[i]);
	}
	free(all);
	free(ended);
	if (log >= 0)
		close(log);
	if (steps >= 0)
		close(steps);
	return count < 0 ? -1 : rc;
}
