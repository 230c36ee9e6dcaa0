/*
 * pause.c - the idle first process of a container: the user's tasks join the
 * mount namespace that it holds.
 *
 * Runs as nobody, without a capability, in the node's pid namespace.
 * Installed without read permission, so the kernel keeps it from being traced
 * or looked into by the user (DESIGN D13); PR_SET_DUMPABLE says it once more.
 * Any signal that ends a process ends it, and with it the container.
 *
 * Its argument is the pid of Slurm's own process of the job's extern step, when that
 * is what it belongs to.  Then it has a child, the leash, which is put into the job's
 * cgroups in its place, and when one of the two ends, so does the other.  The leash
 * ends with Slurm's process.  Slurm kills it, too, but if it finds it alive then it
 * sleeps for a second before it looks again (proctrack_p_wait() in
 * proctrack_cgroup.c).  The last process of a mount namespace takes too long to end,
 * and that is never the leash (decision 0020).
 *
 * It lasts as long as its job, on every node: so it is linked with no library (a
 * static C library alone keeps half a MiB of pages of its own).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What the kernel takes for rt_sigaction(2): no libc declares it. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");

static long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall" : "+a"(number)
			 : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return number;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\n bl begin\n");

static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#else
#error "pause.c: say how this machine starts a program and calls its kernel"
#endif

static int number(const char *text)
{
	unsigned int value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (unsigned int)(*text - '0');
	return (int)value;
}

static int wait_for(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLIN };

	while (call(SYS_ppoll, (long)&event, 1, (long)NULL, (long)NULL) == -EINTR)
		;
	return 0;
}

static int leash(const char *slurms, long parent)
{
	long opened = call(SYS_pidfd_open, number(slurms), 0, 0, 0);

	if (opened == -ESRCH || call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0) ||
	    call(SYS_getppid, 0, 0, 0, 0) != parent)
		return 1;
	/* Without a descriptor, as on kernels older than 5.3, Slurm ends it. */
	return wait_for(opened < 0 ? -1 : (int)opened);
}

static int on_a_leash(const char *slurms)
{
	long own = call(SYS_getpid, 0, 0, 0, 0), child = call(SYS_clone, SIGCHLD, 0, 0, 0);

	if (child == 0)
		return leash(slurms, own);
	while (child > 0 && call(SYS_wait4, child, (long)NULL, 0, (long)NULL) == -EINTR)
		;
	return child < 0;
}

/* Of the stack that the kernel prepares: the number of words, and the words. */
__attribute__((used, noreturn)) static void begin(const long *stack)
{
	const char *pid = stack[0] > 1 ? (const char *)stack[2] : NULL;
	struct kernel_action ignore = { .handler = SIG_IGN };
	int status = 1;

	/* As the first of a pid namespace: what it inherits shall not stay a zombie. */
	call(SYS_rt_sigaction, SIGCHLD, (long)&ignore, (long)NULL, sizeof(ignore.mask));
	if (call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0) == 0)
		status = pid ? on_a_leash(pid) : wait_for(-1);
	call(SYS_exit_group, status, 0, 0, 0);
	__builtin_unreachable();
}
