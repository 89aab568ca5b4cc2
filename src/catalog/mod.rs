//! What the running machine has: [`Catalog`] and [`TypeSource`] of its kernel and its files. Each
//! list is read when it is first asked for.

mod binaries;
mod bound;
pub mod format;
mod headers;
mod imports;
mod kernel;
mod raw_tracepoints;
mod symbols;
pub mod types;
mod usdt;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rbtrace_lang::catalog::ctypes::{CType, Origin, Signature, Tag, TypeRef};
use rbtrace_lang::catalog::source::{SourceLine, SourceLineError};
use rbtrace_lang::catalog::{
    Catalog, Convention, DebugInfo, PidNamespace, TracepointFormat, TypeSource, UsdtProbe,
    UserSymbol,
};
use rbtrace_probes_ebpf::glob;
use rbtrace_probes_ebpf::kinds::{ProgramType, lsm};
use rbtrace_probes_ebpf::plan::{ProgramFunction, UserFunction};
use rbtrace_runtime::symbols::kernel::KernelSymbols;
use rbtrace_runtime::symbols::{Binary, cpp};
use rbtrace_runtime::tracefs::Tracefs;
use rbtrace_runtime::{Error, features, programs};

pub use headers::Headers;
use kernel::{Function, FunctionList};
use types::dwarf::UserTypes;
use types::kernel::KernelTypes;

/// The running machine.
#[derive(Default)]
pub struct Machine {
    pid: Option<u32>,
    cpid: Option<u32>,
    of_cgroup: bool,
    any_interface: bool,
    /// What the command of `-c` will run. Until then its process is still rbtrace.
    program: Option<PathBuf>,
    traceable_functions: Option<PathBuf>,
    tracefs: OnceCell<Option<Tracefs>>,
    traceable: OnceCell<Option<FunctionList>>,
    symbols: OnceCell<Option<KernelSymbols>>,
    kallsyms: OnceCell<Option<Vec<Function>>>,
    raw_tracepoints: OnceCell<Option<Vec<(String, String)>>>,
    /// USDT probes of files that were asked about.
    usdt: RefCell<HashMap<String, Option<Vec<UsdtProbe>>>>,
    /// Files that were asked about a function.
    opened: RefCell<HashMap<String, Option<Rc<Binary>>>>,
    /// All functions of files that were asked about a pattern.
    binaries: RefCell<HashMap<String, Option<Rc<Vec<String>>>>>,
    headers: Headers,
    kernel_types: KernelTypes,
    user_types: UserTypes,
}

impl Machine {
    /// The running machine. `pid`: the process given by `-p`, or the one that `-c` started, which
    /// is `cpid`. `traceable_functions`: instead of tracefs' list of functions.
    pub fn new(pid: Option<u32>, cpid: Option<u32>, traceable_functions: Option<PathBuf>) -> Self {
        Self { pid, cpid, traceable_functions, ..Self::default() }
    }

    /// With the file that the command of `-c` will run.
    pub fn with_program(self, program: Option<PathBuf>) -> Self {
        Self { program, ..self }
    }

    /// With what happens in one cgroup traced alone.
    pub fn with_cgroup(self, of_cgroup: bool) -> Self {
        Self { of_cgroup, ..self }
    }

    /// With every network interface that is asked for, be it there or not. A pattern stands for one.
    pub fn with_any_interface(self, any_interface: bool) -> Self {
        Self { any_interface, ..self }
    }

    /// With the folders in which separate debug information is looked for first.
    pub fn with_debug_folders(self, folders: Vec<PathBuf>) -> Self {
        Self { user_types: UserTypes::new(folders), ..self }
    }

    /// With the headers that scripts can include.
    pub fn with_headers(self, headers: Headers) -> Self {
        Self { headers, ..self }
    }

    /// The headers that scripts can include.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// tracefs. `None`: it cannot be read here.
    pub fn tracefs(&self) -> Option<&Tracefs> {
        self.tracefs.get_or_init(|| Tracefs::open().ok()).as_ref()
    }

    /// The functions that the kernel itself calls traceable. `None`: it does not tell.
    fn traceable(&self) -> Option<&FunctionList> {
        let read = || match &self.traceable_functions {
            Some(path) => FunctionList::read(path),
            None => FunctionList::read(&self.tracefs()?.root().join("available_filter_functions")),
        };
        self.traceable.get_or_init(read).as_ref()
    }

