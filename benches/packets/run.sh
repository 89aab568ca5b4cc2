#!/bin/sh
# Network blocks beside C programs that do the same, compiled by clang -O2: instructions, and nanoseconds
# a packet by the kernel's test run, both on the same packet in one go. Wants root, clang, llvm-objdump
# and bpftool.
#
#     benches/packets/run.sh target/x86_64-unknown-linux-gnu/release/rbtrace
set -eu

rbtrace=$1
here=$(dirname "$0")
work=$(mktemp -d)
pins=/sys/fs/bpf/rbtrace-bench-$$
runs=2000000
rounds=5
trap 'rm -rf "$work" "$pins"' EXIT
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
mkdir "$pins"

# A SYN from 192.0.2.1:40000 to 192.0.2.2:443, 60 bytes; and the same in a capture.
frame() {
	printf '\2\0\0\0\0\2\2\0\0\0\0\1\10\0'
	printf '\105\0\0\50\0\1\100\0\100\6\266\314\300\0\2\1\300\0\2\2'
	printf '\234\100\1\273\0\0\0\1\0\0\0\0\120\2\377\377\0\0\0\0'
	printf '\0\0\0\0\0\0'
}
frame >"$work/frame"
{
	printf '\324\303\262\241\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0'
	printf '\0\0\0\0\0\0\0\0\74\0\0\0\74\0\0\0'
	frame
} >"$work/frame.pcap"

best() { sort -n | head -n 1; }

printf '%-14s %12s %12s %10s %10s\n' program 'slots, C' 'rbtrace' 'ns, C' 'rbtrace'
for name in packet_count port_block syn_limit flows; do
	clang -O2 -g -target bpf -I"/usr/include/$(uname -m)-linux-gnu" -c "$here/$name.c" -o "$work/$name.o"
	slots=$(llvm-objdump -d "$work/$name.o" | grep -cE '^ +[0-9]+:')
	own=$("$rbtrace" -d bpf "$here/$name.rt" | sed -n 's/.*# \([0-9]*\) slots.*/\1/p')
	bpftool prog load "$work/$name.o" "$pins/$name" type xdp
	for round in $(seq $rounds); do
		bpftool prog run pinned "$pins/$name" data_in "$work/frame" repeat $runs |
			sed -n 's/.*duration (average): \([0-9]*\)ns.*/\1/p' >>"$work/$name.c.ns"
		"$rbtrace" --test-packets "$work/frame.pcap" --repeat $runs "$here/$name.rt" >"$work/out"
		grep -oE '[0-9.]+ ns' "$work/out" | tail -n 1 | cut -d' ' -f1 >>"$work/$name.rt.ns"
	done
	printf '%-14s %12s %12s %10s %10s\n' "$name" "$slots" "$own" \
		"$(best <"$work/$name.c.ns")" "$(best <"$work/$name.rt.ns")"
done
