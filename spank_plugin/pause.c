/*
 * pause.c - the idle first process of a container: the user's tasks join the
 * mount namespace that it holds.
 *
 * Runs as nobody, without a capability, in the node's pid namespace.
 * Installed without read permission, so the kernel keeps it from being traced
 * or looked into by the user (DESIGN D13); PR_SET_DUMPABLE says it once more.
 * Any signal that ends a process ends it, and with it the container.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return 1;
	/* As the first of a pid namespace: what it inherits shall not stay a zombie. */
	signal(SIGCHLD, SIG_IGN);
	for (;;)
		pause();
}
