/*
 * options.c - the options that srun, sbatch and salloc show, and their values.
 *
 * Runs in every process that loads the plugin.  Stores strings and decides
 * nothing about them: that is pycontrol/request.py's, at submission and on the
 * node.  submit.c makes one list of what the command line, the environment and
 * the job say; on the node that list is what holds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* rival: the option that says the opposite; its own index when there is none. */
const struct option_spec OPTIONS[OPTION_COUNT] = {
	[IMAGE] = { "container-image", "IMAGE|PATH|none",
		"run the step in this Docker image, from a registry, the node's "
		"engine or a file; `none` runs it on the node itself",
		.paths = DOT_PATH, .rival = DOCKER },
	[DOCKER] = { "docker", "IMAGE|PATH|none",
		"the same as --container-image",
		.paths = DOT_PATH, .rival = IMAGE },
	[MOUNTS] = { "container-mounts", "SRC[:DST[:FLAG[+FLAG...]]][,...]",
		"show these files and directories of the node inside the container",
		.list = true, .paths = MOUNT_PATHS, .rival = MOUNTS },
	[WORKDIR] = { "container-workdir", "PATH",
		"start in this directory of the container", .rival = WORKDIR },
	[MOUNT_HOME] = { "container-mount-home", NULL,
		"show the home directory inside the container",
		.rival = NO_MOUNT_HOME },
	[NO_MOUNT_HOME] = { "no-container-mount-home", NULL,
		"do not show the home directory inside the container",
		.rival = MOUNT_HOME },
	[WRITABLE] = { "container-writable", NULL,
		"give the step a container of its own that it can write to",
		.rival = READONLY },
	[READONLY] = { "container-readonly", NULL,
		"make the container's root file system read-only",
		.rival = WRITABLE },
	[NAME] = { "container-name", "NAME[:auto|create|exec|no_exec]",
		"use the job's writable container of this name, made by the first "
		"step that names it", .rival = NAME },
	[SAVE] = { "container-save", "PATH|IMAGE",
		"when the step ends, save its writable container to this file or "
		"registry", .paths = DOT_PATH, .own = true, .rival = SAVE },
	[ENTRYPOINT] = { "container-entrypoint", NULL,
		"run the command through the image's ENTRYPOINT",
		.rival = NO_ENTRYPOINT },
	[NO_ENTRYPOINT] = { "no-container-entrypoint", NULL,
		"run the command without the image's ENTRYPOINT",
		.rival = ENTRYPOINT },
	[ENTRYPOINT_LOG] = { "container-entrypoint-log", NULL,
		"print the ENTRYPOINT that the command is run through",
		.rival = ENTRYPOINT_LOG },
	[ENV] = { "container-env", "NAME[=VALUE][,...]",
		"keep these variables of the job, or set them, whatever the image "
		"sets", .list = true, .rival = ENV },
	[ENV_FILE] = { "container-env-file", "PATH",
		"set the variables that this file lists, one NAME=VALUE a line",
		.paths = ANY_PATH, .rival = ENV_FILE },
	[UNSHARE] = { "container-unshare", "net|ipc|uts|pid[,...]",
		"give the step namespaces of its own on each node",
		.list = true, .rival = UNSHARE },
	[PULL] = { "container-pull", "always|missing|never",
		"when to ask the registry for the image", .rival = PULL },
	[TMP] = { "container-tmp", "host|private",
		"what /tmp is inside: the node's, or one of the step's own",
		.rival = TMP },
	[SLURM] = { "container-slurm", NULL,
		"have srun, sbatch and Slurm's other commands inside, as batch "
		"scripts and interactive steps do", .rival = NO_SLURM },
	[NO_SLURM] = { "no-container-slurm", NULL,
		"do not show Slurm's commands inside", .rival = SLURM },
	[REMAP_ROOT] = { "container-remap-root", NULL,
		"not supported yet: be root inside the container",
		.rival = NO_REMAP_ROOT },
	[NO_REMAP_ROOT] = { "no-container-remap-root", NULL,
		"be the same user inside the container, as always",
		.rival = REMAP_ROOT },
};

struct option_value option_values[OPTION_COUNT];
bool options_lost;
const char *options_prefix = "";

/* --- values ---------------------------------------------------------------- */

void option_forget(int which)
{
	free(option_values[which].text);
	option_values[which] = (struct option_value) { 0 };
}

/* Slurm goes on without an option that fails; the step must not. */
static int lose(void)
{
	options_lost = true;
	return -1;
}

int option_set(int which, const char *text, enum option_origin origin)
{
	char *copy = strdup(text);

	if (!copy)
		return lose();
	option_forget(which);
	option_values[which] = (struct option_value) { copy, origin };
	return 0;
}

