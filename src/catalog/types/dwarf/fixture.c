// What the tests of debug information look at. Lines are named in them: add at the end.
#include <stdbool.h>
#include <stdint.h>

enum color { RED = -1, GREEN, BLUE = 7 };
typedef unsigned long counter_t;

struct point {
  int x;
  const volatile int y;
};

union number {
  uint64_t whole;
  double fraction;
};

struct shape {
  struct point corner;
  struct shape *next;
  char name[12];
  unsigned char bytes[3];
  short grid[2][5];
  unsigned flags : 3;
  unsigned kind : 7;
  bool filled;
  enum color color;
  union {
    counter_t count;
    float ratio;
  };
  void (*draw)(struct shape *);
  char tail[];
};

__attribute__((noinline)) long area(const struct shape *shape, enum color color, char letter,
                                    struct point by_value, double scale) {
  long width = shape->corner.x + by_value.x;
  return width * (long)scale + color + letter;
}

__attribute__((noinline)) void nothing(void) {
  __asm__ volatile("");
}

static union number number;

int main(int argc, char **argv) {
  static struct shape shape;
  nothing();
  number.whole = (uint64_t)argc;
  return (int)area(&shape, GREEN, argv[0][0], shape.corner, 1.0) + (int)number.whole;
}
