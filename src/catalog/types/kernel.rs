//! Types of the running kernel and its modules, from the BTF in `/sys/kernel/btf`.
//!
//! Nothing is read before a type is asked for, and no module's before the kernel itself was found
//! not to have it.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbtrace_lang::catalog::ctypes::{CType, Signature, Tag, TypeRef};
use rbtrace_probes_ebpf::btf::{Btf, Kind};

use super::describe::Describe;

/// Where the kernel shows its types.
const DIRECTORY: &str = "/sys/kernel/btf";
/// The file of the kernel itself.
const VMLINUX: &str = "vmlinux";

/// Types of the kernel (source 1) and its modules (from 2 on).
#[derive(Debug)]
pub struct KernelTypes {
    directory: PathBuf,
    /// Absent if it cannot be read.
    vmlinux: OnceCell<Option<Arc<Btf<'static>>>>,
    modules: OnceCell<Vec<Module>>,
}

/// A module with types of its own.
#[derive(Debug)]
struct Module {
    name: String,
    btf: OnceCell<Option<Btf<'static>>>,
}

impl Default for KernelTypes {
    fn default() -> Self {
        Self::under(Path::new(DIRECTORY))
    }
}

impl KernelTypes {
    /// [`TypeRef::source`] of the kernel's own types.
    pub const SOURCE: u32 = 1;

    /// The types in the files of a directory, `vmlinux` and one for each module.
    pub fn under(directory: &Path) -> Self {
        let (vmlinux, modules) = (OnceCell::new(), OnceCell::new());
        Self { directory: directory.to_owned(), vmlinux, modules }
    }

