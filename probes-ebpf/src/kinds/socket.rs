//! `socket`: copies of packets, as packet(7) sockets get them.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static SOCKET: KindSpec = KindSpec {
    kind: ProbeKind::Socket,
    name: "socket",
    aliases: &[],
    about: "a packet that an interface receives or sends, of which this is a copy",
    forms: &["socket:INTERFACE"],
    program: ProgramType::SocketFilter,
    section: "socket",
    context: Context::Skb,
    pointers: PointerSpace::Kernel,
    has_args: false,
    has_retval: false,
    has_task: false,
    has_cookie: false,
    verdicts: &[],
    // So many bytes are put into the socket, which nobody reads.
    default_return: 0,
};
