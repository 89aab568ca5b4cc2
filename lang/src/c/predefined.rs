//! What C programs take for granted: the compiler's macros and the names of integers.

use rbtrace_probes_ebpf::profile::Arch;

use crate::catalog::ctypes::CType;

/// Macros that are there without a definition, with their text; sorted by name. Those of an
/// architecture are in [`of_arch`].
///
/// The compiler's are what GCC and Clang agree on for LP64. The kernel's annotations mean nothing
/// outside of its own checker.
const MACROS: &[(&str, &str)] = &[
    ("BPFTRACE_HAVE_BTF", "1"),
    ("_LP64", "1"),
    ("__BPF_TRACING__", "1"),
    ("__BYTE_ORDER__", "1234"),
    ("__CHAR16_TYPE__", "unsigned short"),
    ("__CHAR32_TYPE__", "unsigned int"),
    ("__CHAR_BIT__", "8"),
    ("__ELF__", "1"),
    ("__GNUC_MINOR__", "2"),
    ("__GNUC_PATCHLEVEL__", "1"),
    ("__GNUC_STDC_INLINE__", "1"),
    ("__GNUC__", "4"),
    ("__INT16_TYPE__", "short"),
    ("__INT32_TYPE__", "int"),
    ("__INT64_TYPE__", "long"),
    ("__INT8_TYPE__", "signed char"),
    ("__INTMAX_TYPE__", "long"),
    ("__INTPTR_TYPE__", "long"),
    ("__INT_MAX__", "2147483647"),
    ("__LITTLE_ENDIAN_BITFIELD", "1"),
    ("__LONG_LONG_MAX__", "9223372036854775807LL"),
    ("__LONG_MAX__", "9223372036854775807L"),
    ("__LP64__", "1"),
    ("__ORDER_BIG_ENDIAN__", "4321"),
    ("__ORDER_LITTLE_ENDIAN__", "1234"),
    ("__PTRDIFF_TYPE__", "long"),
    ("__SCHAR_MAX__", "127"),
    ("__SHRT_MAX__", "32767"),
    ("__SIZEOF_INT128__", "16"),
    ("__SIZEOF_INT__", "4"),
    ("__SIZEOF_LONG_LONG__", "8"),
    ("__SIZEOF_LONG__", "8"),
    ("__SIZEOF_POINTER__", "8"),
    ("__SIZEOF_SHORT__", "2"),
    ("__SIZEOF_SIZE_T__", "8"),
    ("__SIZE_MAX__", "18446744073709551615UL"),
    ("__SIZE_TYPE__", "unsigned long"),
    ("__STDC_HOSTED__", "1"),
    ("__STDC_VERSION__", "201112L"),
    ("__STDC__", "1"),
    ("__UINT16_TYPE__", "unsigned short"),
    ("__UINT32_TYPE__", "unsigned int"),
    ("__UINT64_TYPE__", "unsigned long"),
    ("__UINT8_TYPE__", "unsigned char"),
    ("__UINTMAX_TYPE__", "unsigned long"),
    ("__UINTPTR_TYPE__", "unsigned long"),
    ("__WCHAR_TYPE__", "int"),
    ("__WINT_TYPE__", "unsigned int"),
    ("____cacheline_aligned", "__attribute__ ( ( aligned ( 64 ) ) )"),
    ("____cacheline_aligned_in_smp", "__attribute__ ( ( aligned ( 64 ) ) )"),
    ("__aligned_s64", "__s64 __attribute__ ( ( aligned ( 8 ) ) )"),
    ("__aligned_u64", "__u64 __attribute__ ( ( aligned ( 8 ) ) )"),
    ("__bitwise", ""),
    ("__force", ""),
    ("__iomem", ""),
    ("__kernel", ""),
    ("__linux", "1"),
    ("__linux__", "1"),
    ("__must_check", ""),
    ("__packed", "__attribute__ ( ( packed ) )"),
    ("__percpu", ""),
    ("__private", ""),
    ("__randomize_layout", ""),
    ("__rcu", ""),
    ("__restrict", ""),
    ("__unix__", "1"),
    ("__user", ""),
    ("linux", "1"),
];

/// Macros that tell the architecture.
const fn of_arch(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["__x86_64__", "__x86_64", "__amd64__", "__amd64"],
        Arch::Aarch64 => &["__aarch64__"],
    }
}

