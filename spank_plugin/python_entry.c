/*
 * python_entry.c - starts Python and calls the hook: the C side of
 * socker_python.so, the only object that is linked with libpython.
 *
 * Runs as root in the child that hook.c forked.  The interpreter is isolated:
 * no environment variable, no user site, nothing of the current directory.
 */
#include <Python.h>

#include "bridge.h"

static int socker_python_hook(struct step_request *request);

/* The venv of `python` is found through its pyvenv.cfg, as that binary does. */
static int start_python(const char *python)
{
	PyPreConfig before;
	PyConfig config;
	PyStatus status;

	/* Names and messages are UTF-8, whatever locale slurmstepd is in. */
	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;
	status = Py_PreInitialize(&before);
	if (PyStatus_Exception(status)) {
		fprintf(stderr, "Python cannot be started: %s\n",
			status.err_msg ? status.err_msg : "no reason given");
		return -1;
	}
	PyConfig_InitIsolatedConfig(&config);
	config.write_bytecode = 0;
	status = PyConfig_SetBytesString(&config, &config.program_name, python);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesString(&config, &config.executable, python);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (!PyStatus_Exception(status))
		return 0;
	fprintf(stderr, "Python cannot be started from %s: %s\n", python,
		status.err_msg ? status.err_msg : "no reason given");
	return -1;
}

__attribute__((visibility("default")))
int socker_hook_main(const char *python, struct step_request *request)
{
	if (request->abi != SOCKER_ABI) {
		fprintf(stderr, "socker.so and socker_python.so are of different "
			"releases: run `socker install` again\n");
		return 1;
	}
	if (start_python(python))
		return 1;
	/* cffi takes the running interpreter. */
	return socker_python_hook(request);
}
