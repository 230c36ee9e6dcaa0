/*
 * options.h - the table of options, shared by options.c and submit.c.
 */
#ifndef SOCKER_OPTIONS_H
#define SOCKER_OPTIONS_H

#include "shim.h"

enum {
	IMAGE,
	DOCKER,
	MOUNTS,
	WORKDIR,
	MOUNT_HOME,
	NO_MOUNT_HOME,
	WRITABLE,
	READONLY,
	NAME,
	SAVE,
	ENTRYPOINT,
	NO_ENTRYPOINT,
	ENTRYPOINT_LOG,
	ENV,
	ENV_FILE,
	UNSHARE,
	PULL,
	TMP,
	SLURM,
	NO_SLURM,
	REMAP_ROOT,
	NO_REMAP_ROOT,
	OPTION_COUNT
};

struct option_spec {
	const char *name;
	const char *arginfo;	/* NULL: takes no value */
	const char *usage;
	bool list;		/* repeated ones add up */
	bool own;		/* of the step it is given to; sruns inside do not inherit it */
	enum { NO_PATH, DOT_PATH, ANY_PATH, MOUNT_PATHS } paths;	/* made absolute */
	int rival;
};

enum option_origin { NOT_GIVEN, INHERITED, GIVEN };

struct option_value {
	char *text;		/* NULL: not given */
	enum option_origin origin;
};

extern const struct option_spec OPTIONS[OPTION_COUNT];
extern struct option_value option_values[OPTION_COUNT];
extern bool options_lost;		/* given, but could not be kept */
extern const char *options_prefix;	/* of the names, as plugstack.conf says */

bool option_given(int which);
int option_set(int which, const char *text, enum option_origin origin);
void option_forget(int which);
/* submit.c: whether Slurm is about to give this value from the environment. */
bool submit_expects(int which, const char *text);

/* submit.c: whether only the job says it, whose own submission was checked. */
bool submit_from_job(int which);
/* submit_check.c: -1 when the parser refuses the options, and has said why. */
int submit_check(int ac, char **av);

/* checked.c: the answer of an earlier srun's check of the same; -1 when there is none */
ssize_t checked_recall(int ac, char **av, char *answer, size_t size);
void checked_keep(const char *answer, size_t size);

/* digest.c: "digest=..." of the image's tag, beside the options */
#define JOBS_WORD "SLURM_SOCKER_JOB"	/* what tells this job from all others */
#define DIGEST_ENTRY "digest="
bool digest_take(const char *text);
const char *digest_entry(void);
const char *digest_known(void);	/* the same without "digest=" */
void digest_begin(bool new_job);
void digest_take_jobs(void);
void digest_publish(bool new_job);
/* submit_directory.c: around srun's own reading of its environment. */
void submit_directory_begin(void);
void submit_directory_end(void);
/* The directory of the image that srun was started in; NULL for one of the node. */
const char *submit_directory(void);

/* What a command line says in the end, on its way to the node. */
#define OPTIONS_SEPARATOR "\037"

#endif
