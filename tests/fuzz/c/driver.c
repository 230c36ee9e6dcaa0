/*
 * driver.c - drives a fuzz target where libFuzzer is not to be had.
 *
 *   TARGET RUNS SEED...     each seed file as it is, then RUNS mutations of them
 *
 * The same numbers each time, so a failure can be run again.  The input of a
 * fault is left in ./crash-input, which `TARGET 0 crash-input` gives again.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

enum { LONGEST = 4096, MOST_SEEDS = 256, MOST_CHANGES = 8 };

void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
	uint8_t data[LONGEST];
	size_t size;
};

static struct input seeds[MOST_SEEDS], current;
static size_t seed_count;

static void keep_input(void)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, current.data, current.size) < 0)
		perror("crash-input");
}

static void on_abort(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

/* xorshift64 */
static size_t below(size_t limit)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return limit ? state % limit : 0;
}

static void read_seed(const char *path)
{
	FILE *file = fopen(path, "re");
	struct input *seed = &seeds[seed_count];

	REQUIRE(file && seed_count < MOST_SEEDS);
	seed->size = fread(seed->data, 1, LONGEST, file);
	fclose(file);
	seed_count++;
}

/* --- mutations ------------------------------------------------------------------ */

static void change_byte(void)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '=', '/', ':', '\n', '\037', '-' };
	uint8_t *byte = &current.data[below(current.size)];

	if (!current.size)
		return;
	if (below(2))
		*byte = odd[below(sizeof(odd))];
	else
		*byte ^= (uint8_t)(1U << below(8));
}

static void cut(void)
{
	size_t start = below(current.size), length = below(current.size - start) + 1;

	if (!current.size)
		return;
	if (below(2)) {	/* the end: a truncated input */
		current.size = start;
		return;
	}
	memmove(current.data + start, current.data + start + length,
		current.size - start - length);
	current.size -= length;
}

/* A part of this or another seed, put in somewhere. */
static void insert(void)
{
	const struct input *from = &seeds[below(seed_count)];
	size_t start = below(from->size), place = below(current.size + 1);
	size_t length = below(from->size - start + 1);

	if (current.size + length > LONGEST)
		length = LONGEST - current.size;
	memmove(current.data + place + length, current.data + place, current.size - place);
	memcpy(current.data + place, from->data + start, length);
	current.size += length;
}

static void mutate(void)
{
	static void (*const changes[])(void) = { change_byte, change_byte, cut, insert };

	current = seeds[below(seed_count)];
	for (size_t left = below(MOST_CHANGES) + 1; left; left--)
		changes[below(sizeof(changes) / sizeof(changes[0]))]();
}

/* An exact copy, so that one byte too far is a fault. */
static void run(void)
{
	uint8_t *copy = malloc(current.size ? current.size : 1);

	REQUIRE(copy);
	memcpy(copy, current.data, current.size);
	LLVMFuzzerTestOneInput(copy, current.size);
	free(copy);
}

int main(int argc, char **argv)
{
	long runs = argc > 1 ? atol(argv[1]) : 0;

	signal(SIGABRT, on_abort);
	__sanitizer_set_death_callback(keep_input);
	for (int i = 2; i < argc; i++)
		read_seed(argv[i]);
	REQUIRE(seed_count);
	for (size_t i = 0; i < seed_count; i++) {
		current = seeds[i];
		run();
	}
	for (long i = 0; i < runs; i++) {
		mutate();
		run();
	}
	printf("%zu seeds and %ld mutations\n", seed_count, runs);
	return 0;
}
