//! Which headers have to be found for what a block wants to know.

use std::collections::BTreeSet;

use rbtrace_lang::hir::LocalId;
use rbtrace_probes_ebpf::packet::{Fact, FieldKind, Header};

/// The headers that a walk looks for.
pub(super) struct Needs {
    headers: BTreeSet<Header>,
    /// Those behind the link layer without which nothing else is of interest.
    required: BTreeSet<Header>,
    /// The end of IPv6's extension headers is wanted.
    pub(super) last_protocol: bool,
}

impl Needs {
    /// Those for these facts, of packets that have the `required` headers.
    pub(super) fn of(facts: &[(Fact, LocalId)], required: &[Header]) -> Self {
        let mut headers = BTreeSet::new();
        let mut last_protocol = false;
        for (fact, _) in facts {
            match fact {
                Fact::Has(header) => add(*header, &mut headers),
                Fact::Field(header, field) => {
                    last_protocol |= field.kind == FieldKind::LastProtocol;
                    add(*header, &mut headers);
                }
                Fact::PayloadOffset | Fact::PayloadEnd => headers.extend(Header::ALL),
            }
        }
        let required: BTreeSet<_> =
            required.iter().copied().filter(|header| is_behind_link(*header)).collect();
        headers.retain(|header| {
            !is_behind_link(*header) || required.iter().all(|other| go_together(*header, *other))
        });
        Self { headers, required, last_protocol }
    }

    /// Whether the walk looks for a header.
    pub(super) fn has(&self, header: Header) -> bool {
        self.headers.contains(&header)
    }

    /// Whether it looks for one right inside of another.
    pub(super) fn inside(&self, outer: Header) -> bool {
        self.headers.iter().any(|header| header.parents().contains(&outer))
    }

    /// Those behind the link layer, from the outside to the inside.
    pub(super) fn after_tags(&self) -> impl Iterator<Item = Header> {
        self.headers.iter().copied().filter(|header| is_behind_link(*header))
    }

    /// Whether every header that is required has been found where `last` is the last one.
    pub(super) fn satisfied_by(&self, last: Header) -> bool {
        self.required.iter().all(|header| is_in(*header, last))
    }

    /// The same where `next` is looked for: of the headers that it may be in, the walk looks for those
    /// alone that go together with what is required.
    pub(super) fn satisfied_before(&self, next: Header) -> bool {
        let satisfied = |outer: &Header| self.has(*outer) && self.satisfied_by(*outer);
        self.required.is_empty() || next.parents().iter().any(satisfied)
    }
}

fn is_behind_link(header: Header) -> bool {
    header >= Header::Arp
}

/// A header and what it may be in.
fn add(header: Header, to: &mut BTreeSet<Header>) {
    if to.insert(header) {
        header.parents().iter().for_each(|parent| add(*parent, to));
    }
}

/// Whether `outer` is `inner` or may be outside of it.
fn is_in(outer: Header, inner: Header) -> bool {
    outer == inner || inner.parents().iter().any(|parent| is_in(outer, *parent))
}

/// Whether a packet may have both.
fn go_together(a: Header, b: Header) -> bool {
    is_in(a, b) || is_in(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_for(fact: Header, required: &[Header]) -> Vec<Header> {
        let needs = Needs::of(&[(Fact::Has(fact), LocalId(0))], required);
        needs.after_tags().collect()
    }

    #[test]
    fn what_cannot_be_beside_a_required_header_is_not_looked_for() {
        use Header::{Arp, Icmp6, Ip, Ip6, Tcp};
        assert_eq!(looked_for(Tcp, &[]), [Ip, Ip6, Tcp]);
        assert_eq!(looked_for(Tcp, &[Ip]), [Ip, Tcp]);
        assert_eq!(looked_for(Tcp, &[Icmp6]), [Ip6]);
        assert_eq!(looked_for(Arp, &[Arp]), [Arp]);
        assert!(looked_for(Arp, &[Ip]).is_empty());
    }

    #[test]
    fn a_walk_is_of_no_use_until_it_has_found_what_is_required() {
        use Header::{Eth, Ip, Tcp};
        let needs = Needs::of(&[(Fact::Has(Tcp), LocalId(0))], &[Ip, Tcp]);
        assert!(!needs.satisfied_before(Eth));
        assert!(!needs.satisfied_by(Ip));
        assert!(!needs.satisfied_before(Tcp));
        assert!(needs.satisfied_by(Tcp));
        let needs = Needs::of(&[(Fact::Has(Tcp), LocalId(0))], &[Ip]);
        assert!(needs.satisfied_before(Tcp));
    }
}
