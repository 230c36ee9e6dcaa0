/* A SPANK plugin that leaves a file of root's open, as a careless one may. */
#include <fcntl.h>
#include <slurm/spank.h>
#include <unistd.h>

SPANK_PLUGIN(careless, 1);

int slurm_spank_user_init(spank_t sp, int ac, char **av)
{
	int fd = open("/etc/motd", O_RDONLY);

	(void)sp;
	(void)ac;
	(void)av;
	return dup2(fd, 77) == 77 ? 0 : -1;
}
