//! From an object to maps and programs in the kernel.
//!
//! aya-obj parses, links and relocates; aya creates the maps. `aya::EbpfLoader` is not used: it
//! parses the BTF of the whole kernel before anything else, whether or not the object needs it.

pub(crate) mod instruction;
mod private_stack;
mod target;
pub mod verifier;

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aya_obj::btf::BtfFeatures;
use rbtrace_probes_ebpf::kinds::{ProbeKind, ProgramType};
use rbtrace_probes_ebpf::object::check_host;
use rbtrace_probes_ebpf::plan::{GlobalValue, Object, Plan, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::attach::kprobe;
use crate::error::{Error, Unsupported};
use crate::features::{self, Need, missing_capability};
use crate::guard;
use crate::maps::{self, LoadedMap};
use crate::sys::bpf::{
    ATTACH_FENTRY, ATTACH_FEXIT, ATTACH_ITER, ATTACH_KPROBE_MULTI, ATTACH_LSM, ATTACH_UPROBE_MULTI,
    ATTACH_XDP, ProgramBtf, ProgramSpec, load_program,
};
use crate::sys::btf::load_btf;

/// Linux 6.6 has links for many uprobes, but until this one they confuse process and thread.
const UPROBE_MULTI_SINCE: KernelVersion = KernelVersion::new(6, 10);

/// A program as it is handed to the kernel: relocated and linked.
#[derive(Debug)]
pub(crate) struct Image {
    name: CString,
    license: CString,
    kind: ProbeKind,
    /// `expected_attach_type` of a program for one place.
    attach_type: u32,
    /// The function that the program is for.
    target: target::Function,
    instructions: Vec<aya_obj::generated::bpf_insn>,
    functions: Vec<u8>,
    lines: Vec<u8>,
    symbol: String,
}

/// A program in the kernel.
#[derive(Debug)]
pub(crate) struct LoadedProgram {
    /// The program.
    pub fd: OwnedFd,
    /// It can be attached by a link to many places, and only so.
    pub multi: bool,
    image: Image,
}

/// An object in the kernel.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its plan.
    pub plan: Arc<Plan>,
    /// By the index in the plan.
    pub maps: Vec<Arc<LoadedMap>>,
    /// Maps that the plan does not mention: a program that is loaded again refers to them.
    sections: Vec<Arc<LoadedMap>>,
    /// By the index in the plan; none for those without a probe.
    programs: Vec<Option<LoadedProgram>>,
    /// What went less well than it could, but not wrong.
    pub warnings: Vec<String>,
    btf: Option<OwnedFd>,
}

/// Loads an object. Maps of the script that `shared` has are used, not created.
pub(crate) fn load(object: &Object, shared: &[Arc<LoadedMap>]) -> Result<Loaded, Error> {
    check_host(&object.plan)?;
    let plan = Arc::new(object.plan.clone());
    let mut elf = guarded(|| aya_obj::Object::parse(&object.elf))?
        .map_err(|e| Error::Malformed(error_chain(&e)))?;
    set_globals(&plan, &mut elf)?;
    let mut warnings = Vec::new();
    let btf = object_btf(&mut elf, &mut warnings)?;
    if elf.has_btf_relocations() {
        relocate_types(&mut elf)?;
    }
    let maps = maps::create_all(&plan, &mut elf, btf.as_ref().map(AsFd::as_fd), shared)?;
    link(&mut elf, &maps)?;
    let maps::Created { by_plan: maps, sections, .. } = maps;
    let mut loaded = Loaded { plan, maps, sections, programs: Vec::new(), warnings, btf };
    let mut targets = target::Targets::default();
    for index in 0..loaded.plan.programs.len() {
        let program = match has_probes(&loaded.plan, index) {
            true => {
                let image = image(&loaded.plan, index, &elf, &mut targets)?;
                Some(loaded.load_image(index, image)?)
            }
            false => None,
        };
        loaded.programs.push(program);
    }
    Ok(loaded)
}

/// Runs a function of aya-obj, which panics on some broken files.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, Error> {
    guard::guarded(f).ok_or_else(|| Error::Malformed("broken ELF file".into()))
}

/// An error and what caused it, in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Section of the programs' variables.
const GLOBALS: &str = ".bss";

