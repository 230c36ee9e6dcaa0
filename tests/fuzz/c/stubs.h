/*
 * stubs.h - the step that the stub of Slurm tells the plugin about.
 *
 * Read by cffi, too: below the first directive there are plain declarations only.
 */
#ifndef SOCKER_STUBS_H
#define SOCKER_STUBS_H

#include <stdint.h>

struct stub_step {
	uint32_t job_id;
	uint32_t step_id;
	uint32_t node_index;
	uint32_t uid;
	uint32_t gid;
	uint32_t *groups;
	int32_t group_count;
	char **env;
	char **argv;
	int32_t argc;
};

extern struct stub_step stub_step;

#endif
