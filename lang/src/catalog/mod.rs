//! What a machine has, as the compiler asks for it. The program implements these traits with the
//! running kernel; tests implement them with tables.

pub mod ctypes;
pub mod source;

use rbtrace_probes_ebpf::kinds::ProgramType;
use rbtrace_probes_ebpf::plan::{ProgramFunction, UserFunction};
use rbtrace_probes_ebpf::types::Field;

use ctypes::{CType, Origin, Signature, Tag, TypeRef};
use source::{SourceLine, SourceLineError};

/// Probes, functions, interfaces: what attach points can name. Patterns are globs with `*`, `?`
/// and `[...]`; a pattern without any of them matches itself alone. Results are sorted.
pub trait Catalog {
    /// Functions of the kernel, or of one module, that can be probed.
    ///
    /// `None`: the list cannot be read here, so nothing can be said about names.
    fn kernel_functions(&self, module: Option<&str>, pattern: &str) -> Option<Vec<String>>;

    /// Tracepoints as `(category, name)`. `None`: the list cannot be read here.
    fn tracepoints(&self, category: &str, pattern: &str) -> Option<Vec<(String, String)>>;

    /// Paths of the programs or libraries that `pattern` names: a path, a glob of paths, a name
    /// found by `PATH` or as the dynamic linker would. Empty: there is none.
    fn binaries(&self, pattern: &str) -> Vec<String>;

    /// Functions of a program or library that can be probed. `None`: the file cannot be read as
    /// one.
    fn user_functions(&self, binary: &str, pattern: &str) -> Option<Vec<String>>;

    /// Why a file cannot be read as a program or library.
    fn why_no_binary(&self, _binary: &str) -> Option<String> {
        None
    }

    /// As [`Catalog::user_functions`], by the names that functions have in C++; parameters count if the
    /// pattern has any. The functions go by their symbols.
    fn cpp_functions(&self, _binary: &str, _pattern: &str) -> Option<Vec<String>> {
        None
    }

    /// The address, in the file's own address space, of the first instruction of a line of a
    /// program's or library's source.
    ///
    /// # Errors
    ///
    /// If there is no such line, or the program does not tell.
    fn source_line(&self, _binary: &str, _line: &SourceLine) -> Result<u64, SourceLineError> {
        Err(SourceLineError::NoDebugInfo)
    }

    /// Raw tracepoints as `(module, name)`, of one module or of all; those of the kernel itself
    /// are of `vmlinux`. `None`: the list cannot be read here.
    fn raw_tracepoints(
        &self,
        _module: Option<&str>,
        _pattern: &str,
    ) -> Option<Vec<(String, String)>> {
        None
    }

    /// Functions of eBPF programs that are loaded, of one or of all, by program. `None`: the list cannot be
    /// read here.
    fn program_functions(
        &self,
        _program: Option<u32>,
        _pattern: &str,
    ) -> Option<Vec<ProgramFunction>> {
        None
    }

    /// The kernel's iterators that need nothing but their name: the `task` of `bpf_iter_task`.
    /// `None`: the list cannot be read here.
    fn iterators(&self, _pattern: &str) -> Option<Vec<String>> {
        None
    }

    /// Hooks of the kernel's security modules that it takes programs on: the `file_open` of
    /// `bpf_lsm_file_open`. `None`: the list cannot be read here.
    fn lsm_hooks(&self, _pattern: &str) -> Option<Vec<String>> {
        None
    }

    /// Paths of the programs and libraries that are in use: by the process that [`Catalog::pid`]
    /// names, or by any.
    fn running_binaries(&self) -> Vec<String> {
        Vec::new()
    }

    /// The USDT probes of a program or library, each once. `None`: the file cannot be read as one.
    fn usdt_probes(&self, _binary: &str) -> Option<Vec<UsdtProbe>> {
        None
    }

    /// Network interfaces. `None`: the list cannot be read here.
    fn interfaces(&self, pattern: &str) -> Option<Vec<String>>;

