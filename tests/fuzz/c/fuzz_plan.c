/*
 * fuzz_plan.c - any records whatever from a hook, as a task reads them.
 *
 * Input: for each record two bytes, its size and (the highest bit) whether a
 * descriptor comes along, then its bytes.  A real channel would hold ten of them
 * at a time: so recvmsg() is ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t receive_packet(int channel, struct msghdr *message, int flags);
#define recvmsg receive_packet
#include "../../../spank_plugin/descriptors.c"
#undef recvmsg
#include "../../../spank_plugin/records.c"

#include "fuzz.h"

enum { HEAD = 2, WITH_DESCRIPTOR = 0x8000 };

struct records {
	const uint8_t *at, *end;
	const uint8_t *record;
	size_t size;
	bool with_descriptor;
};

static bool next(struct records *records)
{
	size_t left = (size_t)(records->end - records->at), head;

	if (left < HEAD)
		return false;
	head = records->at[0] | (size_t)records->at[1] << 8;
	records->with_descriptor = head & WITH_DESCRIPTOR;
	records->size = head & ~(size_t)WITH_DESCRIPTOR;
	if (records->size > left - HEAD)
		records->size = left - HEAD;
	records->record = records->at + HEAD;
	records->at = records->record + records->size;
	return true;
}

static struct records incoming;

static void attach_descriptor(struct msghdr *message)
{
	struct cmsghdr *header = message->msg_control;
	int fd = dup(STDERR_FILENO);

	REQUIRE(fd >= 0 && message->msg_controllen >= CMSG_SPACE(sizeof(fd)));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
}

/* As the kernel does: what does not fit is cut off, and said to be. */
static ssize_t receive_packet(int channel, struct msghdr *message, int flags)
{
	struct iovec *part = message->msg_iov;
	size_t size;

	(void)channel;
	(void)flags;
	message->msg_flags = 0;
	if (!next(&incoming)) {
		message->msg_controllen = 0;
		return 0;
	}
	size = incoming.size > part->iov_len ? part->iov_len : incoming.size;
	memcpy(part->iov_base, incoming.record, size);
	if (size < incoming.size)
		message->msg_flags = MSG_TRUNC;
	if (incoming.with_descriptor)
		attach_descriptor(message);
	else
		message->msg_controllen = 0;
	return (ssize_t)size;
}

/* The contract's own words: the last is 'K' with their number, none is 'F'. */
static bool is_success(const uint8_t *data, size_t size)
{
	struct records records = { .at = data, .end = data + size };
	char wanted[32];

	for (unsigned long count = 0; next(&records) && records.size; count++) {
		int length = snprintf(wanted, sizeof(wanted), "K%lu", count);

		if (records.record[0] == 'F')
			return false;
		if (records.record[0] == 'K')
			return records.size == (size_t)length &&
			       !memcmp(records.record, wanted, records.size);
	}
	return false;
}

static void check_plan(const struct plan *plan)
{
	REQUIRE(plan->complete && !plan->failure);
	for (size_t i = 0; i < plan->mount_count; i++) {
		const struct mount_entry *mount = &plan->mounts[i];

		REQUIRE(mount->target[0] == '/' && mount->tree == -1);
		REQUIRE(mount->source[0] == '/' || strchr(mount->flags, 'u'));
	}
	for (size_t i = 0; i < plan->copies.count; i++)
		REQUIRE(strchr(plan->copies.list[i], '='));
	for (size_t i = 0; i < plan->hint_count; i++)
		REQUIRE(*plan->hints[i].needle);
	for (int kind = 0; kind < NS_KINDS; kind++)
		REQUIRE(plan->namespaces[kind] < 0 || fcntl(plan->namespaces[kind], F_GETFD) >= 0);
}

static void ignore(const char *text)
{
	REQUIRE(strlen(text) < 1 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int readable = -1;
	struct plan plan = PLAN_EMPTY;
	struct hook hook = HOOK_NONE;
	int lowest;
	bool success;

	if (readable < 0)
		readable = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	lowest = lowest_descriptor();
	incoming = (struct records) { .at = data, .end = data + size };
	hook.channel = readable;
	success = hook_wait(&hook, 60, ignore, &plan) == 0;
	REQUIRE(!success || is_success(data, size));
	if (success)
		check_plan(&plan);
	else
		REQUIRE(!plan.complete);
	plan_free(&plan);
	REQUIRE(lowest_descriptor() == lowest);
	return 0;
}
