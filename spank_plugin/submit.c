/*
 * submit.c - in srun, sbatch and salloc: what the command line, the environment
 * and the job say becomes one list, is checked, and travels with the step.
 *
 * The command line wins over SOCKER_CONTAINER_..., and that over the options of
 * the job that an srun runs in.  Slurm carries only the last of repeated options,
 * and paths would mean another directory on the node: so the list goes along in
 * a variable that also --export=NONE lets pass (env_array_merge_slurm(), env.c).
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

/*
 * Slurm hands a job's options to the srun commands in it by variables of these
 * names (plugstack.c: spank_process_env_options, _option_setenv); all commands
 * give them to on_option() before their own command line.
 */
#define STEP_VARIABLE "_SLURM_SPANK_OPTION_socker_"
#define JOB_VARIABLE "SLURM_SPANK_" STEP_VARIABLE

enum { NAME_SIZE = 128 };

static char *expected[OPTION_COUNT];	/* what Slurm will give from JOB_VARIABLE */
static bool from_environment[OPTION_COUNT];

bool submit_from_job(int which)
{
	return option_values[which].origin == INHERITED && !from_environment[which];
}

bool submit_expects(int which, const char *text)
{
	return expected[which] && !strcmp(expected[which], text);
}

/* Slurm's name: the job's variable; behind its first part, the step's. */
static void variable_of(char name[NAME_SIZE], int which)
{
	int start = (int)strlen(JOB_VARIABLE);

	snprintf(name, NAME_SIZE, JOB_VARIABLE "%s%s", options_prefix, OPTIONS[which].name);
	for (char *c = name + start; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
}

static void unset_variables(int which)
{
	char name[NAME_SIZE];

	variable_of(name, which);
	unsetenv(name);
	unsetenv(name + strlen("SLURM_SPANK_"));
}

/* SOCKER_CONTAINER_IMAGE, SOCKER_DOCKER, SOCKER_NO_CONTAINER_MOUNT_HOME, ... */
static char *take_environment(int which)
{
	char name[NAME_SIZE];
	char *value;

	snprintf(name, sizeof(name), "SOCKER_%s", OPTIONS[which].name);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	value = getenv(name);
	if (!value)
		return NULL;
	value = strdup(value);
	/* It has been heard: inside the job it would win over the job's options. */
	unsetenv(name);
	return value;
}

/* A switch is on by 1, true, yes or nothing; off by 0, false or no. */
static bool switched_on(const char *value)
{
	return !*value || !strcasecmp(value, "1") || !strcasecmp(value, "true") ||
	       !strcasecmp(value, "yes");
}

static bool switched_off(const char *value)
{
	return !strcasecmp(value, "0") || !strcasecmp(value, "false") ||
	       !strcasecmp(value, "no");
}

/*
 * The value goes the way of the job's options: Slurm then knows it as given.
 * What is no switch's value stays as it is, for the check to refuse.
 */
static void adopt_environment(int which)
{
	char name[NAME_SIZE];
	char *value = take_environment(which);
	bool is_switch = !OPTIONS[which].arginfo;
	bool off = false;
	int target = which;

	if (!value)
		return;
	if (is_switch) {
		off = switched_off(value);
		if (off)
			target = OPTIONS[which].rival;
		if (off || switched_on(value))
			*value = '\0';
	}
	unset_variables(which);
	/* Of two variables that contradict each other none wins: the check refuses. */
	if (!from_environment[OPTIONS[which].rival])
		unset_variables(OPTIONS[which].rival);
	/* Off, and nothing that says the opposite: as if not given. */
	if (target != which || !off) {
		variable_of(name, target);
		setenv(name, value, 1);
		from_environment[target] = true;
	}
	free(value);
}

void submit_begin(bool new_job)
{
	char name[NAME_SIZE];

	if (!new_job)
		submit_directory_begin();
	/* A new job submitted from within a job starts without that job's options. */
	for (int i = 0; new_job && i < OPTION_COUNT; i++)
		unset_variables(i);
	digest_begin(new_job);
	for (int i = 0; i < OPTION_COUNT; i++)
		adopt_environment(i);
	for (int i = 0; i < OPTION_COUNT; i++) {
		variable_of(name, i);
		free(expected[i]);
		expected[i] = getenv(name) ? strdup(getenv(name)) : NULL;
	}
}

/* --- one list ---------------------------------------------------------------- */

/* The opposite of what this command line says, when only the job said it. */
static void drop_overruled(void)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		int rival = OPTIONS[i].rival;

		if (rival != i && option_values[i].origin == GIVEN &&
		    option_values[rival].origin == INHERITED)
			option_forget(rival);
	}
}

