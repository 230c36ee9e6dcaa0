/*
 * protect.c - keeps a container step's command off nodes that lack the plugin.
 *
 * Such a node ignores the options and would run the command bare.  So srun sends a
 * command that exists nowhere, and the plugin on the node takes the first part off
 * again (docs/developer/decisions/0009-one-list-of-options.md).
 */
#include <stdio.h>
#include <string.h>

#include "shim.h"

#define NO_PLUGIN "/socker-plugin-is-missing-on-this-node"
#define VERBOSE "-v"

extern int slurm_get_log_level(void) __attribute__((weak));

enum { SLURM_VERBOSE = 4 };	/* LOG_LEVEL_VERBOSE of Slurm's log.h: one -v */

/* Slurm frees neither word.  Only now srun's -v has its effect: it goes along. */
void protect_command(spank_t sp)
{
	bool verbose = slurm_get_log_level && slurm_get_log_level() >= SLURM_VERBOSE;
	char **argv = step_command(sp);
	char *word;

	if (argv && asprintf(&word, NO_PLUGIN "%s/%s", verbose ? VERBOSE : "", argv[0]) >= 0)
		argv[0] = word;
}

bool protect_restore(spank_t sp)
{
	char **argv = step_command(sp), *rest;
	bool verbose;

	if (!argv || strncmp(argv[0], NO_PLUGIN, strlen(NO_PLUGIN)))
		return false;
	rest = argv[0] + strlen(NO_PLUGIN);
	verbose = !strncmp(rest, VERBOSE "/", strlen(VERBOSE "/"));
	rest += verbose ? strlen(VERBOSE) : 0;
	if (*rest++ != '/')
		return false;
	memmove(argv[0], rest, strlen(rest) + 1);
	return verbose;
}
