/*
 * stubs.c - stands in for Slurm in the fuzz targets and in the contract's tests.
 */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <slurm/spank.h>

#include "fuzz.h"
#include "stubs.h"

struct stub_step stub_step;
char *stub_environment[STUB_VARIABLES + 1];

char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

int lowest_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	REQUIRE(fd >= 0);
	close(fd);
	return fd;
}

void slurm_spank_log(const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
}

void slurm_info(const char *fmt, ...)
{
	(void)fmt;
}

void slurm_error(const char *fmt, ...)
{
	(void)fmt;
}

spank_err_t spank_option_register(spank_t sp, struct spank_option *option)
{
	(void)sp;
	(void)option;
	return ESPANK_SUCCESS;
}

/* --- the step ---------------------------------------------------------------- */

spank_err_t spank_get_item(spank_t sp, spank_item_t item, ...)
{
	va_list ap;

	(void)sp;
	va_start(ap, item);
	switch (item) {
	case S_JOB_ID:
		*va_arg(ap, uint32_t *) = stub_step.job_id;
		break;
	case S_JOB_STEPID:
		*va_arg(ap, uint32_t *) = stub_step.step_id;
		break;
	case S_JOB_NODEID:
		*va_arg(ap, uint32_t *) = stub_step.node_index;
		break;
	case S_JOB_UID:
		*va_arg(ap, uid_t *) = stub_step.uid;
		break;
	case S_JOB_GID:
		*va_arg(ap, gid_t *) = stub_step.gid;
		break;
	case S_JOB_SUPPLEMENTARY_GIDS:
		*va_arg(ap, gid_t **) = stub_step.groups;
		*va_arg(ap, int *) = stub_step.group_count;
		break;
	case S_JOB_ENV:
		*va_arg(ap, char ***) = stub_step.env ? stub_step.env : stub_environment;
		break;
	case S_JOB_ARGV:
		*va_arg(ap, int *) = stub_step.argc;
		*va_arg(ap, char ***) = stub_step.argv;
		break;
	default:
		va_end(ap);
		return ESPANK_BAD_ARG;
	}
	va_end(ap);
	return ESPANK_SUCCESS;
}

/* --- its environment ---------------------------------------------------------- */

void stub_reset(void)
{
	for (char **entry = stub_environment; *entry; entry++) {
		free(*entry);
		*entry = NULL;
	}
}

static char **find(const char *name)
{
	size_t length = strlen(name);
	char **entry = stub_environment;

	while (*entry && (strncmp(*entry, name, length) || (*entry)[length] != '='))
		entry++;
	return entry;
}

spank_err_t spank_setenv(spank_t sp, const char *name, const char *value, int overwrite)
{
	char **entry = find(name), *text;

	(void)sp;
	(void)overwrite;
	if (!*name || strchr(name, '=') || entry == stub_environment + STUB_VARIABLES)
		return ESPANK_BAD_ARG;
	REQUIRE(asprintf(&text, "%s=%s", name, value) >= 0);
	free(*entry);
	*entry = text;
	return ESPANK_SUCCESS;
}

spank_err_t spank_getenv(spank_t sp, const char *name, char *buffer, int size)
{
	char **entry = find(name);

	(void)sp;
	if (!*entry)
		return ESPANK_ENV_NOEXIST;
	snprintf(buffer, (size_t)size, "%s", *entry + strlen(name) + 1);
	return ESPANK_SUCCESS;
}

spank_err_t spank_unsetenv(spank_t sp, const char *name)
{
	char **entry = find(name);

	(void)sp;
	if (!*entry)
		return ESPANK_ENV_NOEXIST;
	free(*entry);
	do
		entry[0] = entry[1];
	while (*entry++);
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_setenv(spank_t sp, const char *name, const char *value,
				     int overwrite)
{
	(void)sp;
	(void)name;
	(void)value;
	(void)overwrite;
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_unsetenv(spank_t sp, const char *name)
{
	(void)sp;
	(void)name;
	return ESPANK_SUCCESS;
}

const char *spank_strerror(spank_err_t error)
{
	(void)error;
	return "stub error";
}
