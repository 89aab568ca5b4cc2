/* What the targets for the names of stacks have in common. */
#include <stdio.h>

/* getpgid(0), called from the very function that this is in: a function of the C library without a
 * frame of its own would hide its caller. The room on the stack is what compilers make a frame for. */
#if defined(__x86_64__)
#define getpgid_here()                                                                             \
	({                                                                                         \
		long result = 121;                                                                 \
		volatile long room[4];                                                             \
		__asm__ volatile("syscall"                                                         \
				 : "+a"(result)                                                    \
				 : "D"(0L)                                                         \
				 : "rcx", "r11", "memory");                                        \
		room[0] = result;                                                                  \
		room[0];                                                                           \
	})
#elif defined(__aarch64__)
#define getpgid_here()                                                                             \
	({                                                                                         \
		register long result __asm__("x0") = 0;                                            \
		register long number __asm__("x8") = 155;                                          \
		volatile long room[4];                                                             \
		__asm__ volatile("svc 0" : "+r"(result) : "r"(number) : "memory");                 \
		room[0] = result;                                                                  \
		room[0];                                                                           \
	})
#endif

/* Tells standard error what is mapped where. */
static inline void show_mappings(void)
{
	char buffer[4096];
	size_t length;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && (length = fread(buffer, 1, sizeof(buffer), maps)) > 0)
		fwrite(buffer, 1, length, stderr);
	if (maps)
		fclose(maps);
}