    /// The types of the kernel itself. `None`: they cannot be read.
    pub fn own(&self) -> Option<&Btf<'static>> {
        self.btf().map(Arc::as_ref)
    }

    fn btf(&self) -> Option<&Arc<Btf<'static>>> {
        let read = || {
            let data = fs::read(self.directory.join(VMLINUX)).ok()?;
            Btf::parse(data, None).ok().map(Arc::new)
        };
        self.vmlinux.get_or_init(read).as_ref()
    }

    fn modules(&self) -> &[Module] {
        self.modules.get_or_init(|| {
            let entries = fs::read_dir(&self.directory).into_iter().flatten();
            let mut names: Vec<String> = entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| name != VMLINUX)
                .collect();
            names.sort_unstable();
            names.into_iter().map(|name| Module { name, btf: OnceCell::new() }).collect()
        })
    }

    fn module(&self, index: usize) -> Option<Describe<'_>> {
        let module = self.modules().get(index)?;
        let read = || {
            let base = self.btf()?.clone();
            let data = fs::read(self.directory.join(&module.name)).ok()?;
            Btf::parse(data, Some(base)).ok()
        };
        let btf = module.btf.get_or_init(read).as_ref()?;
        let source = Self::SOURCE + 1 + u32::try_from(index).ok()?;
        Some(Describe { btf, source, base: Self::SOURCE })
    }

    fn kernel(&self) -> Option<Describe<'_>> {
        Some(Describe { btf: self.own()?, source: Self::SOURCE, base: Self::SOURCE })
    }

    /// The kernel, then its modules. Each is read when it is come to.
    fn all(&self) -> impl Iterator<Item = Describe<'_>> {
        let modules = (0..).map_while(|i| (i < self.modules().len()).then_some(i));
        let modules = modules.filter_map(|i| self.module(i));
        self.kernel().into_iter().chain(modules)
    }

    /// The types of one module, `vmlinux` for the kernel itself, or of all.
    pub fn of<'a>(&'a self, module: Option<&'a str>) -> impl Iterator<Item = Describe<'a>> {
        let named = |name: &str| match name {
            VMLINUX => self.kernel(),
            name => self.module(self.modules().iter().position(|m| m.name == name)?),
        };
        let one = module.map(named);
        let all = match one {
            None => Some(self.all()),
            Some(_) => None,
        };
        one.flatten().into_iter().chain(all.into_iter().flatten())
    }

    /// Name of the file that a source is, as bpftrace shows it.
    pub fn name_of(&self, source: u32) -> Option<&str> {
        match source.checked_sub(Self::SOURCE)? {
            0 => Some(VMLINUX),
            index => Some(self.modules().get(index as usize - 1)?.name.as_str()),
        }
    }

    /// The source that a reference is of.
    fn source(&self, source: u32) -> Option<Describe<'_>> {
        match source.checked_sub(Self::SOURCE)? {
            0 => self.kernel(),
            index => self.module(index as usize - 1),
        }
    }

    /// A type by its name.
    pub fn find(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        let kinds = kinds(tag);
        let declared = |at: &Describe<'_>| {
            let union = tag == Tag::Union;
            let found = at
                .btf
                .named(&[Kind::Fwd], name)
                .find(|id| at.btf.get(*id).is_some_and(|declaration| declaration.flag() == union));
            found.map(|id| at.reference(id))
        };
        let defined = self.all().find_map(|at| Some(at.reference(at.btf.find(kinds, name)?.id())));
        let is_record = matches!(tag, Tag::Struct | Tag::Union);
        defined.or_else(|| self.all().filter(|_| is_record).find_map(|at| declared(&at)))
    }

    /// What a reference stands for.
    pub fn describe(&self, at: TypeRef) -> Option<CType> {
        let source = self.source(at.source)?;
        let described = source.describe(u32::try_from(at.id).ok()?)?;
        match &described {
            // What the kernel only declares, a module may define.
            CType::Record(record) if record.size.is_none() => {
                let tag = if record.union { Tag::Union } else { Tag::Struct };
                let defined = self.all().find_map(|other| {
                    let ty = other.btf.find(kinds(tag), &record.name)?;
                    other.describe(ty.id())
                });
                Some(defined.unwrap_or(described))
            }
            _ => Some(described),
        }
    }

    /// The enum that has a variant of this name, and its value.
    pub fn enumerator(&self, name: &str) -> Option<(TypeRef, i64)> {
        self.all().find_map(|at| {
            let (ty, value) = at.btf.enumerator(name)?;
            Some((at.reference(ty.id()), value))
        })
    }

    /// A function of the kernel or of one module.
    pub fn function(&self, module: Option<&str>, name: &str) -> Option<Signature> {
        self.of(module).find_map(|at| at.signature(at.btf.find(&[Kind::Func], name)?.id(), 0))
    }

    /// The number of a function of the kernel itself among its types.
    pub fn function_number(&self, name: &str) -> Option<u32> {
        self.kernel()?.btf.find(&[Kind::Func], name).map(|function| function.id())
    }

    /// Declarations of a function's parameters, as a listing shows them, and of what it returns
    /// under the name `retval` unless that is nothing. `None`: nothing is known of the function.
    pub fn declarations(&self, module: Option<&str>, name: &str) -> Option<Vec<String>> {
        self.of(module).find_map(|at| {
            let function = at.btf.find(&[Kind::Func], name)?;
            let proto = at.btf.get(function.target())?;
            let mut all: Vec<String> =
                proto.params().map(|p| at.named_declaration(p.ty, p.name)).collect();
            if proto.target() != 0 {
                all.push(at.named_declaration(proto.target(), "retval"));
            }
            Some(all)
        })
    }

    /// As [`KernelTypes::declarations`], of the parameters of a function of the kernel itself alone.
    pub fn parameters(&self, name: &str) -> Option<Vec<String>> {
        let kernel = self.kernel()?;
        let function = kernel.btf.find(&[Kind::Func], name)?;
        let proto = kernel.btf.get(function.target())?;
        Some(proto.params().map(|p| kernel.named_declaration(p.ty, p.name)).collect())
    }

    /// As [`KernelTypes::declarations`], of a raw tracepoint's arguments.
    pub fn raw_declarations(&self, name: &str) -> Option<Vec<String>> {
        self.all().find_map(|at| {
            let (function, skip) = self.raw_function(&at, name)?;
            let proto = at.btf.get(function)?;
            Some(proto.params().skip(skip).map(|p| at.named_declaration(p.ty, p.name)).collect())
        })
    }

    /// The arguments of a raw tracepoint. Every one has the type `btf_trace_NAME`, but only the
    /// functions that the kernel generates for it name them; all have a `void *` in front.
    pub fn raw_tracepoint(&self, name: &str) -> Option<Signature> {
        self.all().find_map(|at| {
            let (proto, skip) = self.raw_function(&at, name)?;
            at.signature(proto, skip)
        })
    }

    /// The prototype that tells the arguments of a raw tracepoint, and how many to leave out.
    fn raw_function(&self, at: &Describe<'_>, name: &str) -> Option<(u32, usize)> {
        let typedef = at.btf.find(&[Kind::Typedef], &format!("btf_trace_{name}"))?;
        let pointer = at.btf.resolve(typedef.id())?;
        let proto = at.btf.get(pointer.target())?;
        let with_names = ["__traceiter_", "__bpf_trace_", "__probestub_"];
        let named = with_names.iter().find_map(|prefix| {
            let function = at.btf.find(&[Kind::Func], &format!("{prefix}{name}"))?;
            let named = at.btf.get(function.target())?;
            (named.params().count() == proto.params().count()).then(|| named.id())
        });
        Some((named.unwrap_or(proto.id()), 1))
    }
}