fn set_globals(plan: &Plan, elf: &mut aya_obj::Object) -> Result<(), Error> {
    for global in &plan.globals {
        let value = match global.value {
            GlobalValue::StartTime => boot_time(),
            GlobalValue::TaiOffset => tai_offset(),
            GlobalValue::PossibleCpus => features::possible_cpus().into(),
        };
        let offset = global.offset as usize;
        let place =
            elf.maps.get_mut(GLOBALS).and_then(|m| m.data_mut().get_mut(offset..offset + 8));
        let place = place.ok_or_else(|| Error::Malformed(format!("{GLOBALS} is too short")))?;
        place.copy_from_slice(&value.to_ne_bytes());
    }
    Ok(())
}

/// `CLOCK_BOOTTIME` in nanoseconds.
fn boot_time() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
}

/// What `CLOCK_TAI` is ahead of `CLOCK_BOOTTIME`, in nanoseconds; 0 where the kernel has no such
/// clock. The one is read between two readings of the other, and of several attempts the one
/// counts that took the least time.
fn tai_offset() -> u64 {
    use rustix::time::{DynamicClockId, clock_gettime_dynamic};
    const ATTEMPTS: u32 = 5;
    let attempt = || {
        let before = boot_time();
        let tai = nanoseconds(clock_gettime_dynamic(DynamicClockId::Tai).ok()?);
        let took = boot_time().wrapping_sub(before);
        Some((took, tai.wrapping_sub(before.wrapping_add(took / 2))))
    };
    (0..ATTEMPTS).filter_map(|_| attempt()).min().map_or(0, |(_, offset)| offset)
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Loads the object's own BTF, without which programs run but diagnostics lack lines.
fn object_btf(
    elf: &mut aya_obj::Object,
    warnings: &mut Vec<String>,
) -> Result<Option<OwnedFd>, Error> {
    let Some(features) = btf_features(features::kernel_version()) else { return Ok(None) };
    let fixed = guarded(|| elf.fixup_and_sanitize_btf(&features).map(|b| b.map(|b| b.to_bytes())))?;
    let Some(bytes) = fixed.map_err(|e| Error::Malformed(error_chain(&e)))? else {
        return Ok(None);
    };
    match load_btf(&bytes, &mut []) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
            Err(Error::privileged("load BTF", Need::Bpf, e))
        }
        Err(e) => {
            let mut log = vec![0; 64 << 10];
            // Only for its log: it fails again.
            drop(load_btf(&bytes, &mut log));
            let log = verifier::text(&log);
            let reason = log.lines().last().unwrap_or_default();
            warnings.push(format!("the kernel refused the object's BTF: {e}: {reason}"));
            Ok(None)
        }
    }
}

/// Kinds of BTF records that a kernel knows.
fn btf_features(kernel: KernelVersion) -> Option<BtfFeatures> {
    let since = |major, minor| kernel >= KernelVersion::new(major, minor);
    since(5, 0).then(|| {
        BtfFeatures::new(
            true,         // functions
            since(5, 6),  // global functions
            since(5, 2),  // data sections
            since(5, 13), // empty data sections
            since(5, 13), // floats
            since(5, 16), // declaration tags
            since(5, 17), // type tags
            since(6, 0),  // 64-bit enums
        )
    })
}

/// Resolves CO-RE relocations against the running kernel's types.
fn relocate_types(elf: &mut aya_obj::Object) -> Result<(), Error> {
    let kernel = aya_obj::btf::Btf::from_sys_fs().map_err(|_| Unsupported {
        feature: "BTF of its own types",
        since: Some(KernelVersion::new(5, 2)),
        config: Some("CONFIG_DEBUG_INFO_BTF"),
        hint: Some("a script that reads kernel structures needs it".into()),
    })?;
    guarded(|| elf.relocate_btf(&kernel))?.map_err(|e| Error::Malformed(error_chain(&e)))
}

