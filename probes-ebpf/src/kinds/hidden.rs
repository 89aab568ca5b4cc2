//! What programs may not read of the contexts of packets (linux/bpf.h), by kind.

use super::ProbeKind;

/// Whether the verifier lets no program of a kind read a field of its context, which is of the struct of
/// this name (`xdp_is_valid_access`, `sk_filter_is_valid_access`, `tc_cls_act_is_valid_access` and
/// `cg_skb_is_valid_access` in net/core/filter.c).
pub fn is_hidden(kind: ProbeKind, record: &str, field: &str) -> bool {
    let lists: &[&[&str]] = match (kind, record) {
        (ProbeKind::Xdp, "xdp_md") => &[EGRESS],
        (ProbeKind::Tc, "__sk_buff") => &[SOCKET],
        (ProbeKind::Socket, "__sk_buff") => &[SOCKET, QUEUE, PACKET, CLOCK],
        (ProbeKind::CgroupSkb, "__sk_buff") => &[QUEUE],
        _ => &[],
    };
    lists.iter().any(|list| list.contains(&field))
}

/// Of the device that the packet was redirected to.
const EGRESS: &[&str] = &["egress_ifindex"];
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
        use ProbeKind::{CgroupSkb, Socket, Tc, Xdp};
        let hidden = |kind, field: &str| is_hidden(kind, "__sk_buff", field);
        assert!([Tc, Socket, CgroupSkb].iter().all(|kind| !hidden(*kind, "len")));
        assert!(hidden(Socket, "data") && !hidden(Tc, "data") && !hidden(CgroupSkb, "data"));
        assert!(hidden(Tc, "family") && !hidden(CgroupSkb, "family"));
        assert!(hidden(CgroupSkb, "tc_classid") && !hidden(Tc, "tc_classid"));
        assert!(is_hidden(Xdp, "xdp_md", "egress_ifindex") && !is_hidden(Xdp, "xdp_md", "data"));
        assert!(!is_hidden(Tc, "sock", "family"));
    }
}
