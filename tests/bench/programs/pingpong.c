/*
 * pingpong.c - two ranks of MPI and a message that goes to and fro between them.
 *
 * Prints the microseconds of a small message one way, and the MB/s of large ones, which
 * ranks of one node read from each other's memory.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 8, LARGE = 4 << 20, MANY = 20000, SOME = 100 };

/* Seconds of one way, the mean of `rounds`. */
static double one_way(int rank, char *buffer, int bytes, int rounds)
{
	double since;

	MPI_Barrier(MPI_COMM_WORLD);
	since = MPI_Wtime();
	for (int i = 0; i < rounds; i++) {
		if (rank == 0)
			MPI_Send(buffer, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
		MPI_Recv(buffer, bytes, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		if (rank == 1)
			MPI_Send(buffer, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
	}
	return (MPI_Wtime() - since) / rounds / 2;
}

int main(int argc, char **argv)
{
	char *buffer = calloc(1, LARGE);
	double small, large;
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (size != 2) {
		fprintf(stderr, "pingpong: %d ranks in place of two\n", size);
		MPI_Abort(MPI_COMM_WORLD, 2);
	}
	one_way(rank, buffer, SMALL, MANY / 10);
	small = one_way(rank, buffer, SMALL, MANY);
	one_way(rank, buffer, LARGE, SOME / 10);
	large = one_way(rank, buffer, LARGE, SOME);
	if (rank == 0)
		printf("%.3f %.1f\n", small * 1e6, LARGE / 1e6 / large);
	MPI_Finalize();
	return 0;
}
