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

#include <slurm/slurm.h>
#include <slurm/spank.h>

#include "bridge.h"

/* slurmstepd's own settings, of the release that this is compiled for. */
extern slurm_conf_t slurm_conf __attribute__((weak));

/* options.c: the options of srun, sbatch and salloc */

int options_register(spank_t sp, int ac, char **av);
/* On the node: the values that submit.c sent along in the step's environment, if it did. */
bool options_receive(char **env);
bool options_want_container(void);
/* The user wants to see the stages of the set-up. */
void options_show_stages(void);
/* The given options as a new NULL-terminated array of "name=value". */
char **options_collect(void);
#define OPTIONS_VARIABLE "SLURM_SOCKER_OPTIONS"

/* submit.c: in srun, sbatch and salloc */

void submit_begin(bool new_job);
int submit_settle(spank_t sp, int ac, char **av, bool new_job);

/* protect.c: in srun, when the step is about to be launched */

void protect_command(spank_t sp);
/* On the node: that is undone.  True when srun was given -v. */
bool protect_restore(spank_t sp);

/* plan.c: what the hook decided, as one task read it */

struct mount_entry {
	const char *flags;	/* letters, see bridge.h; start of one allocation */
	const char *source;
	const char *target;
	int tree;		/* detached clone of source; -1 when skipped */
	bool is_dir;
	bool is_own;		/* another task may find something else at its source */
};

/* What to tell the user if the needle is in the command's file, and Slurm's MPI is this. */
struct hint_entry {
	char *mpi;		/* start of one allocation */
	const char *needle, *text;
};

enum namespace_kind { NS_MOUNT, NS_NET, NS_IPC, NS_UTS, NS_PID, NS_KINDS };

struct words {
	char **list;
	size_t count;
};

struct plan {
	bool complete;		/* the hook said success */
	int namespaces[NS_KINDS];	/* descriptors; -1: the node's */
	bool read_only_root;
	struct mount_entry *mounts;
	size_t mount_count;
	struct words sources;	/* rules about paths: see bridge.h, paths.c */
	struct words targets;
	struct words workdirs;
	struct words env;	/* "NAME=VALUE" to set, "NAME" to remove */
	struct words copies;	/* "NAME=OTHER" of the task's variables */
	struct hint_entry *hints;
	size_t hint_count;
	struct words entrypoint;	/* in front of the command */
	char *launcher;		/* path on the node */
	char *failure;
};

extern const struct plan PLAN_EMPTY;
void plan_free(struct plan *plan);
int words_add(struct words *words, const char *text);
void words_free(struct words *words);
/* One more mount: the launcher, which does nothing there, over a file of the image. */
int plan_cover(struct plan *plan, const char *target);
/* Takes one record; fd is the descriptor that came with it, or -1. */
int plan_add(struct plan *plan, const char *record, size_t size, int fd);

/* args.c: the plugstack line */

struct hook_config {
	char *library;		/* socker_python.so */
	char *python;		/* the interpreter whose packages the hook uses */
	int timeout;		/* seconds a hook has, unless it asks for more */
	char **args;		/* all arguments of the plugstack line, for Python */
};

/* The first one's value; NULL when there is none. */
const char *hook_config_argument(int ac, char **av, const char *name);
/* native=check: the site's rules may require a container. */
bool native_is_checked(int ac, char **av);
int hook_config_parse(struct hook_config *config, int ac, char **av);
void hook_config_free(struct hook_config *config);

/* child.c: that process; it puts count channels into the queue */

_Noreturn void hook_child(const struct hook_config *config, struct step_request *request,
			  pid_t parent, int queue, size_t count, int errors);

/* read.c: how much there was, up to size */

size_t read_all(int fd, char *buffer, size_t size);

/* descriptors.c: fd is -1 where none goes or came along; too large a packet: -1, EMSGSIZE */

void descriptor_close(int *fd);
ssize_t packet_send(int socket, const void *data, size_t size, int fd);
ssize_t packet_receive(int socket, void *buffer, size_t size, int flags, int *fd);

/* share.c: in slurmstepd, before the tasks are forked, and when they are */

void share_begin(size_t tasks);
void share_end(void);

/* leave.c */

/* This process, and those it starts, are in no cgroup of the job any more. */
void leave_job(void);

/* hook.c: one hook in a child; records.c: what it says */

