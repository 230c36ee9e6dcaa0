/*
 * The only program of an image, with no shell and no library beside it: as a batch
 * script's interpreter it starts itself by srun, with words it executes them, and
 * else it says that it runs.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *const step[] = { "srun", "/program", NULL };

	if (argc == 2 && strstr(argv[1], "slurm_script"))
		execvp(step[0], step);
	else if (argc > 1)
		execvp(argv[1], argv + 1);
	else
		return puts("the image's own program") == EOF;
	perror("execvp");
	return 1;
}
