/*
 * check.c - what a rank sees of MPI: its rank, a reduction, messages between
 * nodes and within one, and memory shared by the ranks of a node.
 *
 * One line a rank; anything that is not as it must be ends with MPI_Abort, and
 * so does rank 1 if it is told to: `mpi-check abort`.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 4 << 20 };	/* bytes: more than any "eager" message */

static int rank, size;

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "rank %d of %d: wrong: %s\n", rank, size, what);
	MPI_Abort(MPI_COMM_WORLD, 3);
}

static void reduce(void)
{
	int sum;

	MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	check(sum == size * (size - 1) / 2, "allreduce");
}

static void exchange(unsigned char *sent, unsigned char *got, int bytes, int to, int from)
{
	memset(sent, rank + 1, (size_t)bytes);
	memset(got, 0, (size_t)bytes);
	MPI_Sendrecv(sent, bytes, MPI_BYTE, to, 0, got, bytes, MPI_BYTE, from, 0,
		     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	for (int i = 0; i < bytes; i++)
		check(got[i] == from + 1, "message");
}

/* Each rank with each other, there and back. */
static void ping_pong(int bytes)
{
	unsigned char *sent = malloc((size_t)bytes), *got = malloc((size_t)bytes);

	for (int distance = 1; distance < size; distance++) {
		int up = (rank + distance) % size, down = (rank + size - distance) % size;

		exchange(sent, got, bytes, up, down);
		exchange(sent, got, bytes, down, up);
	}
	free(sent);
	free(got);
}

/* Each rank of a node writes its own part of the window, and reads all parts. */
static void share(MPI_Comm node, int local, int locals)
{
	int *own, *part, unit;
	MPI_Aint bytes;
	MPI_Win window;

	MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, node, &own, &window);
	MPI_Win_fence(0, window);
	*own = 100 + local;
	MPI_Win_fence(0, window);
	for (int other = 0; other < locals; other++) {
		MPI_Win_shared_query(window, other, &bytes, &unit, &part);
		check(*part == 100 + other, "shared memory");
	}
	MPI_Win_fence(0, window);
	MPI_Win_free(&window);
}

int main(int argc, char **argv)
{
	int local, locals;
	MPI_Comm node;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
	MPI_Comm_rank(node, &local);
	MPI_Comm_size(node, &locals);
	if (argc > 1 && rank == 1)
		MPI_Abort(MPI_COMM_WORLD, 3);
	reduce();
	ping_pong(1);
	ping_pong(LARGE);
	share(node, local, locals);
	printf("rank %d of %d, %d of %d on its node: ok\n", rank, size, local, locals);
	MPI_Finalize();
	return 0;
}
