/*
 * recorded.c - reads the plan that a job's earlier step has left, and says whether
 * it still holds (docs/developer/decisions/0017-recorded-plans.md).
 *
 * Root's own file, written by pycontrol/replay.py.  An entry: a type byte, the
 * payload's size (32 bits, of this machine), the payload, NUL.  In this order:
 *
 *   'B' abi                    of the shim that may replay it
 *   'Q' bytes                  what was asked for (asked.c), the same to the byte
 *   'T' milliseconds           since boot: not valid any more from then on
 *   'E' NAME=VALUE             a variable as the plan found it
 *   'U' NAME                   one that was not there
 *   'I' number                 of the step's tasks on this node
 *   'F' identity NUL path      a file as it was
 *   'P' pid start-time         the container's first process
 *   'J' path                   where the step's number is added
 *   'L' path NUL line NUL line   of the audit: its log ("": none), a start's line, and
 *                              an end's (audit.c)
 *   'Y'                        these lines go to syslog, too
 *   'N' kind                   a record for the tasks, with the container's namespace
 *   'R' record                 a record for the tasks
 *   'K' number                 of the entries before this one: the end
 *
 * And what a job's end does with one of its containers (job_end.c), by
 * pycontrol/ending.py: 'B', 'F', 'Y', 'K', and
 *
 *   'A' word NUL word NUL ...  the arguments of the plugstack line
 *   'S' path                   the engine's socket
 *   'C' id                     the container
 *   'G' path                   a file whose time is the image's last use
 *   'O' path                   the audit's log ("": none)
 *
 * Whatever is missing, or cannot be read, or differs: the plan does not hold.
 */
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

enum { LARGEST = 4 * 1024 * 1024 };

static bool is_roots_alone(const struct stat *status)
{
	return S_ISREG(status->st_mode) && status->st_uid == 0 &&
	       !(status->st_mode & (S_IRWXG | S_IRWXO)) && status->st_size > 0 &&
	       status->st_size <= LARGEST;
}

int recorded_read(struct recorded *plan, int folder, const char *path)
{
	int fd = *path ? openat(folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	struct stat status;

	*plan = (struct recorded) { 0 };
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0 && is_roots_alone(&status)) {
		plan->size = (size_t)status.st_size;
		plan->data = malloc(plan->size);
		if (plan->data && read_all(fd, plan->data, plan->size) != plan->size) {
			free(plan->data);
			plan->data = NULL;
		}
	}
	close(fd);
	return plan->data ? 0 : -1;
}

void recorded_free(struct recorded *plan)
{
	free(plan->data);
	*plan = (struct recorded) { 0 };
}

bool recorded_next(struct recorded *plan, struct entry *entry)
{
	const size_t head = 1 + sizeof(uint32_t);
	size_t left = plan->size - plan->next;
	uint32_t size;

	if (left < head + 1)
		return false;
	memcpy(&size, plan->data + plan->next + 1, sizeof(size));
	if (size > left - head - 1)
		return false;
	entry->type = plan->data[plan->next];
	entry->text = plan->data + plan->next + head;
	entry->size = size;
	plan->next += head + size + 1;
	return entry->text[size] == '\0';
}

/* --- what it depends on ---------------------------------------------------------- */

static bool is_in_time(const char *milliseconds)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000 < strtoll(milliseconds, NULL, 10);
}

/* Each entry of the name, if there are several; expected: NAME=VALUE or NAME. */
static bool variable_is(char **env, const char *expected, bool set)
{
	size_t name = strcspn(expected, "=");
	bool found = false;

	for (; *env; env++) {
		if (strncmp(*env, expected, name) || (*env)[name] != '=')
			continue;
		if (!set || strcmp(*env, expected))
			return false;
		found = true;
	}
	return found == set;
}

static long long nanoseconds(const struct timespec *time)
{
	return time->tv_sec * 1000000000LL + time->tv_nsec;
}

static bool file_is(const char *identity, const char *path)
{
	struct stat status;
	char now[128] = "none";

	if (stat(path, &status) == 0)
		snprintf(now, sizeof(now), "%ju %ju %jd %lld %lld", (uintmax_t)status.st_dev,
			 (uintmax_t)status.st_ino, (intmax_t)status.st_size,
			 nanoseconds(&status.st_mtim), nanoseconds(&status.st_ctim));
	else if (errno != ENOENT)
		return false;
	return !strcmp(now, identity);
}

/* The same words in the same order. */
static bool arguments_are(const struct entry *entry, char **arguments)
{
	const char *word = entry->text, *end = entry->text + entry->size;

	for (; arguments && *arguments && word < end; arguments++, word += strlen(word) + 1)
		if (strcmp(*arguments, word))
			return false;
	return word == end && !(arguments && *arguments);
}

/* path NUL line NUL line */
static bool has_lines(const struct entry *entry)
{
	size_t path = strlen(entry->text) + 1;

	return path < entry->size && path + strlen(entry->text + path) + 1 < entry->size;
}

static bool entry_holds(const struct entry *entry, unsigned long number,
			const struct step_request *request)
{
	const char *second = entry->text + strlen(entry->text) + 1;

	switch (entry->type) {
	case 'B':
		return strtoul(entry->text, NULL, 10) == SOCKER_ABI;
	case 'Q':
		return entry->size == request->asked_size &&
		       !memcmp(entry->text, request->asked, entry->size);
	case 'T':
		return is_in_time(entry->text);
	case 'E':
	case 'U':
		return variable_is(request->env, entry->text, entry->type == 'E');
	case 'I':
		return strtol(entry->text, NULL, 10) == request->channel_count;
	case 'F':
		return second < entry->text + entry->size && file_is(entry->text, second);
	case 'A':
		return arguments_are(entry, request->plugin_args);
	case 'L':
		return has_lines(entry);
	case 'K':
		return strtoul(entry->text, NULL, 10) == number;
	default:
		return strchr("PJYNRSCGO", entry->type) != NULL;
	}
}

/* Each of these once, at least; the first and the last where they belong. */
bool recorded_holds(struct recorded *plan, const struct step_request *request,
		    const char *types)
{
	char seen[128] = { 0 };
	struct entry entry = { 0 };
	unsigned long number = 0;

	plan->next = 0;
	while (recorded_next(plan, &entry)) {
		if (entry.type <= 0 || (entry.type == 'B') != (number == 0) ||
		    !entry_holds(&entry, number, request))
			return false;
		seen[(int)entry.type] = 1;
		number++;
	}
	for (const char *type = types; *type; type++)
		if (!seen[(int)*type])
			return false;
	return plan->next == plan->size && entry.type == 'K';
}
