#!/bin/sh
# What it takes to attach to thousands of the kernel's functions and to detach again: whole runs of rbtrace
# and of bpftrace, in turns, and what of each the kernel takes for bpf(2) and for close(2). For guests of
# `cargo xtask vm`, whose kernels have kprobes; times are in seconds.
#
# usage: many_probes.sh BPFTRACE [PATTERN [ROUNDS]]
bpftrace=$1 pattern=${2:-*_s*} rounds=${3:-3}
script="kprobe:$pattern { @ = count(); } interval:ms:1 { exit(); }"
export BPFTRACE_MAX_PROBES=100000 BPFTRACE_MAX_BPF_PROGS=100000
ulimit -n 100000

now() {
	cut -d ' ' -f 1 /proc/uptime
}

# Runs a command; sets `took`.
measure() {
	start=$(now)
	"$@" >/tmp/output 2>&1 || cat /tmp/output
	took=$(echo "$(now) $start" | awk '{ printf "%.2f", $1 - $2 }')
}

# Runs a command while the time of system calls is summed up; sets `took`, and `kernel`.
watched() {
	rm -f /tmp/watched
	RBTRACE_NOTIFY_ATTACHED=ready rbtrace -e '
		tracepoint:syscalls:sys_enter_bpf /args.cmd == 28/ { @b[tid] = nsecs; }
		tracepoint:syscalls:sys_exit_bpf /@b[tid]/ { @attach = sum(nsecs - @b[tid]); delete(@b, tid); }
		tracepoint:syscalls:sys_enter_close { @c[tid] = nsecs; }
		tracepoint:syscalls:sys_exit_close /@c[tid]/ { @detach = sum(nsecs - @c[tid]); delete(@c, tid); }
		END {
			printf("attaching %d ms, detaching %d ms\n", (uint64)@attach / 1000000, (uint64)@detach / 1000000);
			clear(@b); clear(@c); clear(@attach); clear(@detach);
		}' >/tmp/watched &
	watcher=$!
	until grep -q ready /tmp/watched 2>/dev/null; do sleep 1; done
	measure "$@"
	kill -INT $watcher
	wait $watcher
	kernel=$(grep attaching /tmp/watched)
}

echo "$(rbtrace -l "kprobe:$pattern" | wc -l) functions, Linux $(uname -r)"
for round in $(seq "$rounds"); do
	for tracer in rbtrace "$bpftrace"; do
		measure "$tracer" -e 'BEGIN { exit(); }'
		alone=$took
		watched "$tracer" -e "$script"
		echo "$tracer: $took, a hello $alone, the kernel: $kernel"
	done
done
