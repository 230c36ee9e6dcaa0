/*
 * early.c - the way of a job's container options to its extern step, where the job's
 * image and container are begun with before any step asks for them.
 *
 * SPANK tells of them in the job's prolog only, and only the extern step, which Slurm
 * starts behind the prolog (PrologFlags=Contain), is in the job's cgroups.  So the
 * prolog keeps them in a file of root's, and the extern step takes them.  Its hook holds
 * a lock on the file while it works: the first step waits a little for what it leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define JOBS_VARIABLE "SOCKER_OPTIONS"
/* slurmctld puts that before the name (valid_spank_job_env()). */
#define PROLOGS_VARIABLE "SPANK_" JOBS_VARIABLE
/* sbatch and salloc leave it in the job's environment (_set_spank_env()). */
#define COMMANDS_VARIABLE "SLURM_SPANK_" JOBS_VARIABLE
/* The command's directory: the plan is made for steps that start there (asked.c). */
#define JOBS_DIRECTORY "SOCKER_DIRECTORY"
#define PROLOGS_DIRECTORY "SPANK_" JOBS_DIRECTORY
#define COMMANDS_DIRECTORY "SLURM_SPANK_" JOBS_DIRECTORY
#define FOLDER STATE_DIRECTORY "/early"

/*
 * Bytes.  Linux takes no program with a variable of 128 KiB, so a longer list would
 * keep the job's prolog from being run, and drain the node.
 */
enum { LONGEST = 32 << 10 };

/* 0.25 s for an early start that is at it: a container's start, but no pull. */
enum { PAUSE = 2 * 1000 * 1000, PAUSES = 125 };	/* nanoseconds; how many */

static int held = -1;		/* the file, locked while the early start works */
static char directory[PATH_MAX] = "/";	/* as the job's command said */

static void publish(spank_t sp, const char *name, const char *value)
{
	if (value)
		spank_job_control_setenv(sp, name, value, 1);
	else
		spank_job_control_unsetenv(sp, name);
}

void early_publish(spank_t sp, const char *list)
{
	bool wanted = *list && strlen(list) < LONGEST;
	char here[PATH_MAX];

	unsetenv(COMMANDS_VARIABLE);	/* of an outer job */
	unsetenv(COMMANDS_DIRECTORY);
	publish(sp, JOBS_VARIABLE, wanted ? list : NULL);
	publish(sp, JOBS_DIRECTORY, wanted ? getcwd(here, sizeof(here)) : NULL);
}

void early_hide(spank_t sp)
{
	spank_unsetenv(sp, COMMANDS_VARIABLE);
	spank_unsetenv(sp, COMMANDS_DIRECTORY);
}

static int path_of(const struct step_request *request, char *path, size_t size)
{
	int length = snprintf(path, size, FOLDER "/%s.%u", request->node, request->job_id);

	return length > 0 && (size_t)length < size ? 0 : -1;
}

static int make_folder(void)
{
	/* Often the first of ours since boot.  `socker ps` lists it, for its node's part. */
	if (!mkdir(STATE_DIRECTORY, 0755))
		chmod(STATE_DIRECTORY, 0755);	/* whatever the umask */
	else if (errno != EEXIST)
		return -1;
	return mkdir(FOLDER, 0700) && errno != EEXIST ? -1 : 0;
}

void early_forget(const struct step_request *request)
{
	char path[512];

	if (path_of(request, path, sizeof(path)) == 0)
		unlink(path);
}

/* The list, NUL, the directory, NUL. */
static int write_both(int fd, const char *list, const char *where)
{
	struct iovec parts[] = {
		{ .iov_base = (char *)list, .iov_len = strlen(list) + 1 },
		{ .iov_base = (char *)where, .iov_len = strlen(where) + 1 },
	};
	size_t whole = parts[0].iov_len + parts[1].iov_len;

	return writev(fd, parts, 2) == (ssize_t)whole ? 0 : -1;
}

/* What fails here only makes the first step begin by itself. */
void early_keep(const struct step_request *request)
{
	const char *list = getenv(PROLOGS_VARIABLE), *where = getenv(PROLOGS_DIRECTORY);
	char path[512];
	int fd;

	early_forget(request);	/* of the same job before it was requeued */
	if (!list || !*list || strlen(list) >= LONGEST || path_of(request, path, sizeof(path)))
		return;
	if (!where || *where != '/' || strlen(where) >= PATH_MAX)
		where = "/";
	if (make_folder()) {
		slurm_error("socker: %s: %m", FOLDER);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write_both(fd, list, where)) {
		slurm_error("socker: %s: %m", path);
		unlink(path);	/* no half of a list */
	}
	if (fd >= 0)
		close(fd);
}

static void take(void)
{
	static char entry[sizeof(OPTIONS_VARIABLE) + LONGEST + PATH_MAX + 2] =
		OPTIONS_VARIABLE "=";
	char *list = entry + strlen(entry), *end = entry + sizeof(entry) - 1;
	char *read_to = list + read_all(held, list, (size_t)(end - list));
	const char *where = list + strlen(list) + 1;

	if (where < read_to && *where == '/')
		snprintf(directory, sizeof(directory), "%s", where);
	options_receive((char *[]) { entry, NULL });
}

bool early_take(const struct step_request *request)
{
	char path[512];

	if (path_of(request, path, sizeof(path)) == 0)
		held = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (held < 0)
		return false;
	take();
	if (ftruncate(held, 0) || flock(held, LOCK_EX | LOCK_NB) || !options_want_container()) {
		unlink(path);
		early_let_go();
	}
	return options_want_container();
}

const char *early_directory(void)
{
	return directory;
}

int early_held(void)
{
	return held;
}

void early_let_go(void)
{
	if (held >= 0)
		close(held);
	held = -1;
}

void early_wait(const struct step_request *request)
{
	const struct timespec pause = { .tv_nsec = PAUSE };
	struct stat status;
	char path[512];
	int fd;

	if (!*request->plan_file || path_of(request, path, sizeof(path)) ||
	    !access(request->plan_file, F_OK))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Python removes it where no plan will come. */
	for (int i = 0; fd >= 0 && i < PAUSES && flock(fd, LOCK_SH | LOCK_NB) &&
	     !fstat(fd, &status) && status.st_nlink && access(request->plan_file, F_OK); i++)
		nanosleep(&pause, NULL);
	if (fd >= 0)
		close(fd);
}
