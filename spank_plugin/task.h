/*
 * task.h - what the parts that run in a task share: join.c, caps.c, mounts.c.
 *
 * Only system calls here: no NSS, no Python, no library that opens files by
 * name (DESIGN D2).
 */
#ifndef SOCKER_TASK_H
#define SOCKER_TASK_H

#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "shim.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

#define CAP_BIT(capability) (1ULL << (capability))
#define NO_CAPS 0ULL
#define MOUNT_CAPS (CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_CHROOT))
#define LOOKUP_CAPS (CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH))

/*
 * Straight to the task's stderr: Slurm's own log is buffered, and the task ends
 * with _exit.
 */
#define fail(fmt, ...) (dprintf(STDERR_FILENO, "socker: " fmt "\n", ##__VA_ARGS__), -1)

/* caps.c: permitted all along, effective only around the calls that need them */
int caps_raise(uint64_t effective);
int caps_drop_all(void);

/* mounts.c */
int mount_setattr_at(int fd, unsigned flags, struct mount_attr *attr);
int mounts_clone_sources(const struct plan *plan);
int mounts_attach(const struct plan *plan, int root);

#endif
