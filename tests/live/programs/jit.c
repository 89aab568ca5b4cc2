/* Makes a function while it runs, and says so in a perf map, as just-in-time compilers do.
 *
 * usage: jit [once|forever]; standard error gets the function's address. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* getpgid(0) within a frame of its own. */
#if defined(__x86_64__)
static const uint8_t code[] = {
	0x55,                         /* push %rbp */
	0x48, 0x89, 0xe5,             /* mov %rsp, %rbp */
	0xb8, 0x79, 0x00, 0x00, 0x00, /* mov $121, %eax */
	0x31, 0xff,                   /* xor %edi, %edi */
	0x0f, 0x05,                   /* syscall */
	0x5d,                         /* pop %rbp */
	0xc3,                         /* ret */
};
#elif defined(__aarch64__)
static const uint32_t code[] = {
	0xa9bf7bfd, /* stp x29, x30, [sp, -16]! */
	0x910003fd, /* mov x29, sp */
	0xd2801368, /* mov x8, 155 */
	0xd2800000, /* mov x0, 0 */
	0xd4000001, /* svc 0 */
	0xa8c17bfd, /* ldp x29, x30, [sp], 16 */
	0xd65f03c0, /* ret */
};
#endif

static volatile long done;

__attribute__((noinline, noclone)) static void call_made(long (*made)(void))
{
	done += made();
}

int main(int argc, char **argv)
{
	char name[64];
	void *made = mmap(NULL, sizeof(code), PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *map;

	/* It may be in a namespace where nobody else ends it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof(name), "/tmp/perf-%d.map", getpid());
	map = fopen(name, "w");
	if (made == MAP_FAILED || !map)
		return 1;
	memcpy(made, code, sizeof(code));
	__builtin___clear_cache(made, (char *)made + sizeof(code));
	fprintf(map, "%lx %zx made while running\n", (unsigned long)made, sizeof(code));
	fclose(map);
	fprintf(stderr, "made %lx\n", (unsigned long)made);
	do
		call_made((long (*)(void))made);
	while (argc > 1 && strcmp(argv[1], "forever") == 0);
	return 0;
}
