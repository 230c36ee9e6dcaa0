/*
 * launch.h - what the plugin tells the launcher; see launch.c.
 */
#ifndef SOCKER_LAUNCH_H
#define SOCKER_LAUNCH_H

#define LAUNCH_VARIABLE "SOCKER_LAUNCH"
/* Mounted there, and executed by this name. */
#define LAUNCH_PATH "/.socker/launch"

enum { LAUNCH_MOST_WORDS = 1024 };

#endif
