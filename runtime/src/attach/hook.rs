//! Places in the kernel where packets are seen.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rbtrace_probes_ebpf::plan::{Direction, Interface, Target, XdpMode};

use super::{Attachment, Context, cgroup_skb, socket, tc, xdp};
use crate::cgroups;
use crate::error::Error;
use crate::netlink::link::Link;

/// Where and how programs for packets are attached.
#[derive(Debug)]
pub(crate) enum Hook {
    /// An XDP program of an interface.
    Xdp(Link, Option<XdpMode>),
    /// A `tc` program of an interface.
    Tc(Link, Direction),
    /// A socket that gets copies of an interface's packets.
    Socket(Link),
    /// A program of a cgroup, which is this open folder, and its id.
    Cgroup(OwnedFd, u64, Direction),
}

/// What a [`Hook`] is, without how it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HookId {
    /// Of the interface of this index.
    Xdp(u32),
    /// Of the interface of this index.
    Tc(u32, Direction),
    /// Of the interface of this index.
    Socket(u32),
    /// Of the cgroup of this id.
    Cgroup(u64, Direction),
}

impl Hook {
    /// The hooks of a target: of those interfaces alone.
    pub fn of(target: &Target, links: &[Link]) -> Result<Vec<Self>, Error> {
        let on = |interface: &Interface, hook: &dyn Fn(Link) -> Self| -> Vec<Self> {
            links.iter().filter(|link| is_on(interface, link)).cloned().map(hook).collect()
        };
        Ok(match target {
            Target::Xdp { interface, mode } => on(interface, &|link| Hook::Xdp(link, *mode)),
            Target::Tc { interface, direction } => {
                on(interface, &|link| Hook::Tc(link, *direction))
            }
            Target::Socket { interface } => on(interface, &Hook::Socket),
            Target::CgroupSkb { path, direction } => {
                let (folder, id) = cgroups::open(Path::new(path))?;
                vec![Hook::Cgroup(folder, id, *direction)]
            }
            _ => Vec::new(),
        })
    }

    /// What it is.
    pub fn id(&self) -> HookId {
        match self {
            Hook::Xdp(link, _) => HookId::Xdp(link.index),
            Hook::Tc(link, direction) => HookId::Tc(link.index, *direction),
            Hook::Socket(link) => HookId::Socket(link.index),
            Hook::Cgroup(_, id, direction) => HookId::Cgroup(*id, *direction),
        }
    }

    /// Index of the interface that it is of.
    pub fn interface(&self) -> Option<u32> {
        match self {
            Hook::Xdp(link, _) | Hook::Tc(link, _) | Hook::Socket(link) => Some(link.index),
            Hook::Cgroup(..) => None,
        }
    }

    /// Makes it one that is attached to as both want.
    ///
    /// # Errors
    ///
    /// They want different things.
    pub fn merge(&mut self, other: Hook) -> Result<(), Error> {
        let (Hook::Xdp(link, mode), Hook::Xdp(_, wanted)) = (self, other) else { return Ok(()) };
        match (&mode, wanted) {
            (Some(mode), Some(wanted)) if *mode != wanted => Err(Error::BadLocation {
                place: format!("interface {}", link.name),
                reason: "its XDP program has one mode, and the script asks for several".into(),
            }),
            (None, wanted) => {
                *mode = wanted;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Attaches a program.
    pub fn attach(&self, program: BorrowedFd<'_>, context: &Context) -> Result<Attachment, Error> {
        match self {
            Hook::Xdp(link, mode) => xdp::attach(program, link, *mode, context),
            Hook::Tc(link, direction) => tc::attach(program, link, *direction, context),
            Hook::Socket(link) => socket::attach(program, link),
            Hook::Cgroup(folder, _, direction) => {
                cgroup_skb::attach(program, folder, *direction, context)
            }
        }
    }
}

/// Whether an attach point means this interface.
fn is_on(interface: &Interface, link: &Link) -> bool {
    interface.is_called(&link.name)
        || (interface.is_index() && interface.text().parse() == Ok(link.index))
}

/// Whether a target has a hook now: whatever names no interface by its name or index has, or may have later.
pub(crate) fn is_there(target: &Target, links: &[Link]) -> Result<(), Error> {
    match target.interface() {
        Some(interface @ Interface::Named(name))
            if !links.iter().any(|link| is_on(interface, link)) =>
        {
            let existing = links.iter().map(|link| link.name.clone()).collect();
            Err(Error::UnknownInterface { name: name.clone(), existing })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_no_name_unless_an_interface_is_called_so() {
        let link = |index, name: &str| Link { index, name: name.into() };
        let named = |name: &str| Interface::Named(name.into());
        assert!(is_on(&named("eth0"), &link(2, "eth0")));
        assert!(is_on(&named("2"), &link(2, "eth0")));
        assert!(is_on(&named("7"), &link(2, "7")));
        assert!(!is_on(&named("eth1"), &link(2, "eth0")) && !is_on(&named("3"), &link(2, "eth0")));
        let later = Interface::Matching { pattern: "eth*".into(), except: vec!["eth0".into()] };
        assert!(is_on(&later, &link(3, "eth1")) && !is_on(&later, &link(2, "eth0")));
    }

    #[test]
    fn modes_of_one_interface_agree() {
        let hook = |mode| Hook::Xdp(Link { index: 2, name: "eth0".into() }, mode);
        let mut open = hook(None);
        assert!(open.merge(hook(Some(XdpMode::Generic))).is_ok());
        assert!(matches!(open, Hook::Xdp(_, Some(XdpMode::Generic))));
        assert!(open.merge(hook(None)).is_ok());
        assert!(open.merge(hook(Some(XdpMode::Native))).is_err());
    }
}