/// Puts maps' descriptors and functions' offsets into the instructions.
fn link(elf: &mut aya_obj::Object, maps: &maps::Created) -> Result<(), Error> {
    let text: HashSet<usize> = elf.functions.keys().map(|(section, _)| *section).collect();
    let references =
        maps.in_elf.iter().map(|(name, map, def)| (name.as_str(), map.fd().as_raw_fd(), def));
    // aya-obj's sets have a hasher of their own choice.
    let text = text.into_iter().collect();
    guarded(|| elf.relocate_maps(references, &text))?
        .map_err(|e| Error::Malformed(error_chain(&e)))?;
    guarded(|| elf.relocate_calls(&text))?.map_err(|e| Error::Malformed(error_chain(&e)))
}

/// Whether a program of the plan has a probe; the user may have filtered all of them away.
fn has_probes(plan: &Plan, index: usize) -> bool {
    plan.programs.get(index).is_some_and(|program| !program.probes.is_empty())
}

fn image(
    plan: &Plan,
    index: usize,
    elf: &aya_obj::Object,
    targets: &mut target::Targets,
) -> Result<Image, Error> {
    let program =
        plan.programs.get(index).ok_or_else(|| Error::Malformed("no such program".into()))?;
    let missing = || Error::Malformed(format!("there is no program {}", program.symbol));
    let definition = elf.programs.get(&program.symbol).ok_or_else(missing)?;
    let function = elf.functions.get(&definition.function_key()).ok_or_else(missing)?;
    let mut image = Image {
        name: kernel_name(&program.symbol),
        license: definition.license.clone(),
        kind: program.kind,
        attach_type: attach_type(program.kind),
        target: targets.of(plan, program)?,
        instructions: function.instructions.clone(),
        functions: function.func_info.func_info_bytes(),
        lines: function.line_info.line_info_bytes(),
        symbol: program.symbol.clone(),
    };
    image.refuse_private_stack(features::kernel_version());
    Ok(image)
}

/// `expected_attach_type` of programs for one place.
pub(crate) fn attach_type(kind: ProbeKind) -> u32 {
    match kind {
        ProbeKind::Fentry => ATTACH_FENTRY,
        ProbeKind::Fexit => ATTACH_FEXIT,
        ProbeKind::Iter => ATTACH_ITER,
        ProbeKind::Lsm => ATTACH_LSM,
        _ if kind.spec().program == ProgramType::Xdp => ATTACH_XDP,
        _ => 0,
    }
}

/// A name as the kernel takes it: letters, digits, `_` and `.`, 15 bytes.
pub(crate) fn kernel_name(name: &str) -> CString {
    let plain: Vec<u8> = name
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b == b'_' || b == b'.' { b } else { b'_' })
        .take(15)
        .collect();
    CString::new(plain).unwrap_or_default()
}

impl Loaded {
    /// Contents of the section that the programs' variables are in, if there is one.
    pub fn variables(&self) -> std::io::Result<Option<Vec<u8>>> {
        let Some(map) = self.sections.iter().find(|m| m.plan.symbol == GLOBALS) else {
            return Ok(None);
        };
        Ok(map.lookup(&0u32.to_ne_bytes())?.and_then(|values| values.into_iter().next()))
    }

    /// A program by its index in the plan, if it has a probe.
    pub fn program(&self, index: usize) -> Option<&LoadedProgram> {
        self.programs.get(index)?.as_ref()
    }

    /// Every program of the plan, as [`Loaded::program`] has it.
    pub fn programs(&self) -> impl Iterator<Item = Option<&LoadedProgram>> {
        self.programs.iter().map(Option::as_ref)
    }

    fn load_image(&self, index: usize, image: Image) -> Result<LoadedProgram, Error> {
        let attach_type = self.multi_attach_type(index);
        if let Some(attach_type) = attach_type
            && let Ok(fd) = self.submit(&image, attach_type)
        {
            return Ok(LoadedProgram { fd, multi: true, image });
        }
        let fd = self.submit_or_explain(&image)?;
        Ok(LoadedProgram { fd, multi: false, image })
    }

