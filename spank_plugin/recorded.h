/*
 * recorded.h - what needs no Python since a hook has left a record of it: later steps
 * of a job that ask the same, and the job's end.
 */
#ifndef SOCKER_RECORDED_H
#define SOCKER_RECORDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge.h"

/* asked.c, recorded.c, replay.c: later steps of a job that ask the same, without Python */

/* Fills in what was asked and the file of its plan; leaves both out where none is kept. */
void asked_describe(struct step_request *request);
/* A short name for such a piece. */
uint64_t hash_of(const char *data, size_t size);

struct recorded {
	char *data;
	size_t size, next;
};

struct entry {
	char type;
	char *text;		/* NUL behind its size bytes */
	size_t size;
};

/* The path is in that folder.  -1 where there is none, or it is not root's alone. */
int recorded_read(struct recorded *plan, int folder, const char *path);
/* The next entry; false at the end, and where none can be read. */
bool recorded_next(struct recorded *plan, struct entry *entry);
void recorded_free(struct recorded *plan);
/* Whether all that it depends on is as it was; types: entries that must be there. */
bool recorded_holds(struct recorded *plan, const struct step_request *request,
		    const char *types);

/*
 * In the hook's child, before Python.  0: the tasks have their plan.  -1: they do
 * not, and nothing was done: Python shall decide.
 */
int replay(const struct step_request *request);

/* start.c: what is kept of a step's start */

struct start_files {
	int log, step;		/* descriptors; -1: none */
	const struct step_request *request;
	long long since;	/* milliseconds, monotonic */
};

/* -1 where Python shall do it. */
int start_open(struct start_files *files, const char *log);
/* One more step of the container whose list is at path. */
void start_join(const struct start_files *files, const char *path);
/* The audit's line, by its template; that of the step's end is kept for the job's. */
void start_note(const struct start_files *files, const char *template, const char *end,
		bool syslog);
void start_forget(const struct start_files *files);
void start_close(struct start_files *files);
/* Milliseconds, monotonic. */
long long start_clock(void);

/* audit.c: lines of which Python has made templates */

enum { AUDIT_STATUS = '\4' };	/* the mark of what only an end has */

struct audit_facts {
	unsigned step;
	long long when;		/* milliseconds, epoch; 0: it has not happened */
	long long milliseconds;	/* that it took */
	const char *status;	/* NULL: not known yet */
};

int audit_open(const char *path);
/* A new line; what is not known yet stays a mark.  NULL: no memory. */
char *audit_fill(const char *template, const struct audit_facts *facts);
/* log: a descriptor, or -1.  The line is as it was afterwards. */
int audit_write(int log, bool syslog, char *line);

/* job_end.c, ended_steps.c, engine.c: a job's end on a node without Python */

/* 0: nothing of the job is left here.  -1: Python shall see to it. */
int job_end(const struct step_request *request);
/* Lines for the steps in a job's folder; -1: some are left for Python. */
int ended_steps_note(int folder, const char *log_path, bool syslog);
/* Kill and remove; 0 once it is gone. */
int engine_remove(const char *socket_path, const char *container);

#endif
