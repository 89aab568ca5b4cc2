/* A library that a program maps while it runs. */

static volatile long called;

void late_call(void (*function)(long), long n)
{
	function(n);
	called++;
}
