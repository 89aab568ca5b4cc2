/* Fires two static probes, one of which is fired only while its semaphore is raised: `usdt ROUNDS`.
 * Their notes are written out (https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation), so
 * that no header of SystemTap's is needed. */
#include <stdlib.h>

#if defined(__x86_64__)
#define ARGUMENTS "8@%%rdi 8@%%rsi"
#elif defined(__aarch64__)
#define ARGUMENTS "8@x0 8@x1"
#endif

/* A note for the instruction at hand. */
#define NOTE(name, semaphore, arguments)                                              \
	__asm__ volatile("990: nop\n"                                                 \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"                 \
			 ".balign 4\n"                                                \
			 ".4byte 992f-991f, 994f-993f, 3\n"                           \
			 "991: .asciz \"stapsdt\"\n"                                  \
			 "992: .balign 4\n"                                           \
			 "993: .8byte 990b\n"                                         \
			 ".8byte _.stapsdt.base\n"                                    \
			 ".8byte " semaphore "\n"                                     \
			 ".asciz \"rbtrace\"\n"                                       \
			 ".asciz \"" name "\"\n"                                      \
			 ".asciz \"" arguments "\"\n"                                 \
			 "994: .balign 4\n"                                           \
			 ".popsection\n"                                              \
			 ".ifndef _.stapsdt.base\n"                                   \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			 ".weak _.stapsdt.base\n"                                     \
			 ".hidden _.stapsdt.base\n"                                   \
			 "_.stapsdt.base: .space 1\n"                                 \
			 ".size _.stapsdt.base, 1\n"                                  \
			 ".popsection\n"                                              \
			 ".endif\n"                                                   \
			 : : "r"(round), "r"(text))

__attribute__((section(".probes"), visibility("hidden"))) volatile unsigned short
	guarded_semaphore;

/* The arguments stay in the registers that they are passed in. */
__attribute__((noipa)) void fired(long round, const char *text)
{
	NOTE("fired", "0", ARGUMENTS);
}

__attribute__((noipa)) void guarded(long round, const char *text)
{
	NOTE("guarded", "guarded_semaphore", ARGUMENTS);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 1;
	static const char text[] = "round";

	/* Programs in the kernel read only what has been read before. */
	if (!*(volatile const char *)text)
		return 1;
	for (long round = 1; round <= rounds; round++) {
		fired(round, text);
		if (guarded_semaphore)
			guarded(round, text);
	}
	return 0;
}