    fn symbols(&self) -> Option<&KernelSymbols> {
        self.symbols.get_or_init(|| KernelSymbols::read().ok()).as_ref()
    }

    fn kallsyms(&self) -> Option<&[Function]> {
        self.kallsyms.get_or_init(|| self.symbols().map(kernel::of_symbols)).as_deref()
    }

    /// A function of the kernel by its name. What ftrace does not list can often be probed all the
    /// same, and the kernel tells its symbols several times faster.
    fn kernel_function(&self, module: Option<&str>, name: &str) -> Option<Vec<String>> {
        let is_listed = || self.traceable().map(|list| list.has(module, name));
        let is_there = match self.symbols().map(|all| kernel::is_symbol(all, module, name)) {
            Some(false) if self.traceable_functions.is_some() => is_listed(),
            Some(is_symbol) => Some(is_symbol),
            None => is_listed(),
        };
        is_there.map(|is_there| is_there.then(|| name.to_owned()).into_iter().collect())
    }

    fn opened(&self, binary: &str) -> Option<Rc<Binary>> {
        let mut opened = self.opened.borrow_mut();
        let open = || Binary::open(Path::new(binary)).ok().map(Rc::new);
        opened.entry(binary.to_owned()).or_insert_with(open).clone()
    }

    fn functions_of(&self, binary: &str) -> Option<Rc<Vec<String>>> {
        let mut known = self.binaries.borrow_mut();
        known.entry(binary.to_owned()).or_insert_with(|| functions(binary).map(Rc::new)).clone()
    }

    /// Types of the kernel and its modules.
    pub fn kernel_types(&self) -> &KernelTypes {
        &self.kernel_types
    }

    /// Types of programs and libraries.
    pub fn user_types(&self) -> &UserTypes {
        &self.user_types
    }

    /// The description of a tracepoint's record, as tracefs has it.
    pub fn tracepoint_format(&self, category: &str, name: &str) -> Option<String> {
        self.tracefs()?.format(category, name).ok()
    }
}

impl Catalog for Machine {
    fn why_no_binary(&self, binary: &str) -> Option<String> {
        match Binary::open(Path::new(binary)).and_then(|binary| binary.functions()) {
            Err(Error::BadLocation { reason, .. }) => Some(reason),
            Err(error) => Some(error.to_string()),
            Ok(_) => None,
        }
    }

    fn kernel_functions(&self, module: Option<&str>, pattern: &str) -> Option<Vec<String>> {
        if !glob::is_glob(pattern) {
            return self.kernel_function(module, pattern);
        }
        // A pattern has to be content with what is known to be safe.
        let functions = match self.traceable() {
            Some(list) => list.all(),
            None => self.kallsyms()?,
        };
        let mut names: Vec<String> =
            kernel::matching(functions, module, pattern).map(|f| f.name.clone()).collect();
        names.dedup();
        Some(names)
    }

    fn tracepoints(&self, category: &str, pattern: &str) -> Option<Vec<(String, String)>> {
        let tracefs = self.tracefs()?;
        let categories = match glob::is_glob(category) {
            true => tracefs.categories().ok()?,
            false => vec![category.to_owned()],
        };
        let mut found = Vec::new();
        for category in categories.iter().filter(|c| glob::matches(category, c)) {
            if !glob::is_glob(pattern) {
                if tracefs.id(category, pattern).is_ok() {
                    found.push((category.clone(), pattern.to_owned()));
                }
                continue;
            }
            let events = tracefs.events(category);
            let matching = events.into_iter().filter(|event| glob::matches(pattern, event));
            found.extend(matching.map(|event| (category.clone(), event)));
        }
        Some(found)
    }

    fn binaries(&self, pattern: &str) -> Vec<String> {
        if let (Some(_), "*") = (&self.program, pattern) {
            return self.program().into_iter().collect();
        }
        binaries::find(pattern, self.pid)
    }

    fn user_functions(&self, binary: &str, pattern: &str) -> Option<Vec<String>> {
        // Names of Go have signs of patterns in them.
        let named = self.opened(binary)?.find(pattern).ok()?;
        if named.is_some() || !glob::is_glob(pattern) {
            return Some(named.into_iter().map(|function| function.name).collect());
        }
        let functions = self.functions_of(binary)?;
        Some(functions.iter().filter(|name| glob::matches(pattern, name)).cloned().collect())
    }

