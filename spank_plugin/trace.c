/*
 * trace.c - SOCKER_TRACE=1: where the time of a step goes, a line a stage, on the
 * user's terminal.  Without it each call is one test.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

static bool on;
static double last;	/* milliseconds */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

void trace_begin(char **env)
{
	for (on = false; env && *env && !on; env++)
		on = !strcmp(*env, TRACE_VARIABLE "=1");
	if (on)
		last = now();
}

bool trace_is_on(void)
{
	return on;
}

void trace_end(void)
{
	on = false;
}

double trace_take(void)
{
	double before = last;

	last = now();
	return last - before;
}

void trace(const char *stage)
{
	if (on)
		dprintf(STDERR_FILENO, "socker: trace: %7.2f ms  %s\n", trace_take(), stage);
}
