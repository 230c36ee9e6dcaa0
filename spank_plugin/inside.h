/*
 * inside.h - where a container holds what Slurm's commands need of the node.
 *
 * The hook mounts it there (pycontrol/slurm_commands.py):
 *
 *   /.socker/bin               in PATH: srun, sbatch, ..., all slurm_command.c
 *   /.socker/host/bin          the node's directory of these commands
 *   /.socker/host/ld.so        the node's dynamic loader
 *   /.socker/host/lib/0, 1...  the node's directories of libraries, in order
 *   /.socker/host/python       the interpreter of the submission check, and
 *   /.socker/host/packages     its packages
 */
#ifndef SOCKER_INSIDE_H
#define SOCKER_INSIDE_H

#define INSIDE_BIN "/.socker/bin"
#define INSIDE_HOST "/.socker/host"
#define INSIDE_COMMANDS INSIDE_HOST "/bin"
#define INSIDE_LOADER INSIDE_HOST "/ld.so"
#define INSIDE_PYTHON INSIDE_HOST "/python/bin/python3"
#define INSIDE_PACKAGES INSIDE_HOST "/packages"

/*
 * The words that run a program of the node by the node's loader and libraries,
 * in front of the program's own; NULL outside such a container.  The image has
 * libraries of its own, or none.
 */
enum { INSIDE_WORDS = 3 };
char **inside_words(void);

#endif
