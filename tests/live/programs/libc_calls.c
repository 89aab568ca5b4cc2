/* Calls a function of the shared C library as often as its argument says: a target for probes
 * that name a library rather than a path. */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long calls = argc > 1 ? atol(argv[1]) : 1;

	for (long i = 0; i < calls; i++)
		getppid();
	return 0;
}
