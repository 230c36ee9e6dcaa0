/*
 * stub_slurm.c - stands in for slurmstepd, srun and sbatch in the shim's tests.
 *
 *   stub_slurm PLUGIN CONTEXT [--arg=PLUGSTACK_ARG ...] [--option=NAME=VALUE ...]
 *              [--tasks=N] [--linger]
 *
 * Loads the plugin as Slurm does and walks through the callbacks of one
 * context: local (srun), allocator (sbatch), remote (slurmstepd), prolog and epilog
 * (slurmd), extern (slurmstepd of a job's extern step).  In remote,
 * a forked "task" that comes back from task_init prints RAN-ON-THE-NODE: the
 * words that must never show for a container step that failed.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <slurm/spank.h>

extern char **environ;

static struct spank_option registered[32];
static int registered_count;
static spank_context_t context;
static int task_count = 1, task_index, linger, in_extern;

/* --- what the plugin calls ------------------------------------------------- */

spank_context_t spank_context(void)
{
	return context;
}

spank_err_t spank_option_register(spank_t sp, struct spank_option *opt)
{
	(void)sp;
	registered[registered_count++] = *opt;
	return ESPANK_SUCCESS;
}

spank_err_t spank_get_item(spank_t sp, spank_item_t item, ...)
{
	static char word[] = "true", *argv[] = { word, NULL };
	static gid_t groups[] = { 7, 8 };
	va_list ap;

	(void)sp;
	va_start(ap, item);
	switch (item) {
	case S_JOB_STEPID:
		*va_arg(ap, uint32_t *) = in_extern ? 0xfffffffc : 42;	/* slurm.h */
		break;
	case S_JOB_ID:
		*va_arg(ap, uint32_t *) = 42;
		break;
	case S_JOB_NODEID:
		*va_arg(ap, uint32_t *) = 0;
		break;
	case S_JOB_LOCAL_TASK_COUNT:
		*va_arg(ap, uint32_t *) = (uint32_t)task_count;
		break;
	case S_TASK_ID:
		*va_arg(ap, int *) = task_index;
		break;
	case S_JOB_UID:
	case S_JOB_GID:
		*va_arg(ap, uid_t *) = 1000;
		break;
	case S_JOB_ENV:
		*va_arg(ap, char ***) = environ;
		break;
	case S_JOB_ARGV:
		*va_arg(ap, int *) = 1;
		*va_arg(ap, char ***) = argv;
		break;
	case S_JOB_SUPPLEMENTARY_GIDS:
		*va_arg(ap, gid_t **) = groups;
		*va_arg(ap, int *) = 2;
		break;
	default:
		va_end(ap);
		return ESPANK_BAD_ARG;
	}
	va_end(ap);
	return ESPANK_SUCCESS;
}

spank_err_t spank_setenv(spank_t sp, const char *name, const char *value, int overwrite)
{
	(void)sp;
	printf("setenv %s=%s\n", name, value);
	return setenv(name, value, overwrite) ? ESPANK_BAD_ARG : ESPANK_SUCCESS;
}

spank_err_t spank_getenv(spank_t sp, const char *name, char *buffer, int size)
{
	const char *value = getenv(name);

	(void)sp;
	if (!value)
		return ESPANK_ENV_NOEXIST;
	snprintf(buffer, (size_t)size, "%s", value);
	return ESPANK_SUCCESS;
}

spank_err_t spank_unsetenv(spank_t sp, const char *name)
{
	(void)sp;
	printf("unsetenv %s\n", name);
	return unsetenv(name) ? ESPANK_BAD_ARG : ESPANK_SUCCESS;
}

