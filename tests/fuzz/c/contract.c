/*
 * contract.c - the C sides of what C and Python tell each other, for Python to
 * call: the reader of plans, the options in srun, the sources and rules of mounts.
 */
#include <string.h>

#include "../../../spank_plugin/mounts.c"
#include "../../../spank_plugin/options.c"
#include "../../../spank_plugin/paths.c"
#include "../../../spank_plugin/submit.c"

#include "fuzz.h"

/* --- plans ---------------------------------------------------------------------- */

static char told[1 << 16];	/* the last text for the user */

static void tell_us(const char *text)
{
	snprintf(told, sizeof(told), "%s", text);
}

const char *contract_told(void)
{
	return told;
}

struct output {
	unsigned char *at, *end;
};

static void put(struct output *output, const char *text)
{
	size_t size = strlen(text) + 1;

	REQUIRE((size_t)(output->end - output->at) >= size);
	memcpy(output->at, text, size);
	output->at += size;
}

static void put_words(struct output *output, const char *kind, const struct words *words)
{
	for (size_t i = 0; i < words->count; i++) {
		put(output, kind);
		put(output, words->list[i]);
	}
}

static void put_plan(struct output *output, const struct plan *plan)
{
	for (size_t i = 0; i < plan->mount_count; i++) {
		put(output, "M");
		put(output, plan->mounts[i].flags);
		put(output, plan->mounts[i].source);
		put(output, plan->mounts[i].target);
	}
	for (size_t i = 0; i < plan->hint_count; i++) {
		put(output, "H");
		put(output, plan->hints[i].mpi);
		put(output, plan->hints[i].needle);
		put(output, plan->hints[i].text);
	}
	put_words(output, "S", &plan->sources);
	put_words(output, "G", &plan->targets);
	put_words(output, "W", &plan->workdirs);
	put_words(output, "E", &plan->env);
	put_words(output, "C", &plan->copies);
	put_words(output, "A", &plan->entrypoint);
	if (plan->launcher) {
		put(output, "X");
		put(output, plan->launcher);
	}
	if (plan->read_only_root)
		put(output, "R");
}

/*
 * A plan as a task reads it, as strings that end with NUL: a letter and its fields.
 * Their size; -1 when the plan is refused.
 */
int contract_read_plan(int channel, unsigned char *into, int size)
{
	struct plan plan = PLAN_EMPTY;
	struct hook hook = HOOK_NONE;
	struct output output = { into, into + size };
	int rc;

	told[0] = '\0';
	hook.channel = channel;
	rc = hook_wait(&hook, 5, tell_us, &plan);
	if (!rc)
		put_plan(&output, &plan);
	plan_free(&plan);
	return rc ? -1 : (int)(output.at - into);
}

/* --- rules about paths ------------------------------------------------------------ */

int contract_covers(const char *prefix, const char *path)
{
	return covers(prefix, path);
}

/* Whether a task, which only looks so far, opens the source of a mount with such flags. */
int contract_opens(const char *flags, const char *source)
{
	struct mount_entry mount = { .flags = flags, .source = source };
	int fd = open_source(&mount);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* --- options ------------------------------------------------------------------------ */

/* What srun sends to the node; "NAME=VALUE" of its command line, in its order. */
char *contract_settle(char **given)
{
	char name[NAME_SIZE], *list;

	for (int i = 0; i < OPTION_COUNT; i++)
		option_forget(i);
	submit_begin(false);
	for (int i = 0; i < OPTION_COUNT; i++) {	/* as Slurm does */
		variable_of(name, i);
		if (getenv(name))
			on_option(i, getenv(name), 0);
	}
	for (; *given; given++)
		for (int i = 0; i < OPTION_COUNT; i++) {
			size_t length = strlen(OPTIONS[i].name);

			if (!strncmp(*given, OPTIONS[i].name, length) && (*given)[length] == '=')
				on_option(i, *given + length + 1, 0);
		}
	drop_overruled();
	list = make_paths_absolute() ? NULL : list_options();
	for (int i = 0; i < OPTION_COUNT; i++) {
		from_environment[i] = false;
		unset_variables(i);
	}
	return list;
}
