/*
 * share.c - the tasks of a step share one mount namespace: the first to come makes it.
 *
 * Their mounts are the same, and no task can change them.  With a namespace for each
 * task the kernel takes them apart one after the other as the tasks end, 2 to 3 ms
 * each: free_nsproxy() waits for RCU (namespace_unlock() in its fs/namespace.c).
 *
 * What was made lies in a socket that all tasks have inherited, and stays there: each
 * looks at the packet without taking it.  Who holds the lock may make one; its end, too,
 * opens the lock.  A task makes its own where anything differs, fails or takes long
 * (docs/developer/decisions/0022-one-namespace-a-step.md).
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "task.h"

enum {
	PATIENCE = 20,		/* looks for what another task makes */
	BETWEEN_LOOKS = 100,	/* milliseconds, unless a packet comes */
};

/* Of what is made, for the others to compare; all zero where each makes its own. */
struct offer {
	uint64_t view[2];	/* of the node, before: device and inode of the namespace */
	uint64_t root[3];	/* mount, device and inode */
};

static int lock = -1, ends[2] = { -1, -1 };	/* one to put the offer in, one to look */

void share_end(void)
{
	descriptor_close(&lock);
	descriptor_close(&ends[0]);
	descriptor_close(&ends[1]);
}

void share_begin(size_t tasks)
{
	if (tasks < 2)
		return;
	lock = memfd_create("socker", MFD_CLOEXEC);
	if (lock < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		share_end();
}

/* POSIX's kind of lock: of a process, so one that all have inherited keeps each out. */
static bool set_lock(short type)
{
	struct flock all = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(lock, F_SETLK, &all) == 0;
}

/* --- what is compared ---------------------------------------------------------- */

/* Two tasks that see the node alike find the same at a mount's source. */
static int describe_view(struct offer *offer)
{
	struct stat status;

	if (stat("/proc/self/ns/mnt", &status))
		return -1;
	offer->view[0] = status.st_dev;
	offer->view[1] = status.st_ino;
	return 0;
}

/* The topmost mount at "/" is not a task's root if it was mounted over that. */
static int describe_root(struct offer *offer)
{
	struct statx status;

	if (statx(AT_FDCWD, "/", 0, STATX_MNT_ID | STATX_INO, &status) ||
	    !(status.stx_mask & STATX_MNT_ID))
		return -1;
	offer->root[0] = status.stx_mnt_id;
	offer->root[1] = (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
	offer->root[2] = status.stx_ino;
	return 0;
}

/* --- to make, and to enter ------------------------------------------------------ */

/* Whether a source showed the same as it will show to the others. */
static bool is_for_all(const struct plan *plan)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		if (plan->mounts[i].is_own)
			return false;
	return true;
}

static int make_and_offer(const struct plan *plan, int (*make)(const struct plan *))
{
	/* The node's /proc, before the container has another or none. */
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), namespace = -1;
	struct offer offer = { 0 };
	bool comparable = describe_view(&offer) == 0;
	int rc = make(plan);

	if (!rc && comparable && is_for_all(plan) && !describe_root(&offer))
		namespace = openat(self, "ns/mnt", O_RDONLY | O_CLOEXEC);
	/* Without one nobody waits for it. */
	packet_send(ends[0], &offer, sizeof(offer), namespace);
	descriptor_close(&namespace);
	descriptor_close(&self);
	return rc;
}

static int enter(int namespace, const struct offer *offer)
{
	struct offer found = { 0 };

	if (caps_raise(MOUNT_CAPS))
		return -1;
	if (setns(namespace, CLONE_NEWNS))
		return fail("the container cannot be entered: %m");
	if (describe_root(&found) || memcmp(found.root, offer->root, sizeof(found.root)))
		return fail("the container cannot be entered: its root is another than the "
			    "first task's: look for a mount that covers it");
	return 0;
}

/* --- the whole ------------------------------------------------------------------ */

/* Whether there is an offer; the namespace is -1 if it is none for this task. */
static bool look(struct offer *offer, int *namespace)
{
	struct offer mine = { 0 };

	if (packet_receive(ends[1], offer, sizeof(*offer), MSG_PEEK | MSG_DONTWAIT,
			   namespace) != sizeof(*offer)) {
		descriptor_close(namespace);
		return false;
	}
	if (describe_view(&mine) || memcmp(mine.view, offer->view, sizeof(mine.view)))
		descriptor_close(namespace);
	return true;
}

enum role { FIRST, OFFERED, ALONE };

/* FIRST: this task holds the lock.  ALONE: another has it, and takes too long. */
static enum role find_role(struct offer *offer, int *namespace)
{
	struct pollfd packet = { .fd = ends[1], .events = POLLIN };

	for (int i = 0; i < PATIENCE; i++) {
		/* The lock first: who has had it has left an offer by then, or has ended. */
		bool first = set_lock(F_WRLCK);

		if (look(offer, namespace)) {
			set_lock(F_UNLCK);
			return OFFERED;
		}
		if (first)
			return FIRST;
		poll(&packet, 1, BETWEEN_LOOKS);
	}
	return ALONE;
}

int share_mounts(const struct plan *plan, int (*make)(const struct plan *))
{
	struct offer offer;
	int namespace = -1, rc;
	enum role role = lock < 0 ? ALONE : find_role(&offer, &namespace);

	if (role == FIRST) {
		rc = make_and_offer(plan, make);
		set_lock(F_UNLCK);
		return rc;
	}
	if (namespace < 0)
		return make(plan);
	rc = enter(namespace, &offer);
	close(namespace);
	return rc;
}
