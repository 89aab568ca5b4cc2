//! A machine made of tables, the same everywhere.

use std::fs;
use std::path::Path;

use rbtrace_lang::catalog::ctypes::{CRecord, CType, Signature};
use rbtrace_lang::catalog::source::{SourceLine, SourceLineError};
use rbtrace_lang::catalog::{
    Catalog, DataLoc, DebugInfo, ImportError, Imported, Loader, TracepointField, TracepointFormat,
    TypeSource, UsdtProbe,
};
use rbtrace_probes_ebpf::types::{Field, Type};

/// Some functions, tracepoints, programs and interfaces.
#[derive(Default)]
pub struct Machine {
    /// As given by `-p`.
    pub pid: Option<u32>,
    /// It has nothing that could be listed.
    pub blind: bool,
}

const FUNCTIONS: &[&str] =
    &["do_nanosleep", "do_sys_open", "do_sys_openat2", "vfs_open", "vfs_read", "vfs_write"];
const TRACEPOINTS: &[(&str, &str)] = &[
    ("sched", "sched_process_exec"),
    ("sched", "sched_switch"),
    ("syscalls", "sys_enter_open"),
    ("syscalls", "sys_enter_openat"),
    ("syscalls", "sys_exit_openat"),
];
const USER_FUNCTIONS: &[&str] = &["main", "malloc", "readline", "work"];

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((head, tail)) => {
            text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
        }
        None => pattern == text,
    }
}

fn select(pattern: &str, from: &[&str]) -> Vec<String> {
    from.iter().filter(|name| matches(pattern, name)).map(|name| (*name).to_owned()).collect()
}

