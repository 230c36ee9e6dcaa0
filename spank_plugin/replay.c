/*
 * replay.c - gives the tasks of a step the plan that an earlier step of the job
 * has left, if nothing that it depends on has changed (recorded.c).
 *
 * Runs as root in the hook's child, in Python's place, and says to the tasks what
 * Python said.  It decides nothing: any doubt is Python's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

#define NEEDED "BQTFPJLNRK"	/* entries of a plan (recorded.c) */
enum { SEND_TIMEOUT = 5 };	/* seconds that a task may take to make room for a record */

struct player {
	const struct step_request *request;
	int *tasks;		/* channels; -1: it has ended */
	size_t tasks_left;
	unsigned long records;
	int namespace;
	struct start_files start;
};

/* --- the container ------------------------------------------------------------- */

/* Field 22 of /proc/PID/stat, behind the name's last `)` (proc(5)); 0: it has ended. */
static unsigned long long start_time(long pid)
{
	char path[64], text[1024], *rest;
	unsigned long long started;
	ssize_t got;
	char state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
			    "%*d %*d %*d %*d %*d %llu", &state, &started) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : started;
}

/* Its mount namespace; believed only if the process is the recorded one afterwards. */
static int open_namespace(const char *recorded)
{
	unsigned long long started;
	char path[64];
	long pid;
	int fd;

	if (sscanf(recorded, "%ld %llu", &pid, &started) != 2 || pid <= 1 || !started)
		return -1;
	snprintf(path, sizeof(path), "/proc/%ld/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && start_time(pid) != started) {
		close(fd);
		return -1;
	}
	return fd;
}

/* --- records for the tasks --------------------------------------------------------- */

/* To each task; one that has ended, or that its user has stopped, is left out. */
static int broadcast(struct player *player, const char *record, size_t size, int namespace)
{
	for (int i = 0; i < player->request->channel_count; i++) {
		if (player->tasks[i] < 0 ||
		    packet_send(player->tasks[i], record, size, namespace) == (ssize_t)size)
			continue;
		player->tasks[i] = -1;	/* open still: Python may be next */
		player->tasks_left--;
	}
	player->records++;
	return player->tasks_left ? 0 : -1;
}

static void succeed(struct player *player)
{
	char record[32];
	int size = snprintf(record, sizeof(record), "K%lu", player->records);

	broadcast(player, record, (size_t)size, -1);
}

static int begin_sending(struct player *player)
{
	struct timeval limit = { .tv_sec = SEND_TIMEOUT };
	size_t count = (size_t)player->request->channel_count;

	player->tasks = calloc(count, sizeof(*player->tasks));
	if (!player->tasks)
		return -1;
	memcpy(player->tasks, player->request->channels, count * sizeof(*player->tasks));
	player->tasks_left = count;
	for (size_t i = 0; i < count; i++)
		setsockopt(player->tasks[i], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return 0;
}

/* --- the whole ---------------------------------------------------------------------- */

/* What has to be there before a task hears anything. */
static int prepare(struct player *player, struct recorded *plan)
{
	struct entry entry;
	int rc = 0;

	plan->next = 0;
	while (rc == 0 && recorded_next(plan, &entry)) {
		if (entry.type == 'P' && player->namespace < 0) {
			player->namespace = open_namespace(entry.text);
			rc = player->namespace < 0 ? -1 : 0;
		} else if (entry.type == 'L') {
			rc = start_open(&player->start, entry.text);
		}
	}
	return rc;
}

static int send_records(struct player *player, struct recorded *plan)
{
	struct entry entry;
	int rc = begin_sending(player);

	plan->next = 0;
	while (rc == 0 && recorded_next(plan, &entry)) {
		if (entry.type == 'R')
			rc = broadcast(player, entry.text, entry.size, -1);
		else if (entry.type == 'N')
			rc = broadcast(player, entry.text, entry.size, player->namespace);
	}
	return rc;
}

static void note(struct player *player, struct recorded *plan)
{
	const char *line = NULL;
	struct entry entry;
	bool syslog = false;

	plan->next = 0;
	while (recorded_next(plan, &entry)) {
		if (entry.type == 'L')
			line = entry.text + strlen(entry.text) + 1;
		else if (entry.type == 'Y')
			syslog = true;
		else if (entry.type == 'J')
			start_join(&player->start, entry.text);
	}
	if (line)
		start_note(&player->start, line, line + strlen(line) + 1, syslog);
}

/* One record more, for the first task to show. */
static void tell_time(struct player *player)
{
	char line[80];
	int size;

	if (!trace_is_on())
		return;
	size = snprintf(line, sizeof(line), "Ttrace: %7.2f ms  hook: a recorded plan was replayed",
			trace_take());
	broadcast(player, line, (size_t)size, -1);
}

int replay(const struct step_request *request)
{
	struct recorded plan;
	struct player player = {
		.request = request, .namespace = -1,
		.start = { .log = -1, .step = -1, .request = request, .since = start_clock() },
	};
	int rc = -1;

	if (recorded_read(&plan, AT_FDCWD, request->plan_file))
		return -1;
	/* If every task is gone Python finds that, too, and says so in its way. */
	if (recorded_holds(&plan, request, NEEDED) && !prepare(&player, &plan) &&
	    !send_records(&player, &plan)) {
		note(&player, &plan);
		tell_time(&player);
		rc = 0;
		succeed(&player);
	} else {
		start_forget(&player.start);
	}
	start_close(&player.start);
	if (player.namespace >= 0)
		close(player.namespace);
	free(player.tasks);
	recorded_free(&plan);
	return rc;
}
