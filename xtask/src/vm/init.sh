#!/bin/busybox sh
export PATH=/bin:/usr/bin HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
hostname guest
ifconfig lo up
for module in /modules/*.ko; do
	insmod "$module" || echo "init: $module does not load" >/dev/ttyS0
done
# A disk that nobody but tests uses, so that they know of every request. None of QEMU's: devices that
# are set up while two CPUs run make it fail now and then (iotlb_to_section).
truncate -s 64M /run/rbtrace-tests.disk
losetup /dev/loop0 /run/rbtrace-tests.disk || echo "init: no disk" >/dev/ttyS0
cd /
if [ -s /command ]; then
	stty -F /dev/ttyS1 raw -echo
	sh /command </dev/ttyS1 >/dev/ttyS1 2>&1
else
	setsid sh -c 'exec sh </dev/ttyS1 >/dev/ttyS1 2>&1'
fi
echo "exit status $?" >/dev/ttyS2
poweroff -f