    /// Loads a copy of a program that refers to another map in place of one.
    pub fn copy(
        &self,
        index: usize,
        map: BorrowedFd<'_>,
        other: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Error> {
        let program =
            self.program(index).ok_or_else(|| Error::Malformed("no such program".into()))?;
        let image = &program.image;
        let mut instructions = image.instructions.clone();
        instruction::replace_map(&mut instructions, map, other);
        let spec = self.spec(image, image.attach_type);
        load_program(&ProgramSpec { instructions: &instructions, ..spec }, &mut []).map_err(|e| {
            Error::privileged("load an eBPF program", needed_to_load(image.kind.spec().program), e)
        })
    }

    /// Loads a program again so that it can be attached to one place at a time.
    pub fn reload_single(&mut self, index: usize) -> Result<(), Error> {
        let Some(program) = self.program(index).filter(|p| p.multi) else { return Ok(()) };
        let fd = self.submit_or_explain(&program.image)?;
        if let Some(Some(program)) = self.programs.get_mut(index) {
            program.fd = fd;
            program.multi = false;
        }
        Ok(())
    }

    /// The attach type for a link to many places, where program and kernel can do with one.
    fn multi_attach_type(&self, index: usize) -> Option<u32> {
        let program = self.plan.programs.get(index)?;
        let targets = || {
            program
                .probes
                .iter()
                .filter_map(|p| self.plan.probes.get(*p as usize))
                .map(|p| &p.target)
        };
        let kernel = features::kernel_version();
        match program.kind {
            ProbeKind::Kprobe | ProbeKind::Kretprobe
                if kernel >= KernelVersion::new(5, 18)
                    && program.probes.len() > 1
                    && targets().all(is_plain_function) =>
            {
                Some(ATTACH_KPROBE_MULTI)
            }
            ProbeKind::Uprobe | ProbeKind::Uretprobe | ProbeKind::Usdt
                if kernel >= UPROBE_MULTI_SINCE =>
            {
                Some(ATTACH_UPROBE_MULTI)
            }
            _ => None,
        }
    }

    fn spec<'a>(&'a self, image: &'a Image, attach_type: u32) -> ProgramSpec<'a> {
        ProgramSpec {
            kind: image.kind.spec().program as u32,
            name: &image.name,
            instructions: &image.instructions,
            license: &image.license,
            attach_type,
            target: image.target.borrow(),
            btf: self.btf.as_ref().map(|fd| ProgramBtf {
                fd: fd.as_fd(),
                functions: &image.functions,
                lines: &image.lines,
            }),
        }
    }

    fn submit(&self, image: &Image, attach_type: u32) -> std::io::Result<OwnedFd> {
        load_program(&self.spec(image, attach_type), &mut [])
    }

    /// What the verifier says of a program.
    pub fn verifier_log(&self, index: usize) -> String {
        let Some(program) = self.program(index) else { return String::new() };
        verifier::log_of(&self.spec(&program.image, program.image.attach_type))
    }

    fn submit_or_explain(&self, image: &Image) -> Result<OwnedFd, Error> {
        let need = needed_to_load(image.kind.spec().program);
        let error = match self.submit(image, image.attach_type) {
            Ok(fd) => return Ok(fd),
            Err(error) => error,
        };
        if error.raw_os_error() == Some(libc::EPERM) {
            return Err(match target::refused(image.kind) {
                Some(unsupported) if missing_capability(need).is_none() => unsupported.into(),
                _ => Error::privileged("load an eBPF program", need, error),
            });
        }
        let log = verifier::log_of(&self.spec(image, image.attach_type));
        if let Some(unsupported) = target::not_there(image.kind, &log) {
            return Err(unsupported.into());
        }
        Err(Error::Rejected(Box::new(verifier::explain(&image.symbol, error, log, &image.lines))))
    }
}

/// What loading a program of a type takes.
fn needed_to_load(program: ProgramType) -> Need {
    match program {
        ProgramType::Xdp | ProgramType::SchedCls => Need::Network,
        ProgramType::SocketFilter | ProgramType::CgroupSkb => Need::Bpf,
        _ => Need::Tracing,
    }
}

/// A kernel function by its bare name, which a link to many places can take.
fn is_plain_function(target: &Target) -> bool {
    match target {
        Target::Kprobe(f) | Target::Kretprobe(f) => {
            kprobe::module(f).is_none() && f.offset == 0 && !f.function.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_for_the_kernel() {
        assert_eq!(kernel_name("kprobe:vfs_read+16").to_bytes(), b"kprobe_vfs_read");
        assert_eq!(kernel_name("a.b").to_bytes(), b"a.b");
    }
}