static bool is_relative(int which, const char *text)
{
	switch (OPTIONS[which].paths) {
	case DOT_PATH:
		return !strncmp(text, "./", 2) || !strncmp(text, "../", 3) ||
		       !strcmp(text, ".") || !strcmp(text, "..");
	case ANY_PATH:
		return *text && *text != '/';
	case MOUNT_PATHS:
		return *text && *text != '/' && *text != ':' &&
		       strncmp(text, "tmpfs:", 6) && strncmp(text, "umount:", 7);
	default:
		return false;
	}
}

/* Relative paths start where the user typed them, not where the step starts. */
static int make_absolute(int which, const char *directory)
{
	bool mounts = OPTIONS[which].paths == MOUNT_PATHS;
	char *all = strdup(option_values[which].text), *rest = all, *entry;
	char *made = strdup("");
	int rc = all && made ? 0 : -1;

	while (rc == 0 && (entry = mounts ? strsep(&rest, ",") : rest)) {
		bool relative = is_relative(which, entry);
		char *longer;

		if (asprintf(&longer, "%s%s%s%s%s", made, entry == all ? "" : ",",
			     relative ? directory : "", relative ? "/" : "", entry) < 0) {
			rc = -1;
			break;
		}
		free(made);
		made = longer;
		if (!mounts)
			break;
	}
	if (rc == 0)
		rc = option_set(which, made, option_values[which].origin);
	free(made);
	free(all);
	return rc;
}

static int make_paths_absolute(void)
{
	char directory[PATH_MAX];

	if (!getcwd(directory, sizeof(directory)))
		return 0;	/* relative ones are refused on the node */
	for (int i = 0; i < OPTION_COUNT; i++)
		if (option_given(i) && OPTIONS[i].paths != NO_PATH &&
		    make_absolute(i, directory))
			return -1;
	return 0;
}

/* list with one more entry, in place of it; NULL without memory. */
static char *append(char *list, const char *name, const char *value)
{
	const char *separator = list && *list ? OPTIONS_SEPARATOR : "";
	char *longer;

	if (!list || asprintf(&longer, "%s%s%s=%s", list, separator, name, value) < 0)
		longer = NULL;
	free(list);
	return longer;
}

/*
 * What goes to the node.  Complete: Slurm sends along what this command line took
 * back, too.
 */
static char *list_options(void)
{
	const char *verbose = getenv("SOCKER_VERBOSE");
	bool container = options_want_container();
	char *list = strdup("");

	if (container && verbose && switched_on(verbose))
		list = append(list, "verbose", "1");
	if (container && submit_directory())
		list = append(list, "directory", submit_directory());
	for (int i = 0; list && i < OPTION_COUNT; i++)
		if (option_given(i))
			list = append(list, OPTIONS[i].name, option_values[i].text);
	return digest_known() ? append(list, "digest", digest_known()) : list;
}

/* In the environment of the step, and nothing left of an outer one's. */
static int publish_to_step(spank_t sp)
{
	static char *earlier;	/* of another component of a heterogeneous job */
	char *list = list_options();

	if (!list)
		return -1;
	/* Slurm keeps one value of an option for all components, the last. */
	if (earlier && strcmp(earlier, list)) {
		say("the components of a heterogeneous job share their container "
		    "options: give the same to each, or start an srun for each: "
		    "srun --het-group=N");
		return -1;
	}
	free(earlier);
	earlier = list;
	early_publish(sp, list);
	unsetenv(OPTIONS_VARIABLE);
	return *list ? setenv(OPTIONS_VARIABLE, list, 1) : 0;
}

/* For the srun commands in the job: they see it as their job's options. */
static void publish_to_job(spank_t sp)
{
	char name[NAME_SIZE];
	const char *step = name + strlen("SLURM_SPANK_");

	for (int i = 0; i < OPTION_COUNT; i++) {
		variable_of(name, i);
		if (option_given(i) && !OPTIONS[i].own) {
			setenv(step, option_values[i].text, 1);
			spank_job_control_setenv(sp, step, option_values[i].text, 1);
		} else {
			unsetenv(step);
			spank_job_control_unsetenv(sp, step);
		}
	}
}

int submit_settle(spank_t sp, int ac, char **av, bool new_job)
{
	submit_directory_end();
	drop_overruled();
	if (make_paths_absolute() || submit_check(ac, av) || publish_to_step(sp))
		return -1;
	if (new_job)
		publish_to_job(sp);
	digest_publish(new_job);
	return 0;
}
