/*
 * checked.c - in srun: what the check of the same options has said a moment ago in
 * the same job, so that a job of many steps starts one interpreter, not one a step.
 *
 *   ~/.cache/socker/JOB.checked-HASH    what was asked, NUL, the answer
 *
 * JOB is as in pycontrol/digests.py: an answer with a digest is for all tasks of an
 * array.  The user's own file, and worth no more: the node checks all of it again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "recorded.h"

enum {
	LIFETIME = 300,		/* seconds */
	LARGEST = 512 * 1024,
};

extern char **environ;

static char *question;	/* all that the check goes by */
static size_t question_size;
static char *folder, *file;

static void put(FILE *out, const char *text)
{
	fwrite(text, strlen(text) + 1, 1, out);
}

static int describe(int ac, char **av)
{
	char **options = options_collect(), *directory = getcwd(NULL, 0);
	FILE *out = options && directory ? open_memstream(&question, &question_size) : NULL;

	for (int i = 0; out && i < ac; i++)
		put(out, av[i]);
	for (char **entry = environ; out && *entry; entry++)
		if (!strncmp(*entry, "PYXIS_CONTAINER_", strlen("PYXIS_CONTAINER_")))
			put(out, *entry);
	for (size_t i = 0; options && options[i]; i++) {
		if (out)
			put(out, options[i]);
		free(options[i]);
	}
	if (out)
		put(out, directory);
	free(options);
	free(directory);
	return out && fclose(out) == 0 ? 0 : -1;
}

/* None outside of a job, and where there is no home. */
static int name_file(const char *number)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const char *word = getenv(JOBS_WORD), *job = getenv("SLURM_JOB_ID");

	free(folder);
	free(file);
	folder = file = NULL;
	if (!word || !job || !*job || !number || !*number || (!cache && !home) ||
	    strspn(word, "0123456789abcdef") != strlen(word) ||
	    strspn(number, "0123456789") != strlen(number))
		return -1;
	if (cache && *cache ? asprintf(&folder, "%s/socker", cache) < 0
			    : asprintf(&folder, "%s/.cache/socker", home ? home : "") < 0) {
		folder = NULL;	/* a failure leaves anything in it, and it is freed later */
		return -1;
	}
	if (asprintf(&file, "%s/%s-%s.checked-%016llx", folder, word, number,
		     (unsigned long long)hash_of(question, question_size)) < 0) {
		file = NULL;
		return -1;
	}
	return 0;
}

static bool is_own_and_fresh(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
	       !(status.st_mode & (S_IWGRP | S_IWOTH)) && status.st_size <= LARGEST &&
	       time(NULL) - status.st_mtime < LIFETIME;
}

/* The answer's size; -1: there is none. */
static ssize_t read_answer(char *answer, size_t size)
{
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *data = NULL;
	ssize_t got = -1;

	if (fd < 0)
		return -1;
	if (is_own_and_fresh(fd) && (data = malloc(LARGEST)))
		got = read(fd, data, LARGEST);
	close(fd);
	if (got >= (ssize_t)question_size && !memcmp(data, question, question_size) &&
	    (size_t)got - question_size <= size) {
		got -= (ssize_t)question_size;
		memcpy(answer, data + question_size, (size_t)got);
	} else {
		got = -1;
	}
	free(data);
	return got;
}

static bool has_digest(const char *answer, size_t size)
{
	return memmem(answer, size, DIGEST_ENTRY, strlen(DIGEST_ENTRY)) != NULL;
}

/* The answer's size; -1: the check has to be asked. */
ssize_t checked_recall(int ac, char **av, char *answer, size_t size)
{
	ssize_t got = -1;

	if (describe(ac, av))
		return -1;
	if (!name_file(getenv("SLURM_ARRAY_JOB_ID")))
		got = read_answer(answer, size);
	if (got >= 0 && has_digest(answer, (size_t)got))
		return got;
	return name_file(getenv("SLURM_JOB_ID")) ? -1 : read_answer(answer, size);
}

static int name_file_for(const char *answer, size_t size)
{
	if (has_digest(answer, size) && !name_file(getenv("SLURM_ARRAY_JOB_ID")))
		return 0;
	return name_file(getenv("SLURM_JOB_ID"));
}

/* Where it cannot be kept the next srun asks, too. */
void checked_keep(const char *answer, size_t size)
{
	char *draft = NULL, *cache;
	int fd = -1;

	if (!question || name_file_for(answer, size) ||
	    !(cache = strndup(folder, (size_t)(strrchr(folder, '/') - folder))))
		return;
	mkdir(cache, 0700);
	mkdir(folder, 0700);
	free(cache);
	if (asprintf(&draft, "%s.%d", file, getpid()) >= 0)
		fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (write(fd, question, question_size) != (ssize_t)question_size ||
	    write(fd, answer, size) != (ssize_t)size || rename(draft, file))
		unlink(draft);
	close(fd);
	free(draft);
}
