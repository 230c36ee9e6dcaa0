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
int caps_forget(void);

/* share.c: enters what another task of the step has made, or makes it */
int share_mounts(const struct plan *plan, int (*make)(const struct plan *plan));

/* syscalls.c: those without a wrapper in every libc */
int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve);
int sys_open_tree(int dir, const char *path, unsigned flags);
int sys_move_mount(int tree, int target);
int sys_mount_setattr(int fd, unsigned flags, struct mount_attr *attr);
bool sys_same_mount(int one, int other);
bool sys_same_place(int one, int other);	/* the same file of the same mount */
/* Below /proc; at /proc/self each process that looks finds another. */
bool sys_is_of_a_process(int fd);

/* targets.c: paths inside the container; 0 or a descriptor, or -1 with errno */
int target_find_or_make(int root, const char *path, bool is_dir);
int target_unmount(int root, const char *path, const struct plan *rules);

/* paths.c: the site's rules about paths; each says why, but of optional mounts */
int paths_begin(const struct plan *plan);
int paths_check_source(const struct plan *plan, const struct mount_entry *mount, int source);
int paths_check_target(const struct plan *plan, const struct mount_entry *mount, int target);
int paths_check_entry(const struct plan *plan, const char *named, int parent,
		      const char *name);

/* mounts.c */
int mounts_clone_sources(const struct plan *plan);
int mounts_attach(const struct plan *plan, int root);

#endif
