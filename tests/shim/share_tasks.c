/*
 * share_tasks.c - tasks that share a mount namespace, one for each word of the command
 * line: what it does when it is to make one (`share.c`).
 *
 *   make    it does             fail    it cannot
 *   stop    it stops first      kill    it is killed
 *   own     what it made is for itself alone
 *   cover   another mount lies on its root
 *   apart   it makes one, and has come with a view of the node of its own
 *
 * Prints for each what it did, and its namespace and root at the end.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "task.h"

enum { MOST = 8, BETWEEN = 50000 };	/* microseconds between two starts */

static const char *order;
static bool made;

static int cover_root(void)
{
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("none", "/", "tmpfs", 0, NULL);
}

static int make(const struct plan *plan)
{
	made = true;
	if (!strcmp(order, "stop"))
		raise(SIGSTOP);
	if (!strcmp(order, "kill"))
		raise(SIGKILL);
	if (!strcmp(order, "fail"))
		return -1;
	plan->mounts[0].is_own = !strcmp(order, "own");
	if (caps_raise(MOUNT_CAPS) || unshare(CLONE_NEWNS))
		return -1;
	return strcmp(order, "cover") ? 0 : cover_root();
}

static _Noreturn void task(int index)
{
	struct mount_entry mount = { .flags = "", .tree = -1 };
	struct plan plan = { .mounts = &mount, .mount_count = 1 };
	struct stat namespace = { 0 }, root = { 0 };
	int proc = open("/proc/self", O_PATH), rc;

	if (!strcmp(order, "apart") && unshare(CLONE_NEWNS))
		_exit(2);
	rc = share_mounts(&plan, make);
	fstatat(proc, "ns/mnt", &namespace, 0);
	stat("/", &root);
	printf("%d %s %s %lu %lu:%lu\n", index, made ? "made" : "entered",
	       rc ? "failed" : "joined", namespace.st_ino, root.st_dev, root.st_ino);
	fflush(stdout);
	sleep(1);	/* its namespace's number is nobody else's so long */
	_exit(rc ? 1 : 0);
}

int main(int argc, char **argv)
{
	pid_t tasks[MOST];

	share_begin((size_t)argc - 1);
	for (int i = 0; i + 1 < argc && i < MOST; i++) {
		order = argv[i + 1];
		tasks[i] = fork();
		if (!tasks[i])
			task(i);
		usleep(BETWEEN);
	}
	share_end();
	for (int i = 0; i + 1 < argc && i < MOST; i++) {
		if (!strcmp(argv[i + 1], "stop"))
			continue;
		waitpid(tasks[i], NULL, 0);
	}
	for (int i = 0; i + 1 < argc && i < MOST; i++)
		if (!strcmp(argv[i + 1], "stop"))
			kill(tasks[i], SIGKILL);
	return 0;
}