/* A hook that was started, and what it says. */
struct hook {
	int process;		/* pidfd: slurmstepd may reap the child itself */
	int errors;		/* what it prints: Python's own last words */
	int queue;		/* where the channels are, one for each task to take */
	int channel;		/* the one that this process has taken */
};

#define HOOK_LONGEST_TIMEOUT (24 * 3600)
#define HOOK_NONE { .process = -1, .errors = -1, .queue = -1, .channel = -1 }

int hook_start(const struct hook_config *config, struct step_request *request,
	       size_t count, struct hook *hook);
/*
 * Takes a channel and reads it until the hook succeeded or failed.  tell shows a
 * line to whom it concerns; NULL: somebody else does.
 */
int hook_wait(struct hook *hook, int timeout, void (*tell)(const char *text),
	      struct plan *plan);
/*
 * slurmstepd once all tasks are forked, and each task that has its channel: so the
 * hook notices when there is no task any more.
 */
void hook_close_queue(struct hook *hook);
/* Ends a hook that still runs, and forgets it. */
void hook_end(struct hook *hook);

/* step.c: the only place that asks SPANK for items */

int step_fill_step(spank_t sp, struct step_request *request);
int step_fill_job(spank_t sp, struct step_request *request);
int step_local_task_count(spank_t sp, size_t *count);
bool step_is_extern(spank_t sp);
int step_task_index(spank_t sp, size_t *index);
char **step_environment(spank_t sp);
char **step_command(spank_t sp);
int step_apply_environment(spank_t sp, const struct words *changes);
int step_copy_variables(spank_t sp, const struct words *copies);

/* Of the task that has ended, as shells say it, or the other if that is higher. */
int step_worse_status(spank_t sp, int other);
/* In a task: the command gets stdin, stdout, stderr and what PMI has, nothing else. */
int step_close_descriptors_on_exec(spank_t sp);

/* adopt.c: NULL where the extern step has a process of Slurm's that can be joined */

adopt_function *extern_adopts(void);

/* job_files.c */

/* Where a node keeps the state of jobs that used a container; root's alone. */
#ifndef STATE_DIRECTORY
#define STATE_DIRECTORY "/run/socker"
#endif

bool job_used_us(const struct step_request *request);
bool job_step_has_end(const struct step_request *request);
void job_note_end(const struct step_request *request, int status);
/* The hook has said that the job's steps may do without a container. */
bool job_may_be_native(const struct step_request *request);
void job_forget_native(const struct step_request *request);

/* early.c: from srun, sbatch or salloc by the job's prolog to its extern step */

void early_publish(spank_t sp, const char *list);
/* The list is nothing for the user's programs. */
void early_hide(spank_t sp);
void early_keep(const struct step_request *request);
/* Whether the job's options ask for a container; they are this process's now. */
bool early_take(const struct step_request *request);
int early_held(void);	/* the descriptor whose lock says that it is at work, or -1 */
void early_let_go(void);
void early_wait(const struct step_request *request);	/* a step, a little, for its plan */
const char *early_directory(void);	/* where the job's command was started */
void early_forget(const struct step_request *request);

/* trace.c: SOCKER_TRACE=1 */

#define TRACE_VARIABLE "SOCKER_TRACE"

void trace_begin(char **env);
bool trace_is_on(void);
/* Another process shows this step's. */
void trace_end(void);
/* Milliseconds since the last stage, which ends here. */
double trace_take(void);
/* The stage that ends here. */
void trace(const char *stage);

/* prolog.c: the site's TaskProlog, on the node */

/* Before the join: runs it, and makes the task's environment of it and the plan. */
int prolog_arrange(spank_t sp, struct plan *plan);

/* hint.c: once the task is inside */

/* By the command's own first word: the launcher's may stand in its place. */
void hint_give(spank_t sp, const struct plan *plan, const char *command);

/* launch.c is a program of its own: see there */

int launch_arrange(spank_t sp, struct plan *plan);

/* enter.c: in a task */

/* 0 only if this process is now inside the container, without a capability. */
int enter_container(spank_t sp, struct hook *hook, int timeout);
/* 0 only if the hook has said that this step may run on the bare node. */
int stay_native(spank_t sp, struct hook *hook, int timeout);

/* caps.c, join.c: a task enters the container */

int caps_keep(void);
int caps_lay_down(void);
/* Reports by itself.  On success *workdir is where the task now is. */
int join_container(const struct plan *plan, const char **workdir);

/* Each part writes to the user in one style. */
#define say(fmt, ...) slurm_spank_log("socker: " fmt, ##__VA_ARGS__)

#endif
