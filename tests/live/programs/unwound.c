/* Chains of calls in functions without frame pointers, as compilers make them unless told otherwise: a
 * target for dw_ustack().
 *
 * usage: unwound [wait] MODE [ARGUMENT]; `wait` reads standard input to its end first. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
#define FRAMED __attribute__((noinline, noclone, optimize("no-omit-frame-pointer")))

/* What follows a call keeps it from becoming a jump. */
static volatile long done;

APART void chain_four(long n)
{
	done = n;
}

/* A frame of a size that no register hints at. */
APART void chain_three(long n)
{
	volatile char buffer[300];

	buffer[n & 255] = 1;
	chain_four(n);
	done += buffer[n & 255];
}

APART void chain_two(long n)
{
	chain_three(n + 1);
	done++;
}

APART void chain_one(long n)
{
	chain_two(n + 1);
	done++;
}

static void chain(long calls)
{
	for (long i = 0; i < calls; i++)
		chain_one(i);
}

/* The same with frame pointers, which functions have that call others; framed_place is a place where
 * they are set up. */
FRAMED void framed_two(long n)
{
	chain_four(n);
	__asm__ volatile(".globl framed_place\n"
			 ".type framed_place, @function\n"
			 "framed_place: nop");
	done = n;
}

FRAMED void framed_one(long n)
{
	framed_two(n + 1);
	done++;
}

FRAMED static void framed(long calls)
{
	for (long i = 0; i < calls; i++)
		framed_one(i);
}

APART void ask_parent(long calls)
{
	for (long i = 0; i < calls; i++)
		done += getppid();
}

static void handle(int number)
{
	chain_one(number);
	done++;
}

APART void interrupted(void)
{
	raise(SIGUSR1);
	done++;
}

APART void burn(long iterations)
{
	for (long i = 0; i < iterations; i++)
		done++;
}

APART void burn_a_while(long n)
{
	burn(1000 + n);
	done++;
}

static void spin(long milliseconds)
{
	struct timespec start, now;
	long n = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		burn_a_while(n++ & 7);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
		 milliseconds);
}

/* Calls through a library that is mapped now, until it is killed. */
static int call_late(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW);
	void (*call)(void (*)(long), long) = handle ? dlsym(handle, "late_call") : NULL;

	if (!call) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	for (long n = 0;; n++)
		call(chain_one, n);
}

/* A child calls until it is killed. */
static int call_in_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		for (;;)
			chain(1);
	}
	return waitpid(child, NULL, 0) == child ? 0 : 1;
}

int main(int argc, char **argv)
{
	int at = 1;

	if (argc > at && strcmp(argv[at], "wait") == 0) {
		while (getchar() != EOF)
			;
		at++;
	}
	const char *mode = argc > at ? argv[at] : "";
	const char *argument = argc > at + 1 ? argv[at + 1] : "1";

	signal(SIGUSR1, handle);
	if (strcmp(mode, "chain") == 0)
		chain(atol(argument));
	else if (strcmp(mode, "framed") == 0)
		framed(atol(argument));
	else if (strcmp(mode, "parent") == 0)
		ask_parent(atol(argument));
	else if (strcmp(mode, "signal") == 0)
		interrupted();
	else if (strcmp(mode, "spin") == 0)
		spin(atol(argument));
	else if (strcmp(mode, "late") == 0)
		return call_late(argument);
	else if (strcmp(mode, "child") == 0)
		return call_in_child();
	else
		return 2;
	return 0;
}
