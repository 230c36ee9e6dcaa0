/*
 * python_entry.c - starts Python and calls the hook: the C side of
 * socker_python.so, the only object that is linked with libpython.
 *
 * Runs as root in the child that hook.c forked.  The interpreter is isolated:
 * no environment variable, no user site, nothing of the current directory.
 */
#include <Python.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"

static int socker_python_hook(struct step_request *request);

/* Where `python`'s venv is: up to the `/` before bin/. */
static int length_of_venv(const char *python)
{
	const char *end = strrchr(python, '/');

	while (end && end > python && end[-1] != '/')
		end--;
	return end ? (int)(end - python) : 0;
}

/* Whether all that is installed for it is in its own site-packages (pyvenv.cfg). */
static int stands_alone(const char *python, int length)
{
	char path[4096], text[4096] = "";
	FILE *file;

	if (snprintf(path, sizeof(path), "%.*spyvenv.cfg", length, python) >= (int)sizeof(path))
		return 0;
	file = fopen(path, "re");
	if (!file)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return strstr(text, "include-system-site-packages = false") != NULL;
}

/* Whether our package is there, and not by way of a .pth file. */
static int packages_of(const char *python, char *path, size_t size)
{
	int venv = length_of_venv(python), length;
	char module[4096];

	if (!stands_alone(python, venv))
		return 0;
	length = snprintf(path, size, "%.*slib/python%d.%d/site-packages", venv, python,
			  PY_MAJOR_VERSION, PY_MINOR_VERSION);
	if (length < 0 || (size_t)length >= size)
		return 0;
	length = snprintf(module, sizeof(module), "%s/pycontrol/hooks.py", path);
	return length > 0 && (size_t)length < sizeof(module) && !access(module, R_OK);
}

/*
 * What `site` would do for us takes 3 ms of each hook, for the .pth files and the
 * sitecustomize of others.  It is asked all the same where packages are elsewhere, too.
 */
static int add_packages(const char *python)
{
	PyObject *list = PySys_GetObject("path"), *folder = NULL;
	char path[4096];
	int rc;

	if (!packages_of(python, path, sizeof(path)))
		return PyRun_SimpleString("import site; site.main()");
	folder = PyUnicode_DecodeFSDefault(path);
	rc = list && folder ? PyList_Append(list, folder) : -1;
	Py_XDECREF(folder);
	return rc;
}

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
	config.site_import = 0;
	status = PyConfig_SetBytesString(&config, &config.program_name, python);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesString(&config, &config.executable, python);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (!PyStatus_Exception(status))
		return add_packages(python);
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
