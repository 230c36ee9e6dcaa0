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
static bool lost;			/* given, but could not be kept */

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

/* --- what a job hands to the commands in it -------------------------------- */

/*
 * Slurm hands a job's options to the srun commands in it by variables of these
 * names (plugstack.c: spank_process_env_options, _option_setenv); srun gives
 * them to on_option() before its own command line.
 */
#define OPTION_VARIABLE "_SLURM_SPANK_OPTION_socker_"
#define JOB_VARIABLE "SLURM_SPANK_" OPTION_VARIABLE

static const char *inherited_image;	/* of the job this srun runs in */

/* An image given to srun replaces the job's, whichever name each has. */
static void adopt_jobs_image(void)
{
	const char *docker = getenv(JOB_VARIABLE "docker");

	if (docker)
		setenv(JOB_VARIABLE "container_image", docker, 1);
	unsetenv(JOB_VARIABLE "docker");
	unsetenv(OPTION_VARIABLE "docker");
	inherited_image = getenv(JOB_VARIABLE "container_image");
	if (inherited_image)
		inherited_image = strdup(inherited_image);
}

/* A new job submitted from within a job starts without that job's options. */
static void forget_outer_job(void)
{
	char name[128];

	for (int i = 0; i < OPTION_COUNT; i++) {
		snprintf(name, sizeof(name), JOB_VARIABLE "%s", table[i].name);
		for (char *c = name; *c; c++)
			if (*c == '-')
				*c = '_';
		unsetenv(name);
		unsetenv(name + strlen("SLURM_SPANK_"));
	}
}

/* --- given options --------------------------------------------------------- */

static bool images_contradict(void)
{
	if (!values[IMAGE] || !values[DOCKER])
		return false;
	if (inherited_image && !strcmp(values[IMAGE], inherited_image))
		return false;
	return strcmp(values[IMAGE], values[DOCKER]) != 0;
}

static int on_option(int which, const char *value, int remote)
{
	char *copy = strdup(value ? value : "");

	if (!copy) {
		/* Slurm goes on without the option; the step must not. */
		lost = true;
		return -1;
	}
	free(values[which]);
	values[which] = copy;
	if (remote || !images_contradict())
		return 0;
	say("--container-image=%s and --docker=%s contradict each other: they "
	    "are one option, give one of them", values[IMAGE], values[DOCKER]);
	return -1;
}

int options_register(spank_t sp)
{
	if (spank_context() == S_CTX_LOCAL)
		adopt_jobs_image();
	else if (spank_context() == S_CTX_ALLOCATOR)
		forget_outer_job();
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
	/* With both, --docker is srun's own and the other the job's. */
	const char *image = values[DOCKER] ? values[DOCKER] : values[IMAGE];

	if (lost)
		return true;
	if (image)
		return strcmp(image, "none") != 0;
	for (int i = 0; i < OPTION_COUNT; i++)
		if (values[i])
			return true;
	return false;
}

char **options_collect(void)
{
	char **list = lost ? NULL : calloc(OPTION_COUNT + 1, sizeof(*list));
	size_t count = 0;

	for (int i = 0; list && i < OPTION_COUNT; i++)
		if (values[i] && asprintf(&list[count++], "%s=%s",
					  table[i].name, values[i]) < 0)
			return NULL;
	return list;
}
