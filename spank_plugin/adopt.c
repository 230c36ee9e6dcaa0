/*
 * adopt.c - asks the job's extern step to take a process in, as pam_slurm_adopt
 * does for a login.
 *
 * Since 25.05 an extern step holds no process of Slurm's whose groups another
 * could join: its slurmstepd makes them for the first process that it adopts.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

/* Exported by Slurm's library since 22.05 at the latest, and in none of its public headers. */
extern int slurm_stepd_connect(const char *directory, const char *node,
			       slurm_step_id_t *step, uint16_t *version)
	__attribute__((weak));
extern int slurm_stepd_add_extern_pid(int fd, uint16_t version, pid_t pid)
	__attribute__((weak));

enum {
	DESCRIPTORS = 256,	/* more than slurmstepd has open for its log */
	PATIENCE = 60		/* seconds for a slurmstepd to answer */
};

static int ask(const char *node, uint32_t job_id, pid_t pid)
{
	slurm_step_id_t step = {
		.job_id = job_id,
		.step_het_comp = NO_VAL,
		.step_id = SLURM_EXTERN_CONT,
	};
	uint16_t version;
	int fd = slurm_stepd_connect(NULL, node, &step, &version);

	return fd < 0 ? -1 : slurm_stepd_add_extern_pid(fd, version, pid);
}

/*
 * In a child of its own: Slurm's log still has descriptors that hook.c closed,
 * and whatever has their numbers now must not get its lines.
 */
static int32_t adopt(const char *node, uint32_t job_id, int32_t pid)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		alarm(PATIENCE);
		for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS; fd++)
			if (null < 0 || (fd != null && dup2(null, fd) < 0))
				_exit(1);
		_exit(ask(node, job_id, pid) ? 1 : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

adopt_function *extern_adopts(void)
{
	if (SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(25, 5, 0))
		return NULL;
	return slurm_stepd_connect && slurm_stepd_add_extern_pid ? adopt : NULL;
}
