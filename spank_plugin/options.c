/*
 * options.c - the options that srun, sbatch and salloc show, and their values.
 *
 * Runs in every process that loads the plugin.  Stores strings and decides
 * nothing about them, with one exception that must be known at submission:
 * --docker and --container-image are one option with two names (DESIGN D11).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

enum {
	IMAGE,
	DOCKER,
	MOUNTS,
	WORKDIR,
	MOUNT_HOME,
	NO_MOUNT_HOME,
	OPTION_COUNT
};

static char *values[OPTION_COUNT];	/* NULL: not given */

static int on_option(int which, const char *value, int remote);

static struct spank_option table[OPTION_COUNT] = {
	[IMAGE] = { "container-image", "[REGISTRY/]NAME[:TAG]|none",
		"[socker] run the step in this Docker image; `none` runs it on "
		"the node itself", 1, IMAGE, on_option },
	[DOCKER] = { "docker", "[REGISTRY/]NAME[:TAG]|none",
		"[socker] the same as --container-image", 1, DOCKER, on_option },
	[MOUNTS] = { "container-mounts", "SRC[:DST[:ro|rw]][,...]",
		"[socker] show these files and directories of the node inside "
		"the container", 1, MOUNTS, on_option },
	[WORKDIR] = { "container-workdir", "PATH",
		"[socker] start in this directory of the container",
		1, WORKDIR, on_option },
	[MOUNT_HOME] = { "container-mount-home", NULL,
		"[socker] show the home directory inside the container",
		0, MOUNT_HOME, on_option },
	[NO_MOUNT_HOME] = { "no-container-mount-home", NULL,
		"[socker] do not show the home directory inside the container",
		0, NO_MOUNT_HOME, on_option },
};

/*
 * A job's options reach the srun commands in it through variables that Slurm
 * sets.  An image given to such an srun replaces the job's, under either name.
 */
static void forget_inherited(int which)
{
	if (which == IMAGE)
		unsetenv("_SLURM_SPANK_OPTION_socker_docker");
	else if (which == DOCKER)
		unsetenv("_SLURM_SPANK_OPTION_socker_container_image");
}

static int on_option(int which, const char *value, int remote)
{
	char *copy = strdup(value ? value : "");

	if (!copy)
		return -1;
	free(values[which]);
	values[which] = copy;
	if (remote)
		return 0;
	forget_inherited(which);
	if (values[IMAGE] && values[DOCKER] &&
	    strcmp(values[IMAGE], values[DOCKER])) {
		say("--container-image=%s and --docker=%s contradict each "
		    "other: they are one option, give one of them",
		    values[IMAGE], values[DOCKER]);
		return -1;
	}
	return 0;
}

int options_register(spank_t sp)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (spank_option_register(sp, &table[i]) != ESPANK_SUCCESS)
			return -1;
	return 0;
}

/*
 * Any container option asks for a container, so that a forgotten image is an
 * error and not a run on the bare node; --container-image=none takes it back.
 */
bool options_want_container(void)
{
	const char *image = values[IMAGE] ? values[IMAGE] : values[DOCKER];

	if (image)
		return strcmp(image, "none") != 0;
	for (int i = 0; i < OPTION_COUNT; i++)
		if (values[i])
			return true;
	return false;
}

char **options_collect(void)
{
	char **list = calloc(OPTION_COUNT + 1, sizeof(*list));
	size_t count = 0;

	for (int i = 0; list && i < OPTION_COUNT; i++)
		if (values[i] && asprintf(&list[count++], "%s=%s",
					  table[i].name, values[i]) < 0)
			return NULL;
	return list;
}
