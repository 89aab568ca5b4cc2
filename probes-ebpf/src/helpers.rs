//! The kernel's helper functions that generated code may call.
//!
//! Numbers and signatures: `___BPF_FUNC_MAPPER` in linux/bpf.h.

use crate::kinds::ProgramType;
use crate::profile::KernelVersion;

/// A helper function of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helper {
    /// Number in a call instruction.
    pub id: u32,
    /// Name, without the kernel's `bpf_` in front.
    pub name: &'static str,
    /// Parameters, 0 to 5.
    pub params: u8,
    /// First kernel that has it.
    pub since: KernelVersion,
    /// Only for tracing programs: not in those for packets.
    pub tracing_only: bool,
}

macro_rules! helpers {
    ($($(#[$doc:meta])* $konst:ident = $id:literal, $name:literal, $params:literal, $major:literal . $minor:literal, $tracing:literal;)*) => {
        $($(#[$doc])*
        pub const $konst: Helper = Helper {
            id: $id, name: $name, params: $params,
            since: KernelVersion::new($major, $minor), tracing_only: $tracing,
        };)*
        /// Every helper in this table.
        pub const ALL: &[Helper] = &[$($konst),*];
    };
}

helpers! {
    /// Pointer to a map's value, or null.
    MAP_LOOKUP_ELEM = 1, "map_lookup_elem", 2, 3 . 19, false;
    /// Writes an entry of a map.
    MAP_UPDATE_ELEM = 2, "map_update_elem", 4, 3 . 19, false;
    /// Removes an entry of a map.
    MAP_DELETE_ELEM = 3, "map_delete_elem", 2, 3 . 19, false;
    /// Nanoseconds since boot, suspend not counted.
    KTIME_GET_NS = 5, "ktime_get_ns", 0, 4 . 1, false;
    /// Prints to the trace pipe.
    TRACE_PRINTK = 6, "trace_printk", 5, 4 . 1, true;
    /// A pseudo-random `u32`.
    GET_PRANDOM_U32 = 7, "get_prandom_u32", 0, 4 . 1, false;
    /// Number of the current CPU.
    GET_SMP_PROCESSOR_ID = 8, "get_smp_processor_id", 0, 4 . 1, false;
    /// Jumps to another program.
    TAIL_CALL = 12, "tail_call", 3, 4 . 2, false;
    /// Process id in the upper half, thread id in the lower.
    GET_CURRENT_PID_TGID = 14, "get_current_pid_tgid", 0, 4 . 2, true;
    /// Group id in the upper half, user id in the lower.
    GET_CURRENT_UID_GID = 15, "get_current_uid_gid", 0, 4 . 2, true;
    /// Copies the current thread's name.
    GET_CURRENT_COMM = 16, "get_current_comm", 2, 4 . 2, true;
    /// Captures a stack into a stack map.
    GET_STACKID = 27, "get_stackid", 3, 4 . 6, true;
    /// Pointer to the current `struct task_struct`.
    GET_CURRENT_TASK = 35, "get_current_task", 0, 4 . 8, true;
    /// Whether the current thread is in a cgroup (version 2) of an array of them, or below it: 1 or 0;
    /// negative if there is none at this index.
    CURRENT_TASK_UNDER_CGROUP = 37, "current_task_under_cgroup", 2, 4 . 9, true;
    /// Number of the current NUMA node.
    GET_NUMA_NODE_ID = 42, "get_numa_node_id", 0, 4 . 10, false;
    /// A number that stays with a socket as long as it lives.
    GET_SOCKET_COOKIE = 46, "get_socket_cookie", 1, 5 . 12, true;
    /// Makes a function return at once with this value.
    OVERRIDE_RETURN = 58, "override_return", 2, 4 . 16, true;
    /// Writes memory of the current process.
    PROBE_WRITE_USER = 36, "probe_write_user", 3, 4 . 8, true;
    /// Captures a stack into memory.
    GET_STACK = 67, "get_stack", 4, 4 . 18, true;
    /// Id of the current process's cgroup (version 2).
    GET_CURRENT_CGROUP_ID = 80, "get_current_cgroup_id", 0, 4 . 18, true;
    /// Copies bytes of a packet.
    SKB_LOAD_BYTES = 26, "skb_load_bytes", 4, 4 . 5, false;
    /// Copies bytes of a packet in an XDP program.
    XDP_LOAD_BYTES = 189, "xdp_load_bytes", 4, 5 . 18, false;
    /// Makes the first bytes of a packet readable in place.
    SKB_PULL_DATA = 39, "skb_pull_data", 2, 4 . 9, false;
    /// Sends a signal to the current process.
    SEND_SIGNAL = 109, "send_signal", 1, 5 . 3, true;
    /// Copies a packet behind a record into a perf buffer.
    SKB_OUTPUT = 111, "skb_output", 5, 5 . 5, true;
    /// Copies user memory.
    PROBE_READ_USER = 112, "probe_read_user", 3, 5 . 5, true;
    /// Copies kernel memory.
    PROBE_READ_KERNEL = 113, "probe_read_kernel", 3, 5 . 5, true;
    /// Copies a NUL-terminated string of user memory; returns its length with the NUL.
    PROBE_READ_USER_STR = 114, "probe_read_user_str", 3, 5 . 5, true;
    /// Copies a NUL-terminated string of kernel memory; returns its length with the NUL.
    PROBE_READ_KERNEL_STR = 115, "probe_read_kernel_str", 3, 5 . 5, true;
    /// Sends a signal to the current thread.
    SEND_SIGNAL_THREAD = 117, "send_signal_thread", 1, 5 . 5, true;
    /// Ticks of the kernel's timer since boot.
    JIFFIES64 = 118, "jiffies64", 0, 5 . 5, false;
    /// Copies the ids of the current process and thread in a PID namespace.
    GET_NS_CURRENT_PID_TGID = 120, "get_ns_current_pid_tgid", 4, 5 . 7, true;
    /// Nanoseconds since boot, suspend counted.
    KTIME_GET_BOOT_NS = 125, "ktime_get_boot_ns", 0, 5 . 8, false;
    /// Formats values into the file that an iterator's reader reads.
    SEQ_PRINTF = 126, "seq_printf", 5, 5 . 8, true;
    /// Copies bytes into the file that an iterator's reader reads.
    SEQ_WRITE = 127, "seq_write", 3, 5 . 8, true;
    /// Copies a record into a ring buffer.
    RINGBUF_OUTPUT = 130, "ringbuf_output", 4, 5 . 8, false;
    /// Reserves a record of a ring buffer, or null.
    RINGBUF_RESERVE = 131, "ringbuf_reserve", 3, 5 . 8, false;
    /// Hands a reserved record to the reader.
    RINGBUF_SUBMIT = 132, "ringbuf_submit", 2, 5 . 8, false;
    /// Drops a reserved record.
    RINGBUF_DISCARD = 133, "ringbuf_discard", 2, 5 . 8, false;
    /// Copies the path that a `struct path` stands for.
    D_PATH = 147, "d_path", 3, 5 . 10, true;
    /// The current `struct task_struct`, as the verifier knows it.
    GET_CURRENT_TASK_BTF = 158, "get_current_task_btf", 0, 5 . 11, true;
    /// Calls a function for each entry of a map.
    FOR_EACH_MAP_ELEM = 164, "for_each_map_elem", 4, 5 . 13, false;
    /// The cookie given when the program was attached.
    GET_ATTACH_COOKIE = 174, "get_attach_cookie", 1, 5 . 15, true;
    /// The registers with which a task last entered the kernel, `struct pt_regs`.
    TASK_PT_REGS = 175, "task_pt_regs", 1, 5 . 15, true;
    /// Calls a function a number of times.
    LOOP = 181, "loop", 4, 5 . 17, false;
    /// Compares two strings.
    STRNCMP = 182, "strncmp", 3, 5 . 17, false;
    /// Value of another CPU in a per-CPU map, or null.
    MAP_LOOKUP_PERCPU_ELEM = 195, "map_lookup_percpu_elem", 3, 5 . 19, false;
    /// Nanoseconds of International Atomic Time.
    KTIME_GET_TAI_NS = 208, "ktime_get_tai_ns", 0, 6 . 1, false;
}

/// The helper with this number.
pub fn by_id(id: u32) -> Option<&'static Helper> {
    ALL.iter().find(|h| h.id == id)
}

impl Helper {
    /// Whether a program of this type may call it on a kernel of this version.
    pub fn allowed(&self, program: ProgramType, kernel: KernelVersion) -> bool {
        kernel >= self.since && !(self.tracing_only && program.is_for_packets())
    }
}
