/*
 * fuzz_prolog.c - anything whatever that a site's TaskProlog may print, up to the
 * task's environment.  Its `print` lines go nowhere.
 */
#include <fcntl.h>
#include <unistd.h>

#include "../../../spank_plugin/prolog.c"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct words changes = { 0 };
	char *text = text_of(data, size);
	int null = open("/dev/null", O_WRONLY), output = dup(STDOUT_FILENO);

	dup2(null, STDOUT_FILENO);
	REQUIRE(!take_output(text, &changes));
	dup2(output, STDOUT_FILENO);
	close(null);
	close(output);
	for (size_t i = 0; i < changes.count; i++)
		REQUIRE(changes.list[i][0] && changes.list[i][0] != '=' &&
			!strchr(changes.list[i], '\n'));
	step_apply_environment(NULL, &changes);
	for (size_t i = 0; i < changes.count; i++)
		REQUIRE(!strchr(changes.list[i], '\n'));
	stub_reset();
	words_free(&changes);
	free(text);
	return 0;
}
