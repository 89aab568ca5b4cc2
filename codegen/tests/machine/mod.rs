//! The machine that scripts of hermetic tests are compiled for: a few functions, tracepoints and types,
//! the same everywhere.

use rbtrace_lang::catalog::ctypes::{CField, CRecord, CType, Origin, Signature, Tag, TypeRef};
use rbtrace_lang::catalog::{
    Catalog, Convention, DebugInfo, TracepointField, TracepointFormat, TypeSource, UsdtProbe,
    UserSymbol,
};
use rbtrace_probes_ebpf::plan::{ProgramFunction, UserFunction};
use rbtrace_probes_ebpf::types::{Field, Type};

/// A machine that is the same everywhere.
pub struct Machine;

impl Catalog for Machine {
    fn kernel_functions(&self, _: Option<&str>, pattern: &str) -> Option<Vec<String>> {
        let known = ["do_nanosleep", "do_sys_openat2", "tcp_sendmsg", "vfs_read", "vfs_write"];
        Some(matching(&known, pattern))
    }

    fn tracepoints(&self, category: &str, pattern: &str) -> Option<Vec<(String, String)>> {
        let known = ["sys_enter_openat", "sys_enter_read", "sys_exit_read"];
        let categories = matching(&["syscalls"], category);
        let names = matching(&known, pattern);
        Some(categories.iter().flat_map(|c| names.iter().map(|n| (c.clone(), n.clone()))).collect())
    }

    fn binaries(&self, pattern: &str) -> Vec<String> {
        match pattern {
            "libc" => vec!["/lib/libc.so.6".into()],
            path if path.starts_with('/') => vec![path.into()],
            _ => Vec::new(),
        }
    }

    fn user_functions(&self, _: &str, pattern: &str) -> Option<Vec<String>> {
        Some(matching(&["free", "main", "main.greet", "main.main", "malloc", "walk"], pattern))
    }

    fn cpp_functions(&self, _: &str, pattern: &str) -> Option<Vec<String>> {
        let matches = !matching(&["Shell::run"], pattern).is_empty();
        Some(matches.then(|| "_ZN5Shell3runEi".to_owned()).into_iter().collect())
    }

    fn raw_tracepoints(&self, _: Option<&str>, pattern: &str) -> Option<Vec<(String, String)>> {
        let names = matching(&["sched_switch", "sys_enter"], pattern);
        Some(names.into_iter().map(|name| ("vmlinux".to_owned(), name)).collect())
    }

    fn program_functions(&self, _: Option<u32>, pattern: &str) -> Option<Vec<ProgramFunction>> {
        let at = |function| ProgramFunction { program: 7, function };
        Some(matching(&["filter", "filter_one"], pattern).into_iter().map(at).collect())
    }

    fn convention(&self, at: &UserFunction) -> Convention {
        let is_go = at.symbol.as_ref().is_some_and(|symbol| symbol.starts_with("main."));
        if is_go { Convention::Go } else { Convention::C }
    }

    fn iterators(&self, pattern: &str) -> Option<Vec<String>> {
        Some(matching(&["task", "task_file", "task_vma"], pattern))
    }

    fn lsm_hooks(&self, pattern: &str) -> Option<Vec<String>> {
        Some(matching(&["file_lock", "file_open", "inode_xattr_skipcap"], pattern))
    }

    fn usdt_probes(&self, _: &str) -> Option<Vec<UsdtProbe>> {
        let arguments = ["-4@%edi 8@-16(%rbp) 1@%ah", "-4@$-5 8@8(%rax,%rbx,4) 2@%si"];
        Some(vec![UsdtProbe {
            provider: "shell".to_owned(),
            name: "line".to_owned(),
            arguments: arguments.map(str::to_owned).to_vec(),
        }])
    }

    fn interfaces(&self, pattern: &str) -> Option<Vec<String>> {
        Some(matching(&["eth0", "lo"], pattern))
    }

