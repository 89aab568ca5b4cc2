/* 2000 functions, each of which is called so many times: `many TIMES`. */
#include <stdlib.h>

static volatile long calls;

#define ONE(name)                                                                     \
	__attribute__((noinline)) void name(void)                                     \
	{                                                                             \
		calls++;                                                              \
	}
#define DO_TEN(do, name)                                                              \
	do(name##0) do(name##1) do(name##2) do(name##3) do(name##4)                   \
	do(name##5) do(name##6) do(name##7) do(name##8) do(name##9)
#define TEN(name) DO_TEN(ONE, name)
#define HUNDRED(name)                                                                 \
	TEN(name##0) TEN(name##1) TEN(name##2) TEN(name##3) TEN(name##4)              \
	TEN(name##5) TEN(name##6) TEN(name##7) TEN(name##8) TEN(name##9)
#define THOUSAND(name)                                                                \
	HUNDRED(name##0) HUNDRED(name##1) HUNDRED(name##2) HUNDRED(name##3)           \
	HUNDRED(name##4) HUNDRED(name##5) HUNDRED(name##6) HUNDRED(name##7)           \
	HUNDRED(name##8) HUNDRED(name##9)

THOUSAND(many_a)
THOUSAND(many_b)

#define CALL(name) name();
#define CALL_TEN(name) DO_TEN(CALL, name)
#define CALL_HUNDRED(name)                                                            \
	CALL_TEN(name##0) CALL_TEN(name##1) CALL_TEN(name##2) CALL_TEN(name##3)       \
	CALL_TEN(name##4) CALL_TEN(name##5) CALL_TEN(name##6) CALL_TEN(name##7)       \
	CALL_TEN(name##8) CALL_TEN(name##9)
#define CALL_THOUSAND(name)                                                           \
	CALL_HUNDRED(name##0) CALL_HUNDRED(name##1) CALL_HUNDRED(name##2)             \
	CALL_HUNDRED(name##3) CALL_HUNDRED(name##4) CALL_HUNDRED(name##5)             \
	CALL_HUNDRED(name##6) CALL_HUNDRED(name##7) CALL_HUNDRED(name##8)             \
	CALL_HUNDRED(name##9)

int main(int argc, char **argv)
{
	for (long times = argc > 1 ? atol(argv[1]) : 1; times > 0; times--) {
		CALL_THOUSAND(many_a)
		CALL_THOUSAND(many_b)
	}
	return 0;
}
