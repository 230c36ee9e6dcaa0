/*
 * fuzz_recorded.c - any file whatever as the plan that an earlier step has left, or as
 * what ends a container.
 *
 * Input: the file.  One that holds has begun with the release of the contract, has
 * what was asked for (a plan) or a container's id (an end), and its end is the file's.
 */
#include "../../../spank_plugin/recorded.c"

#include "fuzz.h"

static void check_whole(struct recorded *plan, const struct step_request *request, char wanted)
{
	struct entry entry, last = { 0 };
	bool found = false;

	plan->next = 0;
	while (recorded_next(plan, &entry)) {
		REQUIRE(entry.text + entry.size < plan->data + plan->size);
		if (entry.type == wanted)
			found = wanted != 'Q' || (entry.size == request->asked_size &&
				!memcmp(entry.text, request->asked, entry.size));
		last = entry;
	}
	REQUIRE(found && plan->data[0] == 'B' && last.type == 'K');
	REQUIRE(last.text + last.size + 1 == plan->data + plan->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *env[] = { "COLOUR=red", "EMPTY=", NULL };
	char *args[] = { "python=/p", "timeout=2", NULL };
	const struct step_request request = {
		.asked = "question", .asked_size = 8, .env = env,
		.plugin_args = args,
	};
	struct recorded plan = { .data = malloc(size + 1), .size = size };

	REQUIRE(plan.data);
	memcpy(plan.data, data, size);
	if (recorded_holds(&plan, &request, "BQTFPJLNRK"))
		check_whole(&plan, &request, 'Q');
	if (recorded_holds(&plan, &request, "BAFSCGOK"))
		check_whole(&plan, &request, 'C');
	recorded_free(&plan);
	return 0;
}
