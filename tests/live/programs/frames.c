/* A chain of calls in functions that no dynamic symbol tells of: a target for the names of stacks.
 *
 * usage: frames [once|forever]; standard error gets what is mapped where. */
#include <stdio.h>
#include <string.h>

#include "getpgid.h"

#define APART __attribute__((noinline, noclone))

/* What follows a call keeps it from becoming a jump. */
static volatile long done;

APART static void innermost(void)
{
	done += getpgid_here();
}

/* Inlined into the one that calls it. */
__attribute__((always_inline)) static inline void inlined(void)
{
	innermost();
	done++;
}

APART static void middle(long n)
{
	inlined();
	done += n;
}

APART static void outermost(long n)
{
	middle(n + 1);
	done++;
}

int main(int argc, char **argv)
{
	show_mappings();
	do
		outermost(argc);
	while (argc > 1 && strcmp(argv[1], "forever") == 0);
	return 0;
}