    fn kernel_symbol(&self, name: &str) -> Option<u64> {
        let symbols = ["avenrun", "__per_cpu_offset", "kstat"];
        let at = symbols.iter().position(|symbol| *symbol == name)?;
        Some(0xffff_ffff_8200_0000 + at as u64 * 0x1000)
    }

    fn user_symbol(&self, _: &str, name: &str) -> Option<UserSymbol> {
        let symbol = |address, size| Some(UserSymbol { address, size, fixed: false });
        match name {
            "main" => symbol(0x1000, 0x80),
            "interactive" => symbol(0x8000, 4),
            _ => None,
        }
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        (path == "/sys/fs/cgroup/system.slice").then_some(57)
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    fn cpid(&self) -> Option<u32> {
        None
    }
}

impl TypeSource for Machine {
    fn tracepoint(&self, _: &str, name: &str) -> Option<TracepointFormat> {
        let u64_type = Type::Int { size: 8, signed: false };
        let fields = match name {
            "sys_enter_openat" => vec![
                field("__syscall_nr", 8, Type::Int { size: 4, signed: true }, "int"),
                field("dfd", 16, u64_type.clone(), "int"),
                field("filename", 24, Type::Ptr, "const char *"),
                field("flags", 32, u64_type, "int"),
            ],
            "sys_enter_read" => vec![
                field("fd", 16, u64_type.clone(), "unsigned int"),
                field("count", 32, u64_type, "size_t"),
            ],
            "sys_exit_read" => vec![field("ret", 16, Type::Int { size: 8, signed: true }, "long")],
            _ => return None,
        };
        Some(TracepointFormat { fields })
    }

    fn kernel_type(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        (tag == Tag::Struct && name == "task_struct").then_some(TASK)
    }

    fn describe(&self, at: TypeRef) -> Option<CType> {
        let int = CType::Int { size: 4, signed: true };
        match at {
            NODE => Some(record(
                "node",
                16,
                vec![("next", pointer(CType::Ref(NODE)), 0), ("value", int, 8)],
            )),
            GO_STRING => Some(record(
                "string",
                16,
                vec![
                    ("str", pointer(CType::Int { size: 1, signed: false }), 0),
                    ("len", CType::Int { size: 8, signed: true }, 8),
                ],
            )),
            GO_SLICE => Some(record(
                "[]int32",
                24,
                vec![
                    ("array", pointer(int), 0),
                    ("len", CType::Int { size: 8, signed: true }, 8),
                    ("cap", CType::Int { size: 8, signed: true }, 16),
                ],
            )),
            TASK => Some(record(
                "task_struct",
                9000,
                vec![
                    ("prio", int.clone(), 100),
                    ("pid", int, 2400),
                    ("real_parent", pointer(CType::Ref(TASK)), 2416),
                    ("group_leader", pointer(CType::Ref(TASK)), 2464),
                    ("comm", CType::Array { elem: Box::new(CType::Char), len: 16 }, 3008),
                ],
            )),
            FILE => Some(record(
                "file",
                232,
                vec![
                    ("f_flags", CType::Int { size: 4, signed: false }, 72),
                    ("f_path", CType::Ref(PATH), 152),
                ],
            )),
            PATH => Some(record(
                "path",
                16,
                vec![("mnt", pointer(CType::Void), 0), ("dentry", pointer(CType::Void), 8)],
            )),
            _ => None,
        }
    }

    fn origin(&self, at: TypeRef) -> Origin {
        match at {
            NODE | GO_STRING | GO_SLICE => Origin::User,
            TASK | FILE | PATH => Origin::Kernel,
            _ => Origin::Script,
        }
    }

    fn kernel_function(&self, _: Option<&str>, name: &str) -> Option<Signature> {
        let meta = || ("meta", pointer(CType::Void));
        let task = || ("task", pointer(CType::Ref(TASK)));
        let file = || ("file", pointer(CType::Ref(FILE)));
        let params = match name {
            "tcp_sendmsg" => vec![
                ("sk", pointer(CType::Void)),
                ("msg", pointer(CType::Void)),
                ("size", CType::Int { size: 8, signed: false }),
            ],
            "bpf_iter_task" => vec![meta(), task()],
            "bpf_iter_task_file" => {
                vec![meta(), task(), ("fd", CType::Int { size: 4, signed: false }), file()]
            }
            "bpf_lsm_file_open" => vec![file()],
            "bpf_lsm_file_lock" => vec![file(), ("cmd", CType::Int { size: 4, signed: false })],
            "bpf_lsm_inode_xattr_skipcap" => vec![("name", pointer(CType::Char))],
            _ => return None,
        };
        Some(Signature {
            params: params.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect(),
            result: CType::Int { size: 4, signed: true },
        })
    }

