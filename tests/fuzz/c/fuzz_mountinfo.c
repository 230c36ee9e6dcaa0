/*
 * fuzz_mountinfo.c - any /proc/self/mountinfo whatever: what is mounted below a
 * source is seen, so that a mount with `bind` shows nothing that is hidden.
 */
#include <stdio.h>

static FILE *open_table(const char *path, const char *mode);
#define fopen open_table
#include "../../../spank_plugin/mounts.c"
#undef fopen

#include "fuzz.h"

#define SOURCE "/usr"	/* is everywhere, and no link */

static char *table;
static size_t table_size;

static FILE *open_table(const char *path, const char *mode)
{
	REQUIRE(!strcmp(path, "/proc/self/mountinfo"));
	return fmemopen(table, table_size, mode);
}

/* Line by line and word by word: the fifth is the mount point. */
static bool has_mount_below(const char *text)
{
	char *copy = strdup(text), *line, *rest = copy, *words, *word;
	bool found = false;

	while ((line = strsep(&rest, "\n"))) {
		int number = 0;

		for (words = line; (word = strtok(words, " \t\v\f\r")) && number < 4; words = NULL)
			number++;
		found = found || (word && !strncmp(word, SOURCE "/", strlen(SOURCE "/")));
	}
	free(copy);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int source = open(SOURCE, O_PATH | O_CLOEXEC), lowest = lowest_descriptor();

	if (size) {
		table = text_of(data, size);
		table_size = size;
		REQUIRE(hides_something(source) || !has_mount_below(table));
		free(table);
	}
	REQUIRE(lowest_descriptor() == lowest);
	close(source);
	return 0;
}