    /// Address of a kernel symbol, for `kaddr`.
    fn kernel_symbol(&self, name: &str) -> Option<u64>;

    /// A variable or function of a program or library, for `uaddr`. `None`: there is none of this
    /// name.
    fn user_symbol(&self, _binary: &str, _name: &str) -> Option<UserSymbol> {
        None
    }

    /// How a function gets its arguments.
    fn convention(&self, _at: &UserFunction) -> Convention {
        Convention::C
    }

    /// Id of the cgroup (version 2) at a path, for `cgroupid`. `None`: there is none.
    fn cgroup_id(&self, _path: &str) -> Option<u64> {
        None
    }

    /// Whether a program of this type may call a kernel function that is made for eBPF programs,
    /// for `kfunc_allowed`.
    fn kfunc_allowed(&self, _name: &str, _program: ProgramType) -> bool {
        false
    }

    /// The PID namespace that rbtrace runs in. `None`: the first one, whose ids the kernel gives.
    fn pid_namespace(&self) -> Option<PidNamespace> {
        None
    }

    /// The process given by `-p`, or the one that `-c` started.
    fn pid(&self) -> Option<u32>;

    /// The process that `-c` started.
    fn cpid(&self) -> Option<u32>;

    /// Whether only what happens in a cgroup is traced (`--cgroup`), which user space names when the
    /// programs are loaded.
    fn is_of_cgroup(&self) -> bool {
        false
    }

    /// Path of the program of the process that [`Catalog::pid`] names.
    fn program(&self) -> Option<String> {
        self.pid().map(|pid| format!("/proc/{pid}/exe"))
    }
}

/// A PID namespace, by the file that stands for it (`/proc/PID/ns/pid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidNamespace {
    /// Device number of the file system that the file is on, as stat(2) gives it.
    pub device: u64,
    /// Inode number of the file.
    pub inode: u64,
}

/// A symbol of a program or library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserSymbol {
    /// Address in the file's own address space.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// The file is always loaded where it says: it is neither a position-independent program nor
    /// a library.
    pub fixed: bool,
}

/// How functions get their arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// As those of C.
    #[default]
    C,
    /// As those of Go.
    Go,
}

/// A USDT probe of a program or library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtProbe {
    /// Who defines it.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// The arguments of its places (see [`rbtrace_probes_ebpf::usdt`]), different ones only.
    pub arguments: Vec<String>,
}

/// Types that live outside the script.
pub trait TypeSource {
    /// The fields of a tracepoint's record. `None`: there is no such tracepoint.
    fn tracepoint(&self, category: &str, name: &str) -> Option<TracepointFormat>;

    /// A type of the kernel or one of its modules by its name. `None`: there is none, or the kernel
    /// does not say.
    fn kernel_type(&self, _tag: Tag, _name: &str) -> Option<TypeRef> {
        None
    }

    /// A type of a program or library by its name, from its debug information.
    fn user_type(&self, _binary: &str, _tag: Tag, _name: &str) -> Option<TypeRef> {
        None
    }

    /// What a reference that this source gave out stands for, never [`CType::Ref`] to itself.
    /// `None`: it is not a type of this source.
    fn describe(&self, _at: TypeRef) -> Option<CType> {
        None
    }

    /// Where the values of a reference's source lie.
    fn origin(&self, _at: TypeRef) -> Origin {
        Origin::Script
    }

    /// A name of an enum's variant in the kernel: the enum and the value.
    fn kernel_enumerator(&self, _name: &str) -> Option<(TypeRef, i64)> {
        None
    }

    /// A function of the kernel, or of one module.
    fn kernel_function(&self, _module: Option<&str>, _name: &str) -> Option<Signature> {
        None
    }

    /// A function of an eBPF program that is loaded. Its parameters are words.
    fn program_function(&self, _at: &ProgramFunction) -> Option<Signature> {
        None
    }

