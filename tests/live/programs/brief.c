/* Ends long before anybody can look at it. Without the C library, at a fixed address. */
#include "getpgid.h"

static volatile long done;

__attribute__((noinline, noclone)) static void briefly(void)
{
	done += getpgid_here();
}

__attribute__((noinline, noclone)) static void hurry(void)
{
	briefly();
	done++;
}

__attribute__((noreturn, used, force_align_arg_pointer)) void _start(void)
{
	hurry();
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(60L), "D"(0L));
#elif defined(__aarch64__)
	register long status __asm__("x0") = 0;
	register long number __asm__("x8") = 93;
	__asm__ volatile("svc 0" : : "r"(status), "r"(number));
#endif
	__builtin_unreachable();
}
