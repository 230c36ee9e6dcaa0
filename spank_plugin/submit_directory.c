/*
 * submit_directory.c - where the tasks of an srun inside a container start.
 *
 * srun tells the node its own directory.  One that only the image has means
 * nothing there: Slurm would complain and start in /tmp.  So the node is told the
 * root directory, and the hook the image's directory.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inside.h"
#include "options.h"
#include "task.h"

#define REMOTE "SLURM_REMOTE_CWD"	/* srun's --chdir (srun, opt.c) */

static char *directory;

/* What is mounted is the node's, and has a meaning there. */
static bool is_images_own(void)
{
	int here = open(".", O_PATH | O_CLOEXEC), root = open("/", O_PATH | O_CLOEXEC);
	bool same = here >= 0 && root >= 0 && sys_same_mount(here, root);

	if (here >= 0)
		close(here);
	if (root >= 0)
		close(root);
	return same;
}

void submit_directory_begin(void)
{
	if (access(INSIDE_LOADER, X_OK) || getenv(REMOTE) || !is_images_own())
		return;
	directory = getcwd(NULL, 0);
	if (directory && setenv(REMOTE, "/", 1)) {
		free(directory);
		directory = NULL;
	}
}

const char *submit_directory(void)
{
	return directory;
}

/* srun has heard it; it is nothing for the tasks. */
void submit_directory_end(void)
{
	if (directory)
		unsetenv(REMOTE);
}
