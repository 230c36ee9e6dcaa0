/*
 * inside.c - how a program of the node is run inside an image (inside.h).
 *
 * In slurm_command.c, and in srun for its check of options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inside.h"

/* "DIR:DIR..." of all that are mounted; NULL without memory. */
static char *libraries(void)
{
	char *path = NULL, *longer;

	for (int number = 0;; number++) {
		char directory[64];

		snprintf(directory, sizeof(directory), INSIDE_HOST "/lib/%d", number);
		if (access(directory, X_OK))
			return path;
		if (asprintf(&longer, "%s%s%s", path ? path : "", path ? ":" : "", directory) < 0)
			longer = NULL;
		free(path);
		path = longer;
		if (!path)
			return NULL;
	}
}

char **inside_words(void)
{
	static char *words[INSIDE_WORDS] = { INSIDE_LOADER, "--library-path" };

	if (access(INSIDE_LOADER, X_OK))
		return NULL;
	free(words[2]);
	words[2] = libraries();
	return words[2] ? words : NULL;
}
