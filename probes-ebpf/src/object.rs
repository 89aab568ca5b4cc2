//! Reads a compiled script's object back.
//!
//! The file may come from anywhere, so everything that a loader relies on without asking is checked
//! here: a damaged or hostile file gives a [`ReadError`], never a panic further on.

mod btf;
mod elf;
mod maps;
mod plan;

use crate::plan::{Object, Plan, SECTION, VERSION};
use crate::profile::Arch;

/// Largest file that is read, in bytes.
pub const MAX_SIZE: usize = 16 << 20;

/// Why a file is no object of ours, or not one that can be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not begin as an ELF file does.
    #[error("this is no ELF file")]
    NotElf,
    /// Larger than [`MAX_SIZE`].
    #[error("the file has {size} bytes; an object has at most {MAX_SIZE}")]
    TooLarge {
        /// Bytes of the file.
        size: usize,
    },
    /// It ends within its headers or a section.
    #[error("the file is cut off or damaged: {0}")]
    Damaged(String),
    /// An ELF file for 32-bit machines.
    #[error("this is a 32-bit ELF file; eBPF objects are 64-bit")]
    Not64Bit,
    /// Made for a machine of the other byte order.
    #[error("the object is big-endian; only little-endian objects are known")]
    BigEndian,
    /// An ELF file for a processor.
    #[error("this is an ELF file for machine {machine}, not for eBPF (247)")]
    NotBpf {
        /// `e_machine` (`EM_*`).
        machine: u16,
    },
    /// A program, a library or a core file.
    #[error("this is an ELF file of type {kind}, not a relocatable object (1)")]
    NotRelocatable {
        /// `e_type` (`ET_*`).
        kind: u16,
    },
    /// An eBPF object that rbtrace did not write.
    #[error("the object has no plan (section `{SECTION}`): rbtrace did not write it")]
    NoPlan,
    /// Written by another version of rbtrace.
    #[error(
        "the object's plan has version {found}; this rbtrace knows version {VERSION}: compile the script again"
    )]
    PlanVersion {
        /// The version it has.
        found: u64,
    },
    /// The plan is no JSON, or not of the right form.
    #[error("the object's plan cannot be read: {0}")]
    MalformedPlan(String),
    /// The plan contradicts itself or the object.
    #[error("the object's plan is inconsistent: {0}")]
    InconsistentPlan(String),
    /// The program relies on another processor's calling convention.
    #[error("the object was compiled for {found:?}; this machine is {host:?}")]
    WrongArch {
        /// What it was compiled for.
        found: Arch,
        /// What runs here.
        host: Arch,
    },
}

/// Whether a file begins as an ELF file does, so that it is not taken for a script.
pub fn is_elf(data: &[u8]) -> bool {
    data.starts_with(b"\x7fELF")
}

/// Reads an object and checks it. It may still be for another processor: see [`check_host`].
pub fn read_object(data: &[u8]) -> Result<Object, ReadError> {
    if data.len() > MAX_SIZE {
        return Err(ReadError::TooLarge { size: data.len() });
    }
    elf::check_header(data)?;
    let file = elf::parse(data)?;
    let plan = read_plan(elf::section(&file, SECTION)?.ok_or(ReadError::NoPlan)?)?;
    elf::check(&file)?;
    let types = btf::check(&file)?;
    plan::check(&plan)?;
    elf::check_plan(&file, &plan)?;
    maps::check(&types, &plan)?;
    Ok(Object { elf: data.to_vec(), plan })
}

/// Whether this machine's processor is the one that the object was compiled for.
pub fn check_host(plan: &Plan) -> Result<(), ReadError> {
    match plan.target.arch {
        arch if arch == Arch::HOST => Ok(()),
        found => Err(ReadError::WrongArch { found, host: Arch::HOST }),
    }
}

/// Reads the plan's JSON; the version comes first, since another one may have any form.
fn read_plan(json: &[u8]) -> Result<Plan, ReadError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u64,
    }
    let malformed = |e: serde_json::Error| ReadError::MalformedPlan(e.to_string());
    let Versioned { version } = serde_json::from_slice(json).map_err(malformed)?;
    if version != u64::from(VERSION) {
        return Err(ReadError::PlanVersion { found: version });
    }
    serde_json::from_slice(json).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 64 bytes of an ELF header, changed by `f`.
    fn header(f: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut h = vec![0; 64];
        h[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        h[16..20].copy_from_slice(&[1, 0, 247, 0]);
        h[20] = 1;
        h[52] = 64;
        f(&mut h);
        h
    }

    #[test]
    fn other_files_are_named() {
        assert_eq!(read_object(b"").unwrap_err(), ReadError::NotElf);
        assert_eq!(read_object(b"BEGIN { exit(); }").unwrap_err(), ReadError::NotElf);
        assert!(matches!(read_object(b"\x7fELF\x02").unwrap_err(), ReadError::Damaged(_)));
        assert_eq!(read_object(&header(|h| h[4] = 1)).unwrap_err(), ReadError::Not64Bit);
        assert_eq!(read_object(&header(|h| h[5] = 2)).unwrap_err(), ReadError::BigEndian);
        assert_eq!(
            read_object(&header(|h| h[18] = 62)).unwrap_err(),
            ReadError::NotBpf { machine: 62 }
        );
        assert_eq!(
            read_object(&header(|h| h[16] = 3)).unwrap_err(),
            ReadError::NotRelocatable { kind: 3 }
        );
        assert_eq!(read_object(&header(|_| ())).unwrap_err(), ReadError::NoPlan);
        assert!(matches!(
            read_object(&header(|h| h[40] = 200)).unwrap_err(),
            ReadError::Damaged(_)
        ));
    }

    #[test]
    fn plans_of_another_version_are_refused() {
        let found = read_plan(br#"{"version": 99, "whatever": []}"#).unwrap_err();
        assert_eq!(found, ReadError::PlanVersion { found: 99 });
        assert!(matches!(read_plan(b"{\"version\": 1}"), Err(ReadError::MalformedPlan(_))));
        assert!(matches!(read_plan(b"\xff"), Err(ReadError::MalformedPlan(_))));
    }

    #[test]
    fn deep_json_is_refused() {
        let json = format!("{{\"version\": 1, \"maps\": {}", "[".repeat(1 << 20));
        assert!(matches!(read_plan(json.as_bytes()), Err(ReadError::MalformedPlan(_))));
    }
}