static int option_append(int which, const char *text)
{
	char *joined;

	if (asprintf(&joined, "%s,%s", option_values[which].text, text) < 0)
		return lose();
	free(option_values[which].text);
	option_values[which].text = joined;
	return 0;
}

/*
 * srun gives the job's options (and those of the environment, submit.c) first,
 * then its command line's.  Repeated ones add up where they are lists.
 */
static int on_option(int which, const char *text, int remote)
{
	struct option_value *value = &option_values[which];

	text = text ? text : "";
	if (remote)
		return option_set(which, text, GIVEN);
	if (!value->text && submit_expects(which, text))
		return option_set(which, text, INHERITED);
	if (value->origin == GIVEN && OPTIONS[which].list)
		return option_append(which, text);
	return option_set(which, text, GIVEN);
}

bool option_given(int which)
{
	return option_values[which].text != NULL;
}

/* --- registering ------------------------------------------------------------ */

static int register_option(spank_t sp, int which)
{
	const struct option_spec *spec = &OPTIONS[which];
	struct spank_option option = {
		.arginfo = (char *)spec->arginfo,
		.has_arg = spec->arginfo != NULL,
		.val = which,
		.cb = on_option,
	};

	/* Slurm keeps copies of none of these. */
	if (asprintf(&option.name, "%s%s", options_prefix, spec->name) < 0 ||
	    asprintf(&option.usage, "[socker] %s", spec->usage) < 0)
		return -1;
	return spank_option_register(sp, &option) == ESPANK_SUCCESS ? 0 : -1;
}

int options_register(spank_t sp, int ac, char **av)
{
	for (int i = 0; i < ac; i++)
		if (!strncmp(av[i], "prefix=", strlen("prefix=")))
			options_prefix = av[i] + strlen("prefix=");
	for (int i = 0; i < OPTION_COUNT; i++)
		if (register_option(sp, i))
			return -1;
	return 0;
}

/* --- on the node ------------------------------------------------------------- */

static bool verbose;	/* the user wants to see the stages and their times */
static char *directory;	/* "directory=PATH" of an srun in a container; submit_directory.c */

void options_show_stages(void)
{
	verbose = true;
}

static void receive_one(char *text)
{
	char *equals = strchr(text, '=');

	verbose = verbose || !strcmp(text, "verbose=1");
	if (!strncmp(text, "directory=", strlen("directory="))) {
		free(directory);
		directory = strdup(text);
	}
	for (int i = 0; equals && i < OPTION_COUNT; i++)
		if ((size_t)(equals - text) == strlen(OPTIONS[i].name) &&
		    !strncmp(text, OPTIONS[i].name, (size_t)(equals - text)))
			option_set(i, equals + 1, GIVEN);
}

/* The list that submit.c wrote is complete; without it Slurm's own values hold. */
bool options_receive(char **env)
{
	const size_t length = strlen(OPTIONS_VARIABLE "=");
	char *list = NULL, *entry, *rest;

	while (*env && strncmp(*env, OPTIONS_VARIABLE "=", length))
		env++;
	if (!*env)
		return false;
	list = strdup(*env + length);
	if (!list) {
		lose();	/* with --export=NONE Slurm's own values are none */
		return true;
	}
	for (int i = 0; i < OPTION_COUNT; i++)
		option_forget(i);
	rest = list;
	while ((entry = strsep(&rest, OPTIONS_SEPARATOR)))
		if (!digest_take(entry))
			receive_one(entry);
	free(list);
	return true;
}

/*
 * Any container option asks for a container, so that a forgotten image is an
 * error and not a run on the bare node; --container-image=none takes it back.
 */
bool options_want_container(void)
{
	/* With both, --docker is srun's own and the other the job's. */
	const char *image = option_given(DOCKER) ? option_values[DOCKER].text
						 : option_values[IMAGE].text;

	if (options_lost)
		return true;
	if (image)
		return strcmp(image, "none") != 0;
	for (int i = 0; i < OPTION_COUNT; i++)
		if (option_given(i))
			return true;
	return false;
}

char **options_collect(void)
{
	char **list = options_lost ? NULL : calloc(OPTION_COUNT + 4, sizeof(*list));
	size_t count = 0;

	if (list && verbose && !(list[count++] = strdup("verbose=1")))
		return NULL;
	if (list && directory && !(list[count++] = strdup(directory)))
		return NULL;
	if (list && digest_entry() && !(list[count++] = strdup(digest_entry())))
		return NULL;
	for (int i = 0; list && i < OPTION_COUNT; i++)
		if (option_given(i) && asprintf(&list[count++], "%s=%s",
				OPTIONS[i].name, option_values[i].text) < 0)
			return NULL;
	return list;
}
