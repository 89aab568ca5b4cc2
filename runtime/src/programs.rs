//! Functions of eBPF programs that are loaded, for probes on them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rbtrace_probes_ebpf::btf::{Btf, Kind, Type};
use rbtrace_probes_ebpf::plan::ProgramFunction;

use crate::error::{Error, nearest};
use crate::features::Need;
use crate::sys::{btf, program};

/// `BPF_PROG_TYPE_TRACING` of linux/bpf.h. Programs of this type cannot be put on one another.
const TRACING: u32 = 26;

/// What a function takes and gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prototype {
    /// Names of its parameters, a word each.
    pub parameters: Vec<String>,
    /// Bytes of what it returns, and whether that is signed; absent: nothing.
    pub result: Option<(u32, bool)>,
}

/// A program that is loaded, and its types.
struct Loaded {
    program: OwnedFd,
    btf: Btf<'static>,
    functions: Vec<u32>,
}

impl Loaded {
    /// `None`: it has gone, or probes cannot be on it.
    fn open(id: u32) -> io::Result<Option<Self>> {
        let Some(program) = program::open(id)? else { return Ok(None) };
        let types = program::types(program.as_fd())?;
        if types.btf == 0 || types.kind == TRACING {
            return Ok(None);
        }
        let data = btf::contents(types.btf)?;
        let parsed = Btf::parse(data, None).ok();
        Ok(parsed.map(|btf| Self { program, btf, functions: types.functions }))
    }

    fn functions(&self) -> impl Iterator<Item = Type<'_>> {
        let all = self.functions.iter().filter_map(|id| self.btf.get(*id));
        all.filter(|function| function.kind() == Kind::Func)
    }

    fn find(&self, name: &str) -> Option<Type<'_>> {
        self.functions().find(|function| function.name() == name)
    }

    fn prototype(&self, function: &Type<'_>) -> Option<Prototype> {
        let prototype = self.btf.get(function.target())?;
        let result = self.btf.resolve(prototype.target());
        let signed = |ty: &Type<'_>| ty.int().is_some_and(|int| int.signed);
        Some(Prototype {
            parameters: prototype.params().map(|param| param.name.to_owned()).collect(),
            result: result.and_then(|ty| Some((ty.size()?, signed(&ty)))),
        })
    }
}

/// Every function that a probe can be on, of one program or of all, by program.
pub fn functions(of: Option<u32>) -> Result<Vec<ProgramFunction>, Error> {
    let failed = |e| Error::privileged("list eBPF programs", Need::SystemAdmin, e);
    let mut found = Vec::new();
    let mut last = 0;
    while let Some(id) = program::next_id(last).map_err(failed)? {
        last = id;
        if of.is_some_and(|wanted| wanted != id) {
            continue;
        }
        if let Some(loaded) = Loaded::open(id).map_err(failed)? {
            found.extend(loaded.functions().map(|function| ProgramFunction {
                program: id,
                function: function.name().to_owned(),
            }));
        }
    }
    Ok(found)
}

/// What a function takes and gives back; `None` if it is not there.
pub fn prototype(at: &ProgramFunction) -> Option<Prototype> {
    let loaded = Loaded::open(at.program).ok()??;
    let function = loaded.find(&at.function)?;
    loaded.prototype(&function)
}

/// The program that a function is of, and the number that the function has in its types.
pub(crate) fn find(at: &ProgramFunction) -> Result<(OwnedFd, u32), Error> {
    let failed = |e| Error::privileged("look up an eBPF program", Need::SystemAdmin, e);
    let place = format!("eBPF program {}", at.program);
    let unknown = |similar| Error::UnknownSymbol { name: at.function.clone(), place, similar };
    let Some(loaded) = Loaded::open(at.program).map_err(failed)? else {
        return Err(unknown(Vec::new()));
    };
    let number = loaded.find(&at.function).map(|function| function.id());
    match number {
        Some(number) => Ok((loaded.program, number)),
        None => {
            let names = loaded.functions().map(|function| function.name());
            let similar = nearest(&at.function, names, 3);
            Err(unknown(similar))
        }
    }
}
