// A chain of calls in functions whose names C++ mangles: a target for the names of stacks. Standard error
// gets what is mapped where.
#include "getpgid.h"

#define APART __attribute__((noinline, noclone))

static volatile long done;

namespace geometry {

struct point {
  long x;
};

class shape {
 public:
  virtual ~shape() = default;
  virtual void draw(const point& at) const = 0;
};

class circle : public shape {
 public:
  APART void draw(const point& at) const override {
    done += at.x + getpgid_here();
  }
  APART circle& operator+=(const point& by) {
    draw(by);
    done++;
    return *this;
  }
};

template <typename Shape, int Times>
APART void each(Shape& shape, const point& by) {
  for (int i = 0; i < Times; i++) {
    shape += by;
    done++;
  }
}

}  // namespace geometry

namespace {

APART void nameless(geometry::circle& circle) {
  geometry::each<geometry::circle, 1>(circle, geometry::point{2});
  done++;
}

}  // namespace

int main() {
  geometry::circle circle;
  show_mappings();
  nameless(circle);
  return 0;
}
