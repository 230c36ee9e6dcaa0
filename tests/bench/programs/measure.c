/*
 * measure.c - what a program gets of its machine: memory bandwidth, files, the start of
 * others.  Static, so that the very same program runs natively and in an image.
 *
 *   measure triad            MB/s, the best of some passes (as STREAM counts them)
 *   measure files FOLDER     ms to write, read and remove one large file and many small ones,
 *                            the median of some times
 *   measure start ARGV...    ms of the median start of a program
 */
#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ELEMENTS = 8 << 20,	/* doubles an array: three of 64 MiB, more than caches hold */
	PASSES = 10,
	BLOCK = 1 << 20,
	BLOCKS = 64,
	SMALL = 500,
	TIMES = 9,
};

extern char **environ;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void triad(void)
{
	const size_t bytes = ELEMENTS * sizeof(double);
	double *a = malloc(bytes), *b = malloc(bytes), *c = malloc(bytes), best = 1e9;

	if (!a || !b || !c)
		err(1, "malloc");
	for (size_t i = 0; i < ELEMENTS; i++) {
		a[i] = 0;
		b[i] = 1;
		c[i] = 2;
	}
	for (int pass = 0; pass < PASSES; pass++) {
		double since = now(), taken;

		for (size_t i = 0; i < ELEMENTS; i++)
			a[i] = b[i] + 3 * c[i];
		taken = now() - since;
		best = taken < best ? taken : best;
		b[pass] = a[pass];	/* the next pass cannot be left out */
	}
	printf("%.1f\n", 3.0 * (double)bytes / 1e6 / (best / 1e3));
}

static void write_file(const char *path, const char *block, int blocks)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (fd < 0)
		err(1, "%s", path);
	for (int i = 0; i < blocks; i++)
		if (write(fd, block, BLOCK) != BLOCK)
			err(1, "%s", path);
	close(fd);
}

static void read_file(const char *path, char *block)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	while (read(fd, block, BLOCK) > 0)
		;
	close(fd);
}

static void small_file(const char *path)
{
	struct stat found;
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	if (fd < 0 || write(fd, path, strlen(path)) < 0)
		err(1, "%s", path);
	close(fd);
	if (stat(path, &found) || unlink(path))
		err(1, "%s", path);
}

static double files_once(char **argv)
{
	char path[4096], *block = calloc(1, BLOCK);
	const char *folder = argv[0];
	double since = now();

	snprintf(path, sizeof(path), "%s/measured.%d", folder, (int)getpid());
	write_file(path, block, BLOCKS);
	read_file(path, block);
	unlink(path);
	for (int i = 0; i < SMALL; i++) {
		snprintf(path, sizeof(path), "%s/small.%d.%d", folder, (int)getpid(), i);
		small_file(path);
	}
	free(block);
	return now() - since;
}

static double start_once(char **argv)
{
	double since = now();
	pid_t child;
	int status;

	if (posix_spawnp(&child, argv[0], NULL, NULL, argv, environ))
		errx(1, "%s: cannot be started", argv[0]);
	if (waitpid(child, &status, 0) != child || status)
		errx(1, "%s: status %d", argv[0], status);
	return now() - since;
}

static int larger(const void *one, const void *other)
{
	double difference = *(const double *)one - *(const double *)other;

	return (difference > 0) - (difference < 0);
}

/* ms: the median after a first time, from which on what is read is in memory. */
static void median_of(double (*once)(char **argv), char **argv)
{
	double found[TIMES];

	once(argv);
	for (int i = 0; i < TIMES; i++)
		found[i] = once(argv);
	qsort(found, TIMES, sizeof(found[0]), larger);
	printf("%.2f\n", found[TIMES / 2]);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "triad") == 0)
		triad();
	else if (argc == 3 && strcmp(argv[1], "files") == 0)
		median_of(files_once, argv + 2);
	else if (argc > 2 && strcmp(argv[1], "start") == 0)
		median_of(start_once, argv + 2);
	else
		errx(2, "usage: measure triad | files FOLDER | start ARGV...");
	return 0;
}
