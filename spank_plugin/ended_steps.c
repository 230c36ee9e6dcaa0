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

struct ended {
	unsigned long step;
	int code;
	long long when;		/* milliseconds, epoch */
};

struct ends {
	struct ended *all;
	size_t count;
};

/* A text that free() takes; NULL where it cannot be read. */
static char *text_of(int folder, const char *name, struct timespec *changed)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;
	char *text = NULL;
	size_t size;

	if (fd < 0)
		return NULL;
	errno = EINVAL;		/* not what an earlier call has left there */
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= LARGEST) {
		size = (size_t)status.st_size;
		text = malloc(size + 1);
		if (text)
			text[read_all(fd, text, size)] = '\0';
		*changed = status.st_mtim;
	}
	close(fd);
	return text;
}

/* --- when and how they ended --------------------------------------------------- */

static int by_step(const void *one, const void *other)
{
	const struct ended *a = one, *b = other;

	return (a->step > b->step) - (a->step < b->step);
}

static int by_step_and_time(const void *one, const void *other)
{
	const struct ended *a = one, *b = other;
	int order = by_step(a, b);

	return order ? order : (a->when > b->when) - (a->when < b->when);
}

/* In the order of steps, the last of each. */
static void sort(struct ends *ends)
{
	size_t kept = 0;

	qsort(ends->all, ends->count, sizeof(*ends->all), by_step_and_time);
	for (size_t i = 0; i < ends->count; i++)
		if (i + 1 == ends->count || by_step(&ends->all[i], &ends->all[i + 1]))
			ends->all[kept++] = ends->all[i];
	ends->count = kept;
}

/* "step status milliseconds"; -1 where it is not that. */
static int parse_end(const char *line, struct ended *ended)
{
	char *rest, *after;

	ended->step = strtoul(line, &rest, 10);
	ended->code = (int)strtol(rest, &after, 10);
	if (rest == line || after == rest)
		return -1;
	ended->when = strtoll(after, &rest, 10);
	return rest == after || *rest ? -1 : 0;
}

/* -1 where the file is there and cannot be understood. */
static int read_ends(int folder, struct ends *ends)
{
	struct timespec changed;
	char *text = text_of(folder, "ended", &changed), *line, *rest = text;
	size_t lines = 0;
	int rc = 0;

	*ends = (struct ends) { 0 };
	if (!text)
		return errno == ENOENT ? 0 : -1;
	for (const char *one = text; *one; one++)
		lines += *one == '\n';
	ends->all = calloc(lines + 1, sizeof(*ends->all));
	while (ends->all && rc == 0 && (line = strsep(&rest, "\n")))
		if (*line)
			rc = parse_end(line, &ends->all[ends->count++]);
	free(text);
	if (!ends->all || rc)
		return -1;
	sort(ends);
	return 0;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* Where nobody saw it: null, and now. */
static void find_end(const struct ends *ends, struct audit_facts *facts, char status[16])
{
	const struct ended wanted = { .step = facts->step };
	const struct ended *found = ends->count ? bsearch(&wanted, ends->all, ends->count,
							  sizeof(wanted), by_step) : NULL;

	facts->when = found ? found->when : now();
	if (found)
		snprintf(status, 16, "%d", found->code);
	else
		strcpy(status, "null");
	facts->status = status;
}

/* --- their lines ----------------------------------------------------------------- */

/* Of a release that kept the start's line, or cut off: Python's to say. */
static bool is_template(const char *text)
{
	return text && strchr(text, AUDIT_STATUS) && text[strlen(text) - 1] == '}';
}

/* Where a file's template cannot be used nothing is written, and its name stays. */
static int note(int steps, const char *name, const struct ends *ends, int log, bool syslog)
{
	struct audit_facts facts = { .step = (unsigned)strtoul(name, NULL, 10) };
	struct timespec started = { 0 };
	char status[16], *template = text_of(steps, name, &started), *line = NULL;

	if (is_template(template)) {
		find_end(ends, &facts, status);
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
	struct dirent **all = NULL;
	struct ends ends = { 0 };

	if (steps >= 0 && (log >= 0 || !*log_path) && !read_ends(folder, &ends))
		count = scandirat(steps, ".", &all, is_number, by_number);
	for (int i = 0; i < count; i++) {
		if (rc == 0)
			rc = note(steps, all[i]->d_name, &ends, log, syslog);
		free(all[i]);
	}
	free(all);
	free(ends.all);
	if (log >= 0)
		close(log);
	if (steps >= 0)
		close(steps);
	return count < 0 ? -1 : rc;
}
