// Calls of Go, with arguments of every kind: a target for the names of stacks, for arguments and results.
// Standard error gets what is mapped where.
//
// usage: frames_go [ROUNDS]
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

type point struct {
	x int64
	y uint32
	z bool
}

type circle struct {
	center point
	name   string
}

// The number of getpgid(2) is not the same everywhere.
//
//go:noinline
func innermost() uintptr {
	result, _, _ := syscall.RawSyscall(syscall.SYS_GETPGID, 0, 0, 0)
	return result
}

//go:noinline
func (c *circle) draw(at point) uintptr {
	return innermost() + uintptr(at.y)
}

//go:noinline
func each[T int | int64](c *circle, times T) (sum uintptr) {
	for i := T(0); i < times; i++ {
		sum += c.draw(point{x: int64(i)})
	}
	return sum
}

//go:noinline
func add(a int64, b uint32, c int8) int64 {
	return a + int64(b) + int64(c)
}

// Several places to return from, and two results.
//
//go:noinline
func divide(dividend, divisor int64) (int64, error) {
	if divisor == 0 {
		return -1, errors.New("division by zero")
	}
	if dividend == 0 {
		return 0, nil
	}
	return dividend / divisor, nil
}

//go:noinline
func greet(name string, times int, scale float64, loud bool) int {
	if loud {
		return len(name) * times
	}
	return int(scale)
}

//go:noinline
func total(numbers []int64, at point) (sum int64) {
	for _, number := range numbers {
		sum += number
	}
	return sum + at.x
}

// More words than there are registers for: the last are on the stack.
//
//go:noinline
func many(a, b, c, d, e, f, g, h, i int64, j int64, k int32, l int32) int64 {
	return a + b + c + d + e + f + g + h + i + j + int64(k) + int64(l)
}

// Grows the stack while it is being called, so that the stack moves.
//
//go:noinline
func deep(n int) int {
	var room [256]byte
	room[n&255] = byte(n)
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n&255])&1
}

var sink interface{}

func main() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	fmt.Fprint(os.Stderr, string(maps))
	rounds := 1
	if len(os.Args) > 1 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	c := &circle{name: "circle"}
	sink = each[int64](c, 1)
	done := make(chan int)
	for i := 0; i < rounds; i++ {
		add(int64(i), 2, -3)
		quotient, err := divide(int64(i), int64(i%3))
		sink = fmt.Sprint(quotient, err)
		greet("name"+strconv.Itoa(i), i, 2.5, true)
		total([]int64{1, 2, int64(i)}, point{x: 7, y: uint32(i), z: true})
		many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, int32(i))
		// A goroutine begins with a small stack.
		go func() { done <- deep(500) }()
		sink = <-done
	}
}
