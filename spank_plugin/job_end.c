/*
 * job_end.c - the end of a job on a node, where its hooks have left all that it takes:
 * then it needs no Python (docs/developer/decisions/0021-a-jobs-end-in-c.md).
 *
 * Runs as root in the job's epilog.  First it looks, and any doubt is Python's
 * (pycontrol/jobend.py, which does the same, and the rest): a container that was asked
 * for and is not recorded, a writable root, a step's end that did not come, a hook
 * that is still at work, cgroups that Slurm has left, another job's leavings.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

#define NEEDED "BAFSCGOK"	/* entries of a container's record (recorded.c) */
enum {
	MOST_CONTAINERS = 32,	/* lifecycle.py */
	GROUPS_MAX = 64 << 10,	/* bytes of the list of a job's cgroups */
	ID_LENGTH = 64,
	DEEPEST = 3,		/* directories in a job's folder */
};

struct ending {
	const struct step_request *request;
	int folder;		/* of the job's files */
	struct recorded containers[MOST_CONTAINERS];
	size_t container_count;
	bool has_steps;
};

/* --- directories --------------------------------------------------------------- */

static int open_folder(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

typedef int visitor(struct ending *ending, int folder, const char *name);

/* Up to the first visit that fails; fine where there is no such folder. */
static int each_in(struct ending *ending, int parent, const char *name, visitor *visit)
{
	int fd = open_folder(parent, name), rc = 0;
	struct dirent *entry;
	DIR *all;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	all = fdopendir(fd);
	if (!all) {
		close(fd);
		return -1;
	}
	while (rc == 0 && (entry = readdir(all)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = visit(ending, fd, entry->d_name);
	closedir(all);
	return rc;
}

static int remove_tree(int parent, const char *name, int depth)
{
	int fd = depth ? open_folder(parent, name) : -1;
	DIR *all = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!all) {
		if (fd >= 0)
			close(fd);
		return unlinkat(parent, name, 0);
	}
	while ((entry = readdir(all)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove_tree(fd, entry->d_name, depth - 1);
	closedir(all);
	return unlinkat(parent, name, AT_REMOVEDIR);
}

/* --- what has to be as usual ------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), most = strlen(end);

	return length >= most && !strcmp(text + length - most, end);
}

/* 0: nobody holds it.  The descriptor holds it now, in that case. */
static int take_lock(int folder, const char *name, int *fd)
{
	*fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (*fd >= 0)
		close(*fd);
	return -1;
}

/* Of the job's folder: a hook at work holds its KEY.lock. */
static int is_usual(struct ending *ending, int folder, const char *name)
{
	int fd;

	if (!strcmp(name, "roots") || !strncmp(name, "step-", strlen("step-")))
		return -1;
	if (!strcmp(name, "steps"))
		ending->has_steps = true;
	if (!ends_with(name, ".lock"))
		return 0;
	if (take_lock(folder, name, &fd))
		return -1;
	close(fd);
	return 0;
}

/* Whether Slurm has removed all cgroups of the job whose files are there. */
static bool groups_are_gone(int folder)
{
	static char list[GROUPS_MAX];
	int fd = openat(folder, "groups", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *line, *rest = list;
	bool gone = false;
	size_t size = 0;

	if (fd >= 0) {
		size = read_all(fd, list, sizeof(list) - 1);
		close(fd);
	}
	list[size] = '\0';
	if (size == sizeof(list) - 1)	/* there may be more */
		return false;
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		if (*line != '/' || access(line, F_OK) == 0 || errno != ENOENT)
			return false;
		gone = true;
	}
	return gone;
}

static const char *text_of(struct recorded *record, char type)
{
	struct entry entry;

	record->next = 0;
	while (recorded_next(record, &entry))
		if (entry.type == type)
			return entry.text;
	return NULL;
}

static bool is_id(const char *text)
{
	return strlen(text) == ID_LENGTH && strspn(text, "0123456789abcdef") == ID_LENGTH;
}

/* One that the engine was asked for: whether it is known what became of it. */
static int add_container(struct ending *ending, int folder, const char *name)
{
	struct recorded *record = &ending->containers[ending->container_count];

	if (ending->container_count == MOST_CONTAINERS || recorded_read(record, folder, name))
		return -1;
	ending->container_count++;
	return recorded_holds(record, ending->request, NEEDED) && is_id(text_of(record, 'C'))
		       ? 0 : -1;
}

/* Another job here: its epilog is at work, or it lives, or it was forgotten. */
static int is_not_forgotten(struct ending *ending, int folder, const char *name)
{
	int job, held, rc = 0;

	if (!isdigit((unsigned char)*name) ||
	    strtoul(name, NULL, 10) == ending->request->job_id)
		return 0;
	job = open_folder(folder, name);
	if (job < 0)
		return 0;
	if (groups_are_gone(job)) {
		held = openat(job, "removal", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		rc = held >= 0 && flock(held, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK ? 0 : -1;
		if (held >= 0)
			close(held);
	}
	close(job);
	return rc;
}

static int all_is_usual(struct ending *ending, int nodes)
{
	if (each_in(ending, ending->folder, ".", is_usual) || !groups_are_gone(ending->folder) ||
	    each_in(ending, ending->folder, "containers", add_container))
		return -1;
	if (ending->has_steps && !ending->container_count)
		return -1;
	return each_in(ending, nodes, ending->request->node, is_not_forgotten);
}

/* --- and the end ----------------------------------------------------------------------- */

static int remove_containers(struct ending *ending)
{
	for (size_t i = 0; i < ending->container_count; i++) {
		struct recorded *record = &ending->containers[i];

		if (engine_remove(text_of(record, 'S'), text_of(record, 'C')))
			return -1;
	}
	return 0;
}

static int tell_audit(struct ending *ending)
{
	struct recorded *record = &ending->containers[0];

	if (!ending->has_steps)
		return 0;
	return ended_steps_note(ending->folder, text_of(record, 'O'),
				text_of(record, 'Y') != NULL);
}

/* The job used them until now (pycontrol/imageuse.py): nothing depends on it. */
static void note_images(struct ending *ending)
{
	for (size_t i = 0; i < ending->container_count; i++)
		utimensat(AT_FDCWD, text_of(&ending->containers[i], 'G'), NULL,
			  AT_SYMLINK_NOFOLLOW);
}

static int end(struct ending *ending, int nodes)
{
	char name[16];
	int lock, node, rc = -1;

	snprintf(name, sizeof(name), "%u", ending->request->job_id);
	node = open_folder(nodes, ending->request->node);
	ending->folder = node < 0 ? -1 : open_folder(node, name);
	if (ending->folder >= 0 && !take_lock(ending->folder, "removal", &lock)) {
		if (!all_is_usual(ending, nodes) && !remove_containers(ending) &&
		    !tell_audit(ending)) {
			note_images(ending);
			rc = remove_tree(node, name, DEEPEST);
		}
		close(lock);
	}
	if (ending->folder >= 0)
		close(ending->folder);
	if (node >= 0)
		close(node);
	return rc;
}

int job_end(const struct step_request *request)
{
	struct ending ending = { .request = request };
	int nodes = open_folder(AT_FDCWD, STATE_DIRECTORY), rc;

	if (nodes < 0)
		return -1;
	rc = end(&ending, nodes);
	close(nodes);
	for (size_t i = 0; i < ending.container_count; i++)
		recorded_free(&ending.containers[i]);
	return rc;
}
