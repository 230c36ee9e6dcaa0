/*
 * shim.h - what the parts of the plugin (socker.so) know of each other.
 *
 * The shim decides nothing: it registers options, fills a request, runs the
 * hook in a child, and lets tasks join.  Every function that can fail says why
 * itself and returns -1; success is 0.
 */
#ifndef SOCKER_SHIM_H
#define SOCKER_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <slurm/spank.h>

#include "bridge.h"

/* options.c: the options of srun, sbatch and salloc */

int options_register(spank_t sp);
bool options_want_container(void);
/* The given options as a new NULL-terminated array of "name=value". */
char **options_collect(void);

/* plan.c: what the hook decided, as one task read it */

struct mount_entry {
	bool read_only;
	bool devices;
	bool optional;
	char *source;
	char *target;
	int tree;		/* detached clone of source; -1 when skipped */
	bool is_dir;
};

struct plan {
	bool complete;		/* the hook said success */
	int namespace_fd;
	bool read_only_root;
	struct mount_entry *mounts;
	size_t mount_count;
	char **workdirs;
	size_t workdir_count;
	char **env;		/* "NAME=VALUE" to set, "NAME" to remove */
	size_t env_count;
	char *failure;
};

extern const struct plan PLAN_EMPTY;
void plan_free(struct plan *plan);
/* Takes one record; fd is the descriptor that came with it, or -1. */
int plan_add(struct plan *plan, const char *record, size_t size, int fd);

/* args.c: the plugstack line */

struct hook_config {
	char *library;		/* socker_python.so */
	char *python;		/* the interpreter whose packages the hook uses */
	int timeout;		/* seconds a hook has, unless it asks for more */
	char **args;		/* all arguments of the plugstack line, for Python */
};

int hook_config_parse(struct hook_config *config, int ac, char **av);
void hook_config_free(struct hook_config *config);

/* hook.c: one Python hook in a child; records.c: what it says */

/* A hook that was started, and the tasks' ends of its channels. */
struct hook {
	int process;		/* pidfd: slurmstepd may reap the child itself */
	int errors;		/* what it prints: Python's own last words */
	int *channels;
	size_t channel_count;
};

#define HOOK_LONGEST_TIMEOUT (24 * 3600)
#define HOOK_NONE { .process = -1, .errors = -1 }

int hook_start(const struct hook_config *config, struct step_request *request,
	       size_t channel_count, struct hook *hook);
/*
 * Reads channel `index` until the hook succeeded or failed.  tell shows a line
 * to whom it concerns; NULL: somebody else does.
 */
int hook_wait(struct hook *hook, size_t index, int timeout,
	      void (*tell)(const char *text), struct plan *plan);
/*
 * A channel belongs to one task: it closes the others, and slurmstepd each once
 * its task is forked, so that the hook notices a task that has ended.
 */
void hook_keep_channel(struct hook *hook, size_t index);
void hook_close_channel(struct hook *hook, size_t index);
/* Ends a hook that still runs, and forgets it. */
void hook_end(struct hook *hook);

/* step.c: the only place that asks SPANK for items */

int step_fill_step(spank_t sp, struct step_request *request);
int step_fill_job(spank_t sp, struct step_request *request);
int step_local_task_count(spank_t sp, size_t *count);
int step_task_index(spank_t sp, size_t *index);
int step_apply_environment(spank_t sp, const struct plan *plan);

/* caps.c, join.c: a task enters the container */

int caps_keep(void);
int caps_lay_down(void);
/* Reports by itself.  On success *workdir is where the task now is. */
int join_container(const struct plan *plan, const char **workdir);

/* Each part writes to the user in one style. */
#define say(fmt, ...) slurm_spank_log("socker: " fmt, ##__VA_ARGS__)

#endif
