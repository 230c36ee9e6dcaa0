/*
 * digest.c - which digest the image's tag stands for: one for all nodes and steps of
 * a job (docs/developer/decisions/0013-one-digest-per-job.md).
 *
 * In srun, sbatch and salloc pycontrol/digests.py asks the registry.  The answer
 * goes to the nodes beside the options, and with the image of a whole job into that
 * job's environment, for its srun commands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "options.h"

#define JOBS_DIGEST "SLURM_SOCKER_DIGEST"	/* "digest=...", a space, the image's name */

enum {
	ENTRY_SIZE = sizeof(DIGEST_ENTRY "sha256:") + 64,	/* with its end */
	WORD_BYTES = 16,
};

static char entry[ENTRY_SIZE];
static char *about;	/* the image's name, which the entry is about */

static const char *image(void)
{
	return option_given(DOCKER) ? option_values[DOCKER].text : option_values[IMAGE].text;
}

/* Whether it is an entry of this kind; it counts for the image of this moment. */
bool digest_take(const char *text)
{
	if (strncmp(text, DIGEST_ENTRY, strlen(DIGEST_ENTRY)))
		return false;
	free(about);
	about = strlen(text) < sizeof(entry) && image() ? strdup(image()) : NULL;
	snprintf(entry, sizeof(entry), "%s", text);
	return true;
}

/* "digest=sha256:..."; NULL when it is not known. */
const char *digest_entry(void)
{
	return about && image() && !strcmp(about, image()) ? entry : NULL;
}

const char *digest_known(void)
{
	return digest_entry() ? entry + strlen(DIGEST_ENTRY) : NULL;
}

/* A new job starts without the outer one's. */
void digest_begin(bool new_job)
{
	unsigned char bytes[WORD_BYTES];
	char word[2 * WORD_BYTES + 1];

	if (!new_job)
		return;
	unsetenv(JOBS_DIGEST);
	unsetenv(JOBS_WORD);
	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes))
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(word + 2 * i, 3, "%02x", bytes[i]);
	setenv(JOBS_WORD, word, 1);
}

/* In an srun: what its job's own image stands for, if that is the one. */
void digest_take_jobs(void)
{
	const char *text = getenv(JOBS_DIGEST);
	const char *name = text ? strchr(text, ' ') : NULL;
	char known[ENTRY_SIZE];

	if (!name || !image() || strcmp(name + 1, image()) ||
	    (size_t)(name - text) >= sizeof(known))
		return;
	snprintf(known, sizeof(known), "%.*s", (int)(name - text), text);
	digest_take(known);
}

/* For the srun commands in the job. */
void digest_publish(bool new_job)
{
	char *text;

	if (!new_job || !digest_entry() || asprintf(&text, "%s %s", entry, about) < 0)
		return;
	setenv(JOBS_DIGEST, text, 1);
	free(text);
}
