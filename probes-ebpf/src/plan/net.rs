//! Where packets are seen.

use serde::{Deserialize, Serialize};

use crate::glob;

/// Network interfaces that a probe is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Interface {
    /// One, by its name or its index.
    Named(String),
    /// Those that are made while the script runs and whose names a pattern matches.
    Matching {
        /// A pattern (see [`crate::glob`]).
        pattern: String,
        /// Names that it matches as well, which have probes of their own.
        except: Vec<String>,
    },
}

impl Interface {
    /// The name, the index or the pattern, as in an attach point.
    pub fn text(&self) -> &str {
        match self {
            Interface::Named(text) | Interface::Matching { pattern: text, .. } => text,
        }
    }

    /// Whether it is given by its index.
    pub fn is_index(&self) -> bool {
        matches!(self, Interface::Named(name) if is_index(name))
    }

    /// Whether it is the interface of this name, or one of those; an index is no name.
    pub fn is_called(&self, name: &str) -> bool {
        match self {
            Interface::Named(own) => own == name,
            Interface::Matching { pattern, except } => {
                glob::matches(pattern, name) && !except.iter().any(|own| own == name)
            }
        }
    }

    /// Whether both may stand for one interface, as far as can be told from their names.
    pub fn may_meet(&self, other: &Interface) -> bool {
        match (self, other) {
            // Some interface may have this index and match the other.
            _ if self != other && (self.is_index() || other.is_index()) => true,
            (Interface::Named(name), other) | (other, Interface::Named(name)) => {
                other.is_called(name)
            }
            _ => true,
        }
    }
}

/// Whether an interface that is given so is given by its index.
pub fn is_index(interface: &str) -> bool {
    interface.parse::<u32>().is_ok()
}

/// How an XDP program is attached (`XDP_FLAGS_*` in linux/if_link.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// By the driver.
    Native,
    /// By the network core, on any interface.
    Generic,
    /// By the hardware.
    Offload,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// They arrive.
    Ingress,
    /// They are sent.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Ingress, Direction::Egress];

    /// As in an attach point.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Interface {
        Interface::Named(name.into())
    }

    fn matching(pattern: &str, except: &[&str]) -> Interface {
        let except = except.iter().map(|name| (*name).to_owned()).collect();
        Interface::Matching { pattern: pattern.into(), except }
    }

    #[test]
    fn interfaces_meet_unless_their_names_say_otherwise() {
        let meets = [
            (named("eth0"), named("eth0")),
            (named("eth0"), named("2")),
            (matching("eth*", &[]), named("eth0")),
            (matching("eth*", &[]), matching("*0", &[])),
            (matching("eth*", &[]), named("3")),
            (named("2"), named("2")),
        ];
        for (a, b) in meets {
            assert!(a.may_meet(&b) && b.may_meet(&a), "{a:?} {b:?}");
        }
        let never = [
            (named("eth0"), named("eth1")),
            (matching("eth*", &[]), named("lo")),
            (matching("eth*", &["eth0"]), named("eth0")),
        ];
        for (a, b) in never {
            assert!(!a.may_meet(&b) && !b.may_meet(&a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn an_interface_by_name_is_written_as_its_name() {
        let json = serde_json::to_string(&named("eth0")).expect("JSON");
        assert_eq!(json, "\"eth0\"");
        assert_eq!(serde_json::from_str::<Interface>(&json).expect("JSON"), named("eth0"));
        let all = matching("e*", &["eth0"]);
        let json = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Interface>(&json).expect("JSON"), all);
    }
}