    /// The arguments of a raw tracepoint (`btf_trace_NAME` in the kernel's types).
    fn raw_tracepoint(&self, _name: &str) -> Option<Signature> {
        None
    }

    /// A function of a program or library, from its debug information.
    fn user_function(&self, _binary: &str, _name: &str) -> Option<Signature> {
        None
    }

    /// Whether a program or library has debug information. [`DebugInfo::Missing`] unless it does.
    fn debug_info(&self, _binary: &str) -> DebugInfo {
        DebugInfo::Missing
    }

    /// The text of a header that the script includes: `name` as written, `quoted` for `"..."`.
    /// `None`: there is no such file.
    fn header(&self, _name: &str, _quoted: bool) -> Option<String> {
        None
    }
}

/// What is known of a program's debug information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebugInfo {
    /// There is none.
    Missing,
    /// All of it is there.
    Whole,
    /// Some of the files that it consists of are not there: their paths.
    Partial(Vec<String>),
}

/// The record of a tracepoint, from its format file in tracefs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointFormat {
    /// Fields in order, the common ones included.
    pub fields: Vec<TracepointField>,
}

/// A field of a tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointField {
    /// Name, offset and how the value prints. Pointers are [`rbtrace_probes_ebpf::types::Type::Ptr`],
    /// `char` arrays are `Str`.
    pub field: Field,
    /// The C type as the kernel writes it: `const char *`.
    pub c_type: String,
    /// The field is a `u32` whose low half is the offset of the data in the record and whose
    /// high half is its length (`__data_loc`, `__rel_loc`).
    pub data_loc: Option<DataLoc>,
}

/// What the offset in a [`TracepointField::data_loc`] counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataLoc {
    /// The start of the record.
    Record,
    /// The end of the field itself.
    Field,
}

/// Files that scripts import.
pub trait Loader {
    /// What `name` stands for in an import of the file `from`, which is called as in [`Sources`];
    /// if that is empty, `name` is a path that a [`Imported::Directory`] listed.
    ///
    /// [`Sources`]: crate::span::Sources
    ///
    /// # Errors
    ///
    /// Why it cannot be imported.
    fn load(&self, name: &str, from: &str) -> Result<Imported, ImportError>;
}

/// What an import stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// A script.
    Script {
        /// Its path; the same for all ways to name the file.
        path: String,
        /// The text.
        text: String,
    },
    /// A C header.
    Header {
        /// Its path, which [`TypeSource::header`] takes.
        path: String,
    },
    /// A directory: paths of the files in it that can be imported, in order.
    Directory(Vec<String>),
}

/// Why a file cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// There is none of that name.
    NotFound {
        /// Where it was looked for.
        looked_in: Vec<String>,
    },
    /// It cannot be read, and why.
    Unreadable(String),
    /// The file, or the directory that it is in, is open for everybody to change.
    WorldWritable(String),
    /// It is C code for the kernel (`.bpf.c`).
    NeedsCompiler,
    /// Its name ends in nothing that is known.
    UnknownKind,
}

/// A machine that has nothing: every question is answered with "cannot be known".
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Catalog for Nothing {
    fn kernel_functions(&self, _: Option<&str>, _: &str) -> Option<Vec<String>> {
        None
    }
    fn tracepoints(&self, _: &str, _: &str) -> Option<Vec<(String, String)>> {
        None
    }
    fn binaries(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
    fn user_functions(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }
    fn interfaces(&self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn kernel_symbol(&self, _: &str) -> Option<u64> {
        None
    }
    fn pid(&self) -> Option<u32> {
        None
    }
    fn cpid(&self) -> Option<u32> {
        None
    }
}

impl TypeSource for Nothing {
    fn tracepoint(&self, _: &str, _: &str) -> Option<TracepointFormat> {
        None
    }
}

impl Loader for Nothing {
    fn load(&self, _: &str, _: &str) -> Result<Imported, ImportError> {
        Err(ImportError::NotFound { looked_in: Vec::new() })
    }
}
