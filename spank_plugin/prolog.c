/*
 * prolog.c - runs the site's TaskProlog on the node, before the task enters the
 * container.
 *
 * Slurm runs it after task_init, so inside the image, where neither the script
 * nor its programs may exist, and a failure ends the task (task.c: task_exec).
 * So it runs here as it does for a native task: as the user, with the job's
 * environment; and the launcher, which does nothing, covers it inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "task.h"

enum { OUTPUT_MAX = 256 * 1024 };

static const char *prolog_path(void)
{
	const char *path = &slurm_conf ? slurm_conf.task_prolog : NULL;

	return path && *path ? path : NULL;
}

static _Noreturn void run_child(const char *path, char **env, int output)
{
	char *argv[] = { (char *)path, NULL };

	/* Natively a TaskProlog has no more than this. */
	if (caps_forget() || dup2(output, STDOUT_FILENO) < 0)
		_exit(EXIT_FAILURE);
	execve(path, argv, env);
	(void)fail("TaskProlog %s: %m", path);
	_exit(127);
}

static char *skip_spaces(char *text)
{
	return text + strspn(text, " \t");
}

/* slurm.conf(5), TaskProlog: `export NAME=value`, `unset NAME`, `print ...`. */
static int take_line(char *line, struct words *changes)
{
	char *value, *name, *end;

	if (!strncmp(line, "print ", 6))
		return dprintf(STDOUT_FILENO, "%s\n", skip_spaces(line + 6)) < 0 ? -1 : 0;
	if (!strncmp(line, "unset ", 6)) {
		name = skip_spaces(line + 6);
		name[strcspn(name, " \t")] = '\0';
		return *name && !strchr(name, '=') ? words_add(changes, name) : 0;
	}
	if (strncmp(line, "export ", 7))
		return 0;
	name = skip_spaces(line + 7);
	value = strchr(name, '=');
	if (!value || value == name)
		return 0;
	for (end = value; end > name && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	memmove(end, value, strlen(value) + 1);
	return words_add(changes, name);
}

static int take_output(char *output, struct words *changes)
{
	char *line, *rest = output;

	while ((line = strsep(&rest, "\n")))
		if (take_line(line, changes))
			return -1;
	return 0;
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char **with_context(char **env)
{
	size_t count = 0;
	char **copy;

	while (env[count])
		count++;
	copy = calloc(count + 2, sizeof(*copy));
	if (!copy)
		return NULL;
	copy[0] = "SLURM_SCRIPT_CONTEXT=prolog_task";
	memcpy(copy + 1, env, count * sizeof(*env));
	return copy;
}

/* 0 when there is none, or it succeeded. */
static int prolog_run(char **env, struct words *changes)
{
	const char *path = prolog_path();
	static char output[OUTPUT_MAX + 1];
	int ends[2], status;
	pid_t child;

	if (!path)
		return 0;
	env = with_context(env);
	if (!env || pipe2(ends, O_CLOEXEC))
		return fail("TaskProlog: %m");
	child = fork();
	if (child == 0)
		run_child(path, env, ends[1]);
	close(ends[1]);
	output[read_all(ends[0], output, OUTPUT_MAX)] = '\0';
	close(ends[0]);
	free(env);
	status = child < 0 ? -1 : wait_for(child);
	if (status) {
		(void)fail("TaskProlog %s failed with status %d: it is the site's: "
			   "tell the admin", path, status);
		/* As natively: task_exec() in Slurm's task.c. */
		_exit(status > 0 ? status : EXIT_FAILURE);
	}
	return take_output(output, changes);
}

/*
 * The site's TaskProlog before the join, its variables over all others, as
 * natively.
 */
int prolog_arrange(spank_t sp, struct plan *plan)
{
	struct words changes = { 0 };
	char **env = step_environment(sp);
	int rc;

	if (!env)
		return -1;
	rc = prolog_run(env, &changes);
	if (!rc && prolog_path())
		rc = plan_cover(plan, prolog_path());
	if (!rc && (step_apply_environment(sp, &plan->env) ||
		    step_copy_variables(sp, &plan->copies) ||
		    step_apply_environment(sp, &changes)))
		rc = -1;
	words_free(&changes);
	return rc;
}