spank_err_t spank_job_control_setenv(spank_t sp, const char *name, const char *value,
				     int overwrite)
{
	(void)sp;
	(void)overwrite;
	printf("job %s=%s\n", name, value);
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_unsetenv(spank_t sp, const char *name)
{
	(void)sp;
	(void)name;
	return ESPANK_SUCCESS;
}

const char *spank_strerror(spank_err_t err)
{
	(void)err;
	return "stub error";
}

static void print(const char *prefix, const char *fmt, va_list ap)
{
	printf("%s: ", prefix);
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
}

#define LOGGER(name, prefix)				\
	void name(const char *fmt, ...)			\
	{						\
		va_list ap;				\
		va_start(ap, fmt);			\
		print(prefix, fmt, ap);			\
		va_end(ap);				\
	}

LOGGER(slurm_spank_log, "user")
LOGGER(slurm_info, "log")
LOGGER(slurm_error, "error")

/* --- the walk --------------------------------------------------------------- */

static char *plugin_args[32];
static int plugin_arg_count;
static void *plugin;

static int call(const char *name)
{
	spank_f *function = NULL;

	*(void **)&function = dlsym(plugin, name);
	return function ? function((spank_t)&plugin, plugin_arg_count, plugin_args) : 0;
}

/* As Slurm's _do_option_cb: an unknown option is a mistake of the test. */
static int give_option(char *text)
{
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	for (int i = 0; i < registered_count; i++)
		if (!strcmp(registered[i].name, text))
			return registered[i].cb(registered[i].val, value,
						context == S_CTX_REMOTE);
	fprintf(stderr, "no option %s\n", text);
	exit(9);
}

static pid_t start_task(int index)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	task_index = index;
	if (call("slurm_spank_task_init_privileged") || call("slurm_spank_task_init"))
		printf("task hook failed\n");
	printf("RAN-ON-THE-NODE\n");
	fflush(stdout);
	usleep(linger ? 300000 : 0);
	_exit(0);
}

/* As _wait_for_any_task() of slurmstepd, which is held up by such a child. */
static void wait_for_task(const pid_t *tasks)
{
	int status;
	pid_t pid = wait3(&status, 0, NULL);

	for (int i = 0; i < task_count; i++)
		if (tasks[i] == pid) {
			printf("task status %d\n", status);
			return;
		}
	printf("a child that is no task has ended\n");
	wait_for_task(tasks);
}

static void remote(void)
{
	pid_t tasks[16];
	FILE *maps;
	char line[512];

	printf("user_init %d\n", call("slurm_spank_user_init"));
	for (int i = 0; i < task_count; i++)
		tasks[i] = start_task(i);
	for (task_index = 0; task_index < task_count; task_index++)
		call("slurm_spank_task_post_fork");
	for (int i = 0; i < task_count; i++)
		wait_for_task(tasks);
	printf("exit %d\n", call("slurm_spank_exit"));
	maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "libpython"))
			printf("libpython is mapped\n");
	if (maps)
		fclose(maps);
}

/* Its one process is Slurm's own; what the hook prints comes with the end. */
static void extern_step(void)
{
	call("slurm_spank_task_post_fork");
	sleep(1);
	printf("exit %d\n", call("slurm_spank_exit"));
}

static void show_variables(void)
{
	for (char **entry = environ; *entry; entry++)
		if (strstr(*entry, "SPANK") || strstr(*entry, "SOCKER"))
			printf("env %s\n", *entry);
}

int main(int argc, char **argv)
{
	plugin = dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL);
	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		return 9;
	}
	context = !strcmp(argv[2], "local") ? S_CTX_LOCAL :
		  !strcmp(argv[2], "allocator") ? S_CTX_ALLOCATOR :
		  !strcmp(argv[2], "prolog") || !strcmp(argv[2], "epilog") ? S_CTX_JOB_SCRIPT :
		  S_CTX_REMOTE;
	in_extern = !strcmp(argv[2], "extern");
	for (int i = 3; i < argc; i++)
		if (!strncmp(argv[i], "--arg=", 6))
			plugin_args[plugin_arg_count++] = argv[i] + 6;
		else if (!strcmp(argv[i], "--linger"))
			linger = 1;
		else if (!strncmp(argv[i], "--tasks=", 8))
			task_count = atoi(argv[i] + 8);
	printf("init %d\n", call("slurm_spank_init"));
	for (int i = 3; i < argc; i++)
		if (!strncmp(argv[i], "--option=", 9))
			printf("option %d\n", give_option(argv[i] + 9));
	if (context == S_CTX_JOB_SCRIPT) {
		printf("%s %d\n", argv[2], call(!strcmp(argv[2], "prolog") ?
						"slurm_spank_job_prolog" :
						"slurm_spank_job_epilog"));
		return 0;
	}
	if (context == S_CTX_REMOTE) {
		in_extern ? extern_step() : remote();
		return 0;
	}
	printf("post_opt %d\n", call("slurm_spank_init_post_opt"));
	if (context == S_CTX_LOCAL) {
		char **words;
		int count;

		call("slurm_spank_local_user_init");
		spank_get_item(NULL, S_JOB_ARGV, &count, &words);
		printf("command %s\n", words[0]);
	}
	show_variables();
	return 0;
}
