/*
 * slurm_command.c - srun, sbatch and their like inside an image: starts the node's
 * own command of the same name with the node's loader and libraries.
 *
 * Runs as the user, inside the container, without a right of its own; static,
 * since the image has other libraries or none.  It goes by the names of Slurm's
 * commands in /.socker/bin.  Nothing of it stays in the environment, so what the
 * command starts sees the image alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "inside.h"

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };	/* as shells say it */

/* The file that was executed, whatever argv[0] says. */
static const char *own_name(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "";
}

static int give_up(const char *name, const char *why)
{
	fprintf(stderr, "socker: %s: %s\n", name, why);
	return errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

int main(int argc, char **argv)
{
	const char *name = own_name();
	char **words = inside_words();
	char **list = calloc((size_t)argc + INSIDE_WORDS + 2, sizeof(*list));
	char *program;

	if (!words)
		return give_up(name, "this step has no Slurm commands: start it with "
			       "--container-slurm");
	if (!list || asprintf(&program, INSIDE_COMMANDS "/%s", name) < 0)
		return give_up(name, "no memory");
	if (access(program, X_OK))
		return give_up(name, "the node does not have this command: use another");
	memcpy(list, words, INSIDE_WORDS * sizeof(*list));
	list[INSIDE_WORDS] = program;
	if (argc > 1)
		memcpy(list + INSIDE_WORDS + 1, argv + 1, (size_t)(argc - 1) * sizeof(*argv));
	/* The image's libraries do not fit the node's. */
	unsetenv("LD_PRELOAD");
	unsetenv("LD_AUDIT");
	execv(list[0], list);
	return give_up(name, strerror(errno));
}
