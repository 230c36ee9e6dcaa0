/*
 * launch.h - what the plugin tells the launcher; see launch.c.
 */
#ifndef SOCKER_LAUNCH_H
#define SOCKER_LAUNCH_H

#define LAUNCH_VARIABLE "SOCKER_LAUNCH"
/* Executed by this name, with a descriptor's number behind it. */
#define LAUNCH_NAME "/proc/self/fd/"

enum { LAUNCH_MOST_WORDS = 1024 };

#endif