/// The text of a predefined macro.
pub(super) fn macro_of(name: &str, arch: Arch) -> Option<&'static str> {
    if let Ok(found) = MACROS.binary_search_by(|(known, _)| known.cmp(&name)) {
        return MACROS.get(found).map(|(_, text)| *text);
    }
    of_arch(arch).contains(&name).then_some("1")
}

const fn int(size: u8, signed: bool) -> CType {
    CType::Int { size, signed }
}

/// Names of types that need no header, sorted. Sources: stddef.h, stdint.h, sys/types.h,
/// linux/types.h, asm-generic/posix_types.h.
const TYPES: &[(&str, CType)] = &[
    ("__be16", int(2, false)),
    ("__be32", int(4, false)),
    ("__be64", int(8, false)),
    ("__int128_t", int(16, true)),
    ("__le16", int(2, false)),
    ("__le32", int(4, false)),
    ("__le64", int(8, false)),
    ("__poll_t", int(4, false)),
    ("__s16", int(2, true)),
    ("__s32", int(4, true)),
    ("__s64", int(8, true)),
    ("__s8", int(1, true)),
    ("__sum16", int(2, false)),
    ("__u16", int(2, false)),
    ("__u32", int(4, false)),
    ("__u64", int(8, false)),
    ("__u8", int(1, false)),
    ("__uint128_t", int(16, false)),
    ("__wsum", int(4, false)),
    ("blkcnt_t", int(8, true)),
    ("blksize_t", int(8, true)),
    ("bool", CType::Bool),
    ("caddr_t", int(8, false)),
    ("clock_t", int(8, true)),
    ("clockid_t", int(4, true)),
    ("dev_t", int(8, false)),
    ("gid_t", int(4, false)),
    ("id_t", int(4, false)),
    ("in_addr_t", int(4, false)),
    ("in_port_t", int(2, false)),
    ("ino_t", int(8, false)),
    ("int16_t", int(2, true)),
    ("int32_t", int(4, true)),
    ("int64_t", int(8, true)),
    ("int8_t", int(1, true)),
    ("intmax_t", int(8, true)),
    ("intptr_t", int(8, true)),
    ("key_t", int(4, true)),
    ("loff_t", int(8, true)),
    ("mode_t", int(4, false)),
    ("nlink_t", int(8, false)),
    ("off_t", int(8, true)),
    ("pid_t", int(4, true)),
    ("ptrdiff_t", int(8, true)),
    ("s16", int(2, true)),
    ("s32", int(4, true)),
    ("s64", int(8, true)),
    ("s8", int(1, true)),
    ("sa_family_t", int(2, false)),
    ("size_t", int(8, false)),
    ("socklen_t", int(4, false)),
    ("ssize_t", int(8, true)),
    ("suseconds_t", int(8, true)),
    ("time_t", int(8, true)),
    ("u16", int(2, false)),
    ("u32", int(4, false)),
    ("u64", int(8, false)),
    ("u8", int(1, false)),
    ("u_char", int(1, false)),
    ("u_int", int(4, false)),
    ("u_int16_t", int(2, false)),
    ("u_int32_t", int(4, false)),
    ("u_int64_t", int(8, false)),
    ("u_int8_t", int(1, false)),
    ("u_long", int(8, false)),
    ("u_short", int(2, false)),
    ("uid_t", int(4, false)),
    ("uint", int(4, false)),
    ("uint16_t", int(2, false)),
    ("uint32_t", int(4, false)),
    ("uint64_t", int(8, false)),
    ("uint8_t", int(1, false)),
    ("uintmax_t", int(8, false)),
    ("uintptr_t", int(8, false)),
    ("ulong", int(8, false)),
    ("umode_t", int(2, false)),
    ("unchar", int(1, false)),
    ("useconds_t", int(4, false)),
    ("ushort", int(2, false)),
    ("wchar_t", int(4, true)),
];

/// Number of a type that needs no header.
pub(super) fn type_number(name: &str) -> Option<usize> {
    TYPES.binary_search_by(|(known, _)| known.cmp(&name)).ok()
}

/// The type with a number of [`type_number`].
pub(super) fn type_of(number: usize) -> Option<&'static CType> {
    TYPES.get(number).map(|(_, ty)| ty)
}

/// Names of the types that need no header.
pub(super) fn type_names<'a>() -> impl Iterator<Item = &'a str> {
    TYPES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(MACROS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