    fn program_function(&self, at: &ProgramFunction) -> Option<Signature> {
        let word = |name: &str| (name.to_owned(), CType::Int { size: 8, signed: false });
        let params = if at.function == "filter" { vec!["ctx"] } else { vec!["packet", "length"] };
        let result = CType::Int { size: 4, signed: true };
        Some(Signature { params: params.into_iter().map(word).collect(), result })
    }

    fn user_function(&self, _: &str, name: &str) -> Option<Signature> {
        let node = || pointer(CType::Ref(NODE));
        let params: &[(&str, CType)] = match name {
            "main" => &[
                ("argc", CType::Int { size: 4, signed: true }),
                ("argv", pointer(pointer(CType::Char))),
            ],
            "main.greet" => &[
                ("name", CType::Ref(GO_STRING)),
                ("scale", CType::Float { size: 8 }),
                ("times", CType::Int { size: 8, signed: true }),
                ("rest", CType::Array { elem: Box::new(CType::Bool), len: 3 }),
                ("numbers", CType::Ref(GO_SLICE)),
                ("second", CType::Ref(GO_STRING)),
                ("last", CType::Ref(GO_STRING)),
                ("flag", CType::Bool),
            ],
            "walk" => &[
                ("list", node()),
                ("weight", CType::Float { size: 8 }),
                ("flag", CType::Bool),
                ("key", CType::Char),
                ("by_value", CType::Ref(NODE)),
                ("depth", CType::Int { size: 2, signed: true }),
                ("on_stack", CType::Int { size: 4, signed: false }),
            ],
            _ => return None,
        };
        let params = params.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect();
        Some(Signature { params, result: CType::Void })
    }

    fn debug_info(&self, _: &str) -> DebugInfo {
        DebugInfo::Whole
    }
}

/// `struct node` of the machine's programs.
const NODE: TypeRef = TypeRef { source: 1, id: 1 };
/// The type of strings and a type of slices of the programs that are of Go.
const GO_STRING: TypeRef = TypeRef { source: 1, id: 2 };
const GO_SLICE: TypeRef = TypeRef { source: 1, id: 3 };
/// `struct task_struct` of its kernel.
const TASK: TypeRef = TypeRef { source: 2, id: 1 };

/// `struct file` of its kernel.
const FILE: TypeRef = TypeRef { source: 2, id: 2 };
/// `struct path` of its kernel.
const PATH: TypeRef = TypeRef { source: 2, id: 3 };

/// A struct of this many bytes; members with their offsets in bytes.
fn record(name: &str, size: u32, members: Vec<(&str, CType, u32)>) -> CType {
    let members = members.into_iter().map(|(name, ty, offset)| CField {
        name: name.into(),
        ty,
        bit_offset: offset * 8,
        bits: None,
    });
    CType::Record(CRecord {
        name: name.into(),
        union: false,
        size: Some(size),
        fields: members.collect(),
    })
}

fn pointer(to: CType) -> CType {
    CType::Pointer(Box::new(to))
}

fn field(name: &str, offset: u32, ty: Type, c_type: &str) -> TracepointField {
    TracepointField {
        field: Field { name: name.into(), offset, ty, bits: None },
        c_type: c_type.into(),
        data_loc: None,
    }
}

/// Names that a pattern with `*` at its end, or without any, matches.
fn matching(known: &[&str], pattern: &str) -> Vec<String> {
    known
        .iter()
        .filter(|name| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => **name == pattern,
        })
        .map(|name| (*name).to_owned())
        .collect()
}