    fn cpp_functions(&self, binary: &str, pattern: &str) -> Option<Vec<String>> {
        let name = if pattern.contains('(') { cpp::signature } else { cpp::name };
        let functions = self.functions_of(binary)?;
        let matching = functions.iter().filter(|symbol| match name(symbol) {
            Some(name) => glob::matches(pattern, &name),
            None => glob::matches(pattern, symbol),
        });
        Some(matching.cloned().collect())
    }

    fn source_line(&self, binary: &str, line: &SourceLine) -> Result<u64, SourceLineError> {
        self.user_types.source_line(binary, line)
    }

    fn raw_tracepoints(
        &self,
        module: Option<&str>,
        pattern: &str,
    ) -> Option<Vec<(String, String)>> {
        let all = self.raw_tracepoints.get_or_init(raw_tracepoints::all).as_deref()?;
        let wanted = all.iter().filter(|(of, name)| {
            module.is_none_or(|module| glob::matches(module, of)) && glob::matches(pattern, name)
        });
        Some(wanted.cloned().collect())
    }

    fn program_functions(
        &self,
        program: Option<u32>,
        pattern: &str,
    ) -> Option<Vec<ProgramFunction>> {
        let mut all = programs::functions(program).ok()?;
        all.retain(|at| glob::matches(pattern, &at.function));
        Some(all)
    }

    fn iterators(&self, pattern: &str) -> Option<Vec<String>> {
        Some(bound::iterators(self.kernel_types.own()?, pattern))
    }

    fn lsm_hooks(&self, pattern: &str) -> Option<Vec<String>> {
        Some(bound::lsm_hooks(self.kernel_types.own()?, pattern))
    }

    fn running_binaries(&self) -> Vec<String> {
        match (&self.program, self.pid) {
            (Some(_), _) => self.program().into_iter().collect(),
            (None, Some(pid)) => binaries::mapped_files(pid),
            (None, None) => binaries::in_use(),
        }
    }

    fn usdt_probes(&self, binary: &str) -> Option<Vec<UsdtProbe>> {
        let mut known = self.usdt.borrow_mut();
        known.entry(binary.to_owned()).or_insert_with(|| usdt::probes(binary)).clone()
    }

    fn interfaces(&self, pattern: &str) -> Option<Vec<String>> {
        if self.any_interface {
            return Some(vec![pattern.to_owned()]);
        }
        // /sys/class/net shows the namespace in which sysfs was mounted, this one ours.
        let table = fs::read_to_string("/proc/self/net/dev").ok()?;
        let mut names: Vec<String> = table
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .filter(|name| glob::matches(pattern, name))
            .collect();
        if let (true, Ok(index)) = (names.is_empty(), pattern.parse()) {
            names.extend(interface_name(index));
        }
        names.sort_unstable();
        Some(names)
    }

    fn kernel_symbol(&self, name: &str) -> Option<u64> {
        self.symbols()?.address(name).filter(|address| *address != 0)
    }

    fn user_symbol(&self, binary: &str, name: &str) -> Option<UserSymbol> {
        symbols::find(Path::new(binary), name)
    }

    fn convention(&self, at: &UserFunction) -> Convention {
        let is_go = || {
            let binary = self.opened(&at.binary)?;
            let address = match &at.symbol {
                Some(symbol) => binary.find(symbol).ok()??.address,
                None => at.offset,
            };
            Some(binary.is_go(address))
        };
        if is_go().unwrap_or(false) { Convention::Go } else { Convention::C }
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        rbtrace_runtime::cgroups::id(Path::new(path))
    }

    fn kfunc_allowed(&self, name: &str, program: ProgramType) -> bool {
        /// A function that every kernel has and that can be traced.
        const TRACEABLE: &str = "vfs_read";
        let number = |name: &str| self.kernel_types.function_number(name);
        let target = match program {
            ProgramType::Tracing => number(TRACEABLE).unwrap_or(0),
            ProgramType::Lsm => number(&lsm::function("file_open")).unwrap_or(0),
            _ => 0,
        };
        number(name).is_some_and(|id| features::may_call(name, id, program, target))
    }

    fn pid_namespace(&self) -> Option<PidNamespace> {
        /// Inode number of the first PID namespace (`PROC_PID_INIT_INO`, linux/proc_ns.h).
        const FIRST: u64 = 0xeffffffc;
        let own = rustix::fs::stat("/proc/self/ns/pid").ok()?;
        let namespace = PidNamespace { device: own.st_dev, inode: own.st_ino };
        (namespace.inode != FIRST).then_some(namespace)
    }

    fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn cpid(&self) -> Option<u32> {
        self.cpid
    }

    fn is_of_cgroup(&self) -> bool {
        self.of_cgroup
    }

    fn program(&self) -> Option<String> {
        match &self.program {
            Some(path) => path.to_str().map(str::to_owned),
            None => self.pid.map(|pid| format!("/proc/{pid}/exe")),
        }
    }
}

impl TypeSource for Machine {
    fn header(&self, name: &str, quoted: bool) -> Option<String> {
        self.headers.find(name, quoted)
    }

    fn tracepoint(&self, category: &str, name: &str) -> Option<TracepointFormat> {
        Some(format::parse(&self.tracepoint_format(category, name)?))
    }

    fn kernel_type(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        self.kernel_types.find(tag, name)
    }

    fn user_type(&self, binary: &str, tag: Tag, name: &str) -> Option<TypeRef> {
        self.user_types.find(binary, tag, name)
    }

    fn describe(&self, at: TypeRef) -> Option<CType> {
        match self.origin(at) {
            Origin::User => self.user_types.describe(at),
            _ => self.kernel_types.describe(at),
        }
    }

    fn origin(&self, at: TypeRef) -> Origin {
        match at.source {
            TypeRef::SCRIPT => Origin::Script,
            UserTypes::SOURCE.. => Origin::User,
            _ => Origin::Kernel,
        }
    }

    fn kernel_enumerator(&self, name: &str) -> Option<(TypeRef, i64)> {
        self.kernel_types.enumerator(name)
    }

    fn kernel_function(&self, module: Option<&str>, name: &str) -> Option<Signature> {
        self.kernel_types.function(module, name)
    }

    fn program_function(&self, at: &ProgramFunction) -> Option<Signature> {
        let prototype = programs::prototype(at)?;
        let word = |name| (name, CType::Int { size: 8, signed: false });
        let result = prototype.result.map_or(CType::Void, |(size, signed)| CType::Int {
            size: u8::try_from(size).unwrap_or(8),
            signed,
        });
        Some(Signature { params: prototype.parameters.into_iter().map(word).collect(), result })
    }

    fn raw_tracepoint(&self, name: &str) -> Option<Signature> {
        self.kernel_types.raw_tracepoint(name)
    }

    fn user_function(&self, binary: &str, name: &str) -> Option<Signature> {
        self.user_types.function(binary, name)
    }

    fn debug_info(&self, binary: &str) -> DebugInfo {
        match self.user_types.missing_parts(binary) {
            None => DebugInfo::Missing,
            Some(parts) if parts.is_empty() => DebugInfo::Whole,
            Some(parts) => {
                DebugInfo::Partial(parts.iter().map(|path| path.display().to_string()).collect())
            }
        }
    }
}

/// Names of the functions that a file defines, sorted. `None`: it is no program or library.
fn functions(path: &str) -> Option<Vec<String>> {
    let functions = Binary::open(Path::new(path)).ok()?.functions().ok()?;
    Some(functions.into_iter().map(|function| function.name).collect())
}

/// Name of the interface with this index.
fn interface_name(index: u32) -> Option<String> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let any = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    netdevice::index_to_name(any, index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_loopback_interface_by_name_pattern_and_index() {
        let machine = Machine::default();
        for pattern in ["lo", "l[o]", "1"] {
            let names = machine.interfaces(pattern).expect("a list of interfaces");
            assert!(names.iter().any(|name| name == "lo"), "{pattern}: {names:?}");
        }
        assert_eq!(machine.interfaces("no-such-interface"), Some(Vec::new()));
    }

    #[test]
    fn the_program_of_a_command_is_the_one_that_it_will_run() {
        let waiting = Machine::new(Some(7), Some(7), None).with_program(Some("/bin/true".into()));
        assert_eq!(waiting.program().as_deref(), Some("/bin/true"));
        assert_eq!(waiting.binaries("*"), ["/bin/true"]);
        let running = Machine::new(Some(7), None, None);
        assert_eq!(running.program().as_deref(), Some("/proc/7/exe"));
    }

    #[test]
    fn finds_libc_where_it_is_installed() {
        let machine = Machine::default();
        for path in machine.binaries("libc") {
            let all = machine.user_functions(&path, "getaddrinf[o]").expect("a library");
            assert_eq!(all, ["getaddrinfo"]);
        }
    }
}
