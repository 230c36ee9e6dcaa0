/*
 * caps.c - a task's capabilities: kept over Slurm's setuid, raised for single
 * calls while it joins, gone for good before its command starts.
 */
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "task.h"

static int set_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)effective,
		  .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(effective >> 32),
		  .permitted = (uint32_t)(permitted >> 32) },
	};

	return (int)syscall(SYS_capset, &header, data);
}

/* While joining, this is all a task may ever raise. */
static const uint64_t JOIN_CAPS = CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_CHROOT) |
				  CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |
				  CAP_BIT(CAP_SETPCAP);

int caps_raise(uint64_t effective)
{
	if (set_caps(JOIN_CAPS, effective))
		return fail("capset: %m");
	return 0;
}

/* As root, before Slurm's setuid, which would else clear the permitted set. */
int caps_keep(void)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return fail("PR_SET_KEEPCAPS: %m");
	return 0;
}

/* For a child that runs the site's program as the user, as natively. */
int caps_forget(void)
{
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) || set_caps(0, 0))
		return fail("capset: %m");
	return 0;
}

/*
 * As the user, before anything else: few permitted, none effective, and no way
 * in for other processes of the same user (DESIGN D13).
 */
int caps_lay_down(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return fail("PR_SET_DUMPABLE: %m");
	return caps_raise(NO_CAPS);
}

/* Nothing may come back: bounding, ambient, permitted, effective, inheritable. */
int caps_drop_all(void)
{
	if (caps_raise(CAP_BIT(CAP_SETPCAP)))
		return -1;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return fail("capability %d cannot be dropped: %m", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) || set_caps(0, 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail("the capabilities cannot be dropped: %m");
	return 0;
}