impl Catalog for Machine {
    fn kernel_functions(&self, _: Option<&str>, pattern: &str) -> Option<Vec<String>> {
        (!self.blind).then(|| select(pattern, FUNCTIONS))
    }
    fn tracepoints(&self, category: &str, pattern: &str) -> Option<Vec<(String, String)>> {
        if self.blind {
            return None;
        }
        let found = TRACEPOINTS.iter().filter(|(c, n)| matches(category, c) && matches(pattern, n));
        Some(found.map(|(c, n)| ((*c).to_owned(), (*n).to_owned())).collect())
    }
    fn binaries(&self, pattern: &str) -> Vec<String> {
        match pattern {
            "bash" | "/bin/bash" => vec!["/bin/bash".into()],
            "libc" => vec!["/lib/libc.so.6".into()],
            "/bin/*" => vec!["/bin/bash".into(), "/bin/dash".into()],
            _ => Vec::new(),
        }
    }
    fn user_functions(&self, _: &str, pattern: &str) -> Option<Vec<String>> {
        Some(select(pattern, USER_FUNCTIONS))
    }
    fn cpp_functions(&self, _: &str, pattern: &str) -> Option<Vec<String>> {
        let known = [("Shell::run", "_ZN5Shell3runEi"), ("Shell::stop", "_ZN5Shell4stopEv")];
        let matching = known.iter().filter(|(name, _)| matches(pattern, name));
        Some(matching.map(|(_, symbol)| (*symbol).to_owned()).collect())
    }
    fn source_line(&self, binary: &str, line: &SourceLine) -> Result<u64, SourceLineError> {
        match (binary, line.file.as_str(), line.line) {
            ("/bin/bash", "main.c", 10) => Ok(0x1234),
            ("/bin/bash", "main.c", _) => Err(SourceLineError::NoCode { nearest: vec![10] }),
            ("/bin/bash", "list.c", _) => Err(SourceLineError::Ambiguous {
                files: vec!["/src/a/list.c".into(), "/src/b/list.c".into()],
            }),
            ("/bin/bash", ..) => Err(SourceLineError::NoFile { names: vec!["main.c".into()] }),
            _ => Err(SourceLineError::NoDebugInfo),
        }
    }
    fn raw_tracepoints(
        &self,
        module: Option<&str>,
        pattern: &str,
    ) -> Option<Vec<(String, String)>> {
        let of_module = module.is_none_or(|module| matches(module, "vmlinux"));
        let names =
            if of_module { select(pattern, &["sched_switch", "sys_enter"]) } else { vec![] };
        (!self.blind).then(|| names.into_iter().map(|name| ("vmlinux".into(), name)).collect())
    }
    fn iterators(&self, pattern: &str) -> Option<Vec<String>> {
        (!self.blind).then(|| select(pattern, &["task", "task_file", "task_vma"]))
    }
    fn lsm_hooks(&self, pattern: &str) -> Option<Vec<String>> {
        let hooks = ["file_open", "inode_free_security", "inode_xattr_skipcap", "task_kill"];
        (!self.blind).then(|| select(pattern, &hooks))
    }
    fn usdt_probes(&self, binary: &str) -> Option<Vec<UsdtProbe>> {
        let probe = |name: &str, arguments: &[&str]| UsdtProbe {
            provider: "shell".into(),
            name: name.into(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        };
        Some(match binary {
            "/bin/bash" => vec![
                probe("line", &["-4@%edi 8@-16(%rbp) 1@%ah", "-4@$5 8@8(%rax,%rbx,4)"]),
                probe("speed", &["8f@%xmm0"]),
            ],
            _ => Vec::new(),
        })
    }
    fn interfaces(&self, pattern: &str) -> Option<Vec<String>> {
        (!self.blind).then(|| select(pattern, &["eth0", "lo"]))
    }
    fn kernel_symbol(&self, name: &str) -> Option<u64> {
        (name == "jiffies").then_some(0xffff_ffff_8220_0000)
    }
    fn pid(&self) -> Option<u32> {
        self.pid
    }
    fn cpid(&self) -> Option<u32> {
        None
    }
}

fn field(name: &str, offset: u32, ty: Type, c_type: &str) -> TracepointField {
    let field = Field { name: name.into(), offset, ty, bits: None };
    TracepointField { field, c_type: c_type.into(), data_loc: None }
}

fn int(size: u8, signed: bool) -> Type {
    Type::Int { size, signed }
}

impl TypeSource for Machine {
    fn tracepoint(&self, _: &str, name: &str) -> Option<TracepointFormat> {
        if self.blind {
            return None;
        }
        let mut fields = vec![
            field("common_type", 0, int(2, false), "unsigned short"),
            field("common_pid", 4, int(4, true), "int"),
        ];
        match name {
            "sys_enter_open" => fields.extend([
                field("__syscall_nr", 8, int(4, true), "int"),
                field("filename", 16, Type::Ptr, "const char *"),
                field("flags", 24, int(8, true), "int"),
            ]),
            "sys_enter_openat" => fields.extend([
                field("__syscall_nr", 8, int(4, true), "int"),
                field("dfd", 16, int(8, true), "int"),
                field("filename", 24, Type::Ptr, "const char *"),
                field("flags", 32, int(8, true), "int"),
            ]),
            "sys_exit_openat" => fields.push(field("ret", 16, int(8, true), "long")),
            "sched_switch" => fields.extend([
                field("prev_comm", 8, Type::Str { size: 16 }, "char[16]"),
                field("prev_pid", 24, int(4, true), "pid_t"),
            ]),
            "sched_process_exec" => {
                let mut name = field("filename", 8, int(4, false), "__data_loc char[]");
                name.data_loc = Some(DataLoc::Record);
                fields.push(name);
            }
            _ => return None,
        }
        Some(TracepointFormat { fields })
    }
    fn kernel_function(&self, _: Option<&str>, name: &str) -> Option<Signature> {
        let pointer = |name: &str| (name.to_owned(), CType::Pointer(Box::new(CType::Void)));
        let int = CType::Int { size: 4, signed: true };
        let (params, result) = match name {
            "bpf_iter_task" => (vec![pointer("meta"), pointer("task")], int),
            "bpf_iter_task_file" => {
                let fd = ("fd".to_owned(), CType::Int { size: 4, signed: false });
                (vec![pointer("meta"), pointer("task"), fd, pointer("file")], int)
            }
            "bpf_lsm_file_open" => (vec![pointer("file")], int),
            "bpf_lsm_inode_free_security" => (vec![pointer("inode")], CType::Void),
            "bpf_lsm_inode_xattr_skipcap" => (vec![pointer("name")], int),
            _ => return None,
        };
        Some(Signature { params, result })
    }
    fn user_function(&self, binary: &str, name: &str) -> Option<Signature> {
        let pair = CRecord { name: "pair".into(), union: false, size: Some(8), fields: vec![] };
        let params = match (binary, name) {
            ("/bin/bash", "main") => vec![],
            ("/bin/bash", "readline") => {
                vec![("prompt".into(), CType::Pointer(Box::new(CType::Char)))]
            }
            ("/bin/bash", "work") => vec![
                ("speed".into(), CType::Float { size: 8 }),
                ("pair".into(), CType::Record(pair)),
            ],
            _ => return None,
        };
        Some(Signature { params, result: CType::Void })
    }
    fn debug_info(&self, binary: &str) -> DebugInfo {
        match binary {
            "/bin/bash" => DebugInfo::Whole,
            "/bin/dash" => DebugInfo::Partial(vec!["/src/dash.dwo".into()]),
            _ => DebugInfo::Missing,
        }
    }
}

/// Scripts to import lie beside the cases that import them.
impl Loader for Machine {
    fn load(&self, name: &str, from: &str) -> Result<Imported, ImportError> {
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        let path = folder.join(name);
        if name.ends_with(".bpf.c") {
            return Err(ImportError::NeedsCompiler);
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ui");
        match fs::read_to_string(root.join(&path)) {
            Ok(text) => Ok(Imported::Script { path: path.display().to_string(), text }),
            Err(_) => Err(ImportError::NotFound { looked_in: vec![folder.display().to_string()] }),
        }
    }
}
