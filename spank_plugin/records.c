/*
 * records.c - reads what a hook says, up to its success, failure or deadline.
 *
 * Runs in each task, as the user, and in the epilog's process.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

enum { RECORD_MAX = 160 * 1024 };	/* above the kernel's limit of one variable */

struct reader {
	struct plan *plan;
	void (*tell)(const char *text);
	unsigned long records;
	long long deadline;	/* milliseconds, monotonic */
	char *buffer;
};

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void tell(const struct reader *reader, const char *text)
{
	if (reader->tell)
		reader->tell(text);
}

static int extend_deadline(struct reader *reader, const char *seconds)
{
	long long wanted;

	if (!*seconds || seconds[strspn(seconds, "0123456789")])
		return -1;
	wanted = strtoll(seconds, NULL, 10);
	if (wanted > HOOK_LONGEST_TIMEOUT)
		wanted = HOOK_LONGEST_TIMEOUT;
	reader->deadline = now_ms() + wanted * 1000;
	return 0;
}

/* As Python writes it, and nothing behind it: a part of it is another number. */
static int succeed(struct reader *reader, const char *count)
{
	char wanted[32];

	snprintf(wanted, sizeof(wanted), "%lu", reader->records);
	if (strcmp(count, wanted))
		return -1;
	reader->plan->complete = true;
	return 0;
}

static int take_record(struct reader *reader, const char *record, size_t size, int fd)
{
	const char *payload = record + 1;

	if (fd >= 0 && record[0] != 'N')
		return -1;
	if (strchr("TDK", record[0]) && strlen(record) != size)
		return -1;
	switch (record[0]) {
	case 'T':
		tell(reader, payload);
		break;
	case 'D':
		if (extend_deadline(reader, payload))
			return -1;
		break;
	case 'K':
		if (succeed(reader, payload))
			return -1;
		break;
	default:
		if (plan_add(reader->plan, record, size, fd))
			return -1;
	}
	reader->records++;
	return 0;
}

/* 1: more may come, 0: the hook closed its end, -1: a record is wrong. */
static int read_record(struct reader *reader, int channel)
{
	int fd;
	ssize_t got = packet_receive(channel, reader->buffer, RECORD_MAX, 0, &fd);

	if (got < 0 && errno == EINTR)
		return 1;
	reader->buffer[got > 0 ? got : 0] = '\0';
	if (got > 0 && !take_record(reader, reader->buffer, (size_t)got, fd))
		return 1;
	if (fd >= 0)
		close(fd);
	if (!got)
		return 0;
	tell(reader, "internal error: the set-up sent a record that cannot be read");
	return -1;
}

/* 0 when there is something to read, or the hook's end; -1 after the deadline (told). */
static int await(const struct reader *reader, int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	while (!ready.revents) {
		long long left = reader->deadline - now_ms();

		if (left <= 0) {
			tell(reader, "the set-up of the container did not finish in "
			     "time and was stopped: try again, and tell the admin "
			     "if it stays so");
			return -1;
		}
		if (poll(&ready, 1, left > 1000 ? 1000 : (int)left) < 0 && errno != EINTR)
			return -1;
	}
	return 0;
}

void hook_close_queue(struct hook *hook)
{
	descriptor_close(&hook->queue);
}

/* One of those that the hook's child has sent, unless it has ended; -1 after the deadline. */
static int take_channel(const struct reader *reader, struct hook *hook)
{
	ssize_t got = -1;
	char record;

	if (hook->channel >= 0 || hook->queue < 0)
		return 0;
	while (got < 0) {
		if (await(reader, hook->queue))
			return -1;
		/* Another task may have been faster. */
		got = packet_receive(hook->queue, &record, sizeof(record), MSG_DONTWAIT,
				     &hook->channel);
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			break;
	}
	hook_close_queue(hook);
	return 0;
}

/* 0 when the hook said its last, -1 after a fault (which is told) or the deadline. */
static int read_until_end(struct reader *reader, int channel)
{
	while (!reader->plan->complete) {
		int rc = await(reader, channel);

		if (rc == 0)
			rc = read_record(reader, channel);
		if (rc <= 0)
			return rc;
	}
	return 0;
}

int hook_wait(struct hook *hook, int timeout, void (*show)(const char *text),
	      struct plan *plan)
{
	struct reader reader = {
		.plan = plan,
		.tell = show,
		.deadline = now_ms() + timeout * 1000LL,
		.buffer = malloc(RECORD_MAX + 1),
	};
	int rc = reader.buffer ? take_channel(&reader, hook) : -1;

	if (rc == 0 && hook->channel >= 0)
		rc = read_until_end(&reader, hook->channel);
	free(reader.buffer);
	if (plan->complete && !plan->failure)
		return 0;
	plan->complete = false;
	if (plan->failure)
		tell(&reader, plan->failure);
	else if (rc == 0)
		tell(&reader, "internal error: the set-up of the container ended "
		     "without a word: when the job's --mem is below 100 MB, ask "
		     "for more; else the log of slurmd on this node says why");
	return -1;
}
