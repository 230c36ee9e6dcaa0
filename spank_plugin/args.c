/*
 * args.c - the plugstack line's arguments that the shim itself needs; all of
 * them go to Python, which checks them (pycontrol/config.py).
 */
#include <stdlib.h>
#include <string.h>

#include "shim.h"

enum { DEFAULT_TIMEOUT = 60 };	/* seconds */

#ifndef SOCKER_LIBRARY
#define SOCKER_LIBRARY "/usr/lib/socker/socker_python.so"
#endif

const char *hook_config_argument(int ac, char **av, const char *name)
{
	size_t length = strlen(name);

	for (int i = 0; i < ac; i++)
		if (!strncmp(av[i], name, length) && av[i][length] == '=')
			return av[i] + length + 1;
	return NULL;
}

bool native_is_checked(int ac, char **av)
{
	const char *native = hook_config_argument(ac, av, "native");

	/* Another value is a mistake of the admin's: the check is what was meant. */
	return native != NULL;
}

void hook_config_free(struct hook_config *config)
{
	free(config->library);
	free(config->python);
	free(config->args);
	*config = (struct hook_config) { 0 };
}

int hook_config_parse(struct hook_config *config, int ac, char **av)
{
	const char *library, *python, *timeout;

	hook_config_free(config);
	config->args = calloc((size_t)ac + 1, sizeof(char *));
	if (!config->args)
		return -1;
	memcpy(config->args, av, (size_t)ac * sizeof(char *));
	library = hook_config_argument(ac, av, "library");
	python = hook_config_argument(ac, av, "python");
	timeout = hook_config_argument(ac, av, "timeout");
	if (!python) {
		say("plugstack.conf: the argument python=PATH is missing: run "
		    "`socker install` again");
		return -1;
	}
	config->library = strdup(library ? library : SOCKER_LIBRARY);
	config->python = strdup(python);
	config->timeout = timeout ? atoi(timeout) : DEFAULT_TIMEOUT;
	if (config->timeout < 1 || config->timeout > HOOK_LONGEST_TIMEOUT)
		config->timeout = DEFAULT_TIMEOUT;
	return config->library && config->python ? 0 : -1;
}
