//! What programs may not read of `struct __sk_buff` (linux/bpf.h), by kind.

use super::ProbeKind;

/// Name of the context of all of them.
pub const NAME: &str = "__sk_buff";

/// Whether the verifier lets no program of a kind read a field (`sk_filter_is_valid_access`,
/// `tc_cls_act_is_valid_access` and `cg_skb_is_valid_access` in net/core/filter.c).
pub fn is_hidden(kind: ProbeKind, field: &str) -> bool {
    let is_one_of = |lists: &[&[&str]]| lists.iter().any(|list| list.contains(&field));
    match kind {
        ProbeKind::Tc => is_one_of(&[SOCKET]),
        ProbeKind::Socket => is_one_of(&[SOCKET, QUEUE, PACKET, CLOCK]),
        ProbeKind::CgroupSkb => is_one_of(&[QUEUE]),
        _ => false,
    }
}

/// Of the socket that the packet is of.
const SOCKET: &[&str] =
    &["family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port"];
/// Of the queue that the packet is in.
const QUEUE: &[&str] = &["tc_classid", "data_meta", "wire_len"];
/// Where the packet is.
const PACKET: &[&str] = &["data", "data_end"];
/// When it came.
const CLOCK: &[&str] = &["tstamp", "hwtstamp"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_hidden_from_some_kinds() {
        use ProbeKind::{CgroupSkb, Socket, Tc};
        assert!([Tc, Socket, CgroupSkb].iter().all(|kind| !is_hidden(*kind, "len")));
        assert!(
            is_hidden(Socket, "data") && !is_hidden(Tc, "data") && !is_hidden(CgroupSkb, "data")
        );
        assert!(is_hidden(Tc, "family") && !is_hidden(CgroupSkb, "family"));
        assert!(is_hidden(CgroupSkb, "tc_classid") && !is_hidden(Tc, "tc_classid"));
    }
}
