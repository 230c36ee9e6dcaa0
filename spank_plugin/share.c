/*
 * share.c - the tasks of a step share one mount namespace: the first to come makes it.
 *
 * Their mounts are the same, and no task can change them.  With a namespace for each
 * task the kernel takes them apart one after the other as the tasks end, 2 to 3 ms
 * each: free_nsproxy() waits for RCU (namespace_unlock() in its fs/namespace.c).
 * Where anything fails here a task makes its own.
 *
 * The namespace lies in a socket that all tasks have inherited, and stays there: each
 * looks at the packet without taking it.  Who holds the lock may make one; its end, too,
 * opens the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "task.h"

static int lock = -1, offer[2] = { -1, -1 };	/* one end to put it in, one to look */

void share_end(void)
{
	descriptor_close(&lock);
	descriptor_close(&offer[0]);
	descriptor_close(&offer[1]);
}

void share_begin(size_t tasks)
{
	if (tasks < 2)
		return;
	lock = memfd_create("socker", MFD_CLOEXEC);
	if (lock < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, offer))
		share_end();
}

/* POSIX's kind of lock: of a process, so one that all have inherited keeps each out. */
static bool set_lock(short type)
{
	struct flock all = { .l_type = type, .l_whence = SEEK_SET };

	while (fcntl(lock, F_SETLKW, &all))
		if (errno != EINTR)
			return false;
	return true;
}

static int look(void)
{
	char byte;
	int namespace;

	packet_receive(offer[1], &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT, &namespace);
	return namespace;
}

static int enter(int namespace)
{
	int rc = caps_raise(MOUNT_CAPS);

	if (!rc && setns(namespace, CLONE_NEWNS))
		rc = fail("the container cannot be entered: %m");
	close(namespace);
	return rc;
}

static int make_and_offer(const struct plan *plan, int (*make)(const struct plan *))
{
	/* The node's /proc, before the container has another or none. */
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), rc = make(plan);
	int namespace = rc ? -1 : openat(self, "ns/mnt", O_RDONLY | O_CLOEXEC);

	if (namespace >= 0) {
		packet_send(offer[0], "", 1, namespace);
		close(namespace);
	}
	descriptor_close(&self);
	return rc;
}

int share_mounts(const struct plan *plan, int (*make)(const struct plan *))
{
	int namespace = lock < 0 ? -1 : look(), rc;

	if (namespace >= 0)
		return enter(namespace);
	if (lock < 0 || !set_lock(F_WRLCK))
		return make(plan);
	namespace = look();
	rc = namespace >= 0 ? enter(namespace) : make_and_offer(plan, make);
	set_lock(F_UNLCK);
	return rc;
}
