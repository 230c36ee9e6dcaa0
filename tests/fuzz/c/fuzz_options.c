/*
 * fuzz_options.c - any options whatever: in srun from the command line and the
 * environment, then on the node from the list that came along.
 *
 * Input: strings that end with NUL.  The first letter of each says where it comes
 * from: the environment, the command line, the list on the node, the check's
 * answer, the job's digest, or the command's own first word.
 */
#include "../../../spank_plugin/submit.c"
#include "../../../spank_plugin/submit_check.c"
#include "../../../spank_plugin/options.c"

#include "fuzz.h"
#include "stubs.h"

static void forget_all(void)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		option_forget(i);
		free(expected[i]);
		expected[i] = NULL;
		from_environment[i] = false;
	}
	free(directory);
	directory = NULL;
	verbose = options_lost = false;
}

static void check_collected(void)
{
	char **list = options_collect();

	for (char **entry = list; entry && *entry; entry++) {
		REQUIRE(strchr(*entry, '='));
		free(*entry);
	}
	free(list);
}

static void receive_list(const char *text)
{
	char *entry, *env[2] = { NULL, NULL };

	REQUIRE(asprintf(&entry, OPTIONS_VARIABLE "=%s", text) >= 0);
	env[0] = entry;
	REQUIRE(options_receive(env));
	check_collected();
	free(entry);
}

/* What srun puts together, the node takes apart. */
static void check_round_trip(void)
{
	char *before[OPTION_COUNT], *list = list_options();
	bool can_be_told = true;

	REQUIRE(list);
	for (int i = 0; i < OPTION_COUNT; i++) {
		before[i] = option_given(i) ? strdup(option_values[i].text) : NULL;
		if (before[i] && strchr(before[i], *OPTIONS_SEPARATOR))
			can_be_told = false;	/* the parser refuses these */
	}
	receive_list(list);
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (can_be_told)
			REQUIRE(before[i] ? option_given(i) &&
				!strcmp(before[i], option_values[i].text) : !option_given(i));
		free(before[i]);
	}
	free(list);
}

static void give(char *text)
{
	char *value = strchr(text, '=');
	int which = (unsigned char)text[0] % OPTION_COUNT;

	on_option(which, value ? value + 1 : NULL, 0);
}

static void set_environment(const char *text)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "SOCKER_%s", OPTIONS[(unsigned char)*text % OPTION_COUNT].name);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	setenv(name, *text ? text + 1 : text, 1);
}

static void restore_command(char *text)
{
	char *argv[] = { text, NULL };

	stub_step.argv = argv;
	stub_step.argc = 1;
	protect_restore(NULL);
	REQUIRE(argv[0] == text);
	stub_step.argc = 0;
}

/* Of the environment that a job's owner may write. */
static void take_digest(const char *text)
{
	setenv("SLURM_SOCKER_DIGEST", text, 1);
	digest_take_jobs();
	REQUIRE(!digest_known() || strlen(digest_known()) <= strlen("sha256:") + 64);
	REQUIRE(!digest_entry() || !strncmp(digest_entry(), "digest=", strlen("digest=")));
	digest_publish(true);
}

static void take(char *text, size_t size)
{
	if (text[0] == 'e')
		set_environment(text + 1);
	else if (text[0] == 'l')
		receive_list(text + 1);
	else if (text[0] == 'a')
		take_answer(text + 1, size - 1);
	else if (text[0] == 'd')
		take_digest(text + 1);
	else if (text[0] == 'c')
		restore_command(text + 1);
	else
		give(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *all = text_of(data, size), *end = all + size;

	clearenv();
	/* The environment is heard before the command line. */
	for (char *text = all; text < end; text += strlen(text) + 1)
		if (text[0] == 'e')
			take(text, strlen(text));
	submit_begin(size % 2);
	for (char *text = all; text < end; text += strlen(text) + 1)
		if (text[0] != 'e' && *text)
			take(text, strlen(text));
	drop_overruled();
	REQUIRE(!make_paths_absolute());
	check_round_trip();
	forget_all();
	free(all);
	return 0;
}
