/*
 * asked.c - what a step asks for, as one piece that can be compared with another
 * step's, or with what its job asked for: everything of the request but the step's
 * number, its command, and what a plan names if it depends on it (recorded.c): the
 * environment, and how many tasks there are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorded.h"
#include "shim.h"

enum { FIRST_SPECIAL_STEP = 0xfffffff0 };	/* slurm.h: the batch script and the like */

static void put(FILE *out, const char *text)
{
	fwrite(text, strlen(text) + 1, 1, out);
}

static void put_list(FILE *out, char **list)
{
	for (; list && *list; list++)
		put(out, *list);
	put(out, "");
}

static void put_request(FILE *out, const struct step_request *request)
{
	fprintf(out, "%u %u %u %u %u %d", request->abi, request->job_id, request->uid,
		request->gid, request->node_index == 0, request->group_count);
	for (int i = 0; i < request->group_count; i++)
		fprintf(out, " %u", request->groups[i]);
	put(out, "");
	put(out, request->node);
	put(out, request->cwd);
	put(out, request->tmp_fs);
	put_list(out, request->options);
	put_list(out, request->plugin_args);
}

/* FNV-1a: it only names a file, whose content is compared. */
uint64_t hash_of(const char *data, size_t size)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < size; i++)
		value = (value ^ (unsigned char)data[i]) * 0x100000001b3;
	return value;
}

/* A PMIx server's directory is the step's own, and a script its job's only one. */
static bool may_be_kept(const struct step_request *request)
{
	if (!request->pmix_server || *request->pmix_server)
		return false;
	return request->hook == SOCKER_JOB_START ||
	       (request->hook == SOCKER_STEP_START && request->step_id < FIRST_SPECIAL_STEP);
}

void asked_describe(struct step_request *request)
{
	char *data = NULL, *path = NULL;
	size_t size = 0;
	FILE *out;

	request->asked = request->plan_file = "";
	request->asked_size = 0;
	out = may_be_kept(request) ? open_memstream(&data, &size) : NULL;
	if (!out)
		return;
	put_request(out, request);
	if (fclose(out) || asprintf(&path, "%s/%s/%u/plan-%016llx", request->state_directory,
				    request->node, request->job_id,
				    (unsigned long long)hash_of(data, size)) < 0)
		return;
	request->asked = data;
	request->asked_size = (uint32_t)size;
	request->plan_file = path;
}