fn kinds(tag: Tag) -> &'static [Kind] {
    match tag {
        Tag::Struct => &[Kind::Struct],
        Tag::Union => &[Kind::Union],
        Tag::Enum => &[Kind::Enum, Kind::Enum64],
        Tag::Name => &[Kind::Typedef, Kind::Int, Kind::Float],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the running kernel; tests that need it pass where it has none.
    fn running() -> Option<KernelTypes> {
        let types = KernelTypes::default();
        types.btf().is_some().then_some(types)
    }

    #[test]
    fn a_kernel_without_types_knows_none() {
        let types = KernelTypes::under(Path::new("/no/such/directory"));
        assert_eq!(types.find(Tag::Struct, "task_struct"), None);
        assert_eq!(types.function(None, "vfs_read"), None);
        assert_eq!(types.function(Some("vmlinux"), "vfs_read"), None);
        assert_eq!(types.enumerator("BPF_MAP_TYPE_HASH"), None);
        let nowhere = TypeRef { source: KernelTypes::SOURCE + 7, id: 1 };
        assert_eq!(types.describe(nowhere), None);
    }

    #[test]
    fn describes_a_struct_one_level_deep() {
        let Some(types) = running() else { return };
        let task = types.find(Tag::Struct, "task_struct").expect("every kernel has tasks");
        assert_eq!(types.find(Tag::Union, "task_struct"), None);
        let Some(CType::Record(task)) = types.describe(task) else { panic!("a struct") };
        let field = |name: &str| task.fields.iter().find(|f| f.name == name).expect("a field");
        let text = CType::Array { elem: Box::new(CType::Char), len: 16 };
        assert_eq!(field("comm").ty, text);
        assert_eq!(field("pid").ty, CType::Int { size: 4, signed: true });
        let CType::Pointer(parent) = &field("parent").ty else { panic!("a pointer") };
        let CType::Ref(parent) = parent.as_ref() else { panic!("{parent:?}") };
        assert_eq!(Some(*parent), types.find(Tag::Struct, "task_struct"));
        assert!(task.fields.iter().any(|f| f.bits == Some(1)), "there are bitfields");
    }

    #[test]
    fn knows_functions_enumerators_and_raw_tracepoints() {
        let Some(types) = running() else { return };
        let read = types.function(None, "vfs_read").expect("a function");
        let names: Vec<_> = read.params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["file", "buf", "count", "pos"]);
        assert_eq!(read.result, CType::Int { size: 8, signed: true });
        assert_eq!(types.function(Some("vmlinux"), "vfs_read"), Some(read));
        assert_eq!(types.function(Some("no_such_module"), "vfs_read"), None);

        let (map_type, hash) = types.enumerator("BPF_MAP_TYPE_HASH").expect("a variant");
        assert_eq!(hash, 1);
        assert_eq!(Some(map_type), types.find(Tag::Enum, "bpf_map_type"));

        let switch = types.raw_tracepoint("sched_switch").expect("a raw tracepoint");
        let names: Vec<_> = switch.params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.get(..3), Some(&["preempt", "prev", "next"].map(|n| n)[..]));
        assert_eq!(types.raw_tracepoint("no_such_tracepoint"), None);
    }

    #[test]
    fn knows_names_of_types() {
        let Some(types) = running() else { return };
        let describe = |name| types.describe(types.find(Tag::Name, name).expect("a name"));
        assert_eq!(describe("size_t"), Some(CType::Int { size: 8, signed: false }));
        assert_eq!(describe("bool"), Some(CType::Bool));
        assert_eq!(describe("char"), Some(CType::Char));
        assert!(matches!(describe("atomic_t"), Some(CType::Record(_))));
    }
}
