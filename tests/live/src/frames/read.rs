//! A reader of frames, to compare with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use rbtrace_probes_ebpf::packet::{Field, FieldKind, Header};

/// What a frame holds.
#[derive(Debug, Default)]
pub struct Reading<'f> {
    frame: &'f [u8],
    /// Where each header begins.
    starts: BTreeMap<Header, usize>,
    /// What comes behind the extension headers of IPv6.
    last_protocol: u8,
    /// Where what follows the last header begins, and where IP says that it ends.
    payload: usize,
    end: Option<usize>,
}

impl<'f> Reading<'f> {
    /// Reads a frame.
    pub fn of(frame: &'f [u8]) -> Self {
        let mut reading = Reading { frame, ..Reading::default() };
        // Where the frame ends in the middle of something, that is that.
        let _ = reading.link();
        reading
    }

    /// Reads a frame of which the header is not seen, only what it says of the next.
    pub fn of_network(frame: &'f [u8]) -> Self {
        let mut reading = Reading { frame, payload: 14, ..Reading::default() };
        let _ = reading.network(14);
        reading
    }

    /// Whether it has a header.
    pub fn has(&self, header: Header) -> bool {
        self.starts.contains_key(&header)
    }

    /// A field as rbtrace prints it.
    pub fn field(&self, header: Header, field: &Field) -> String {
        let zeros = [0; 64];
        let (bytes, is_there) = match self.starts.get(&header) {
            Some(start) => (&self.frame[*start..], true),
            None => (&zeros[..], false),
        };
        let at = field.offset as usize;
        let number = |size: u8| {
            bytes[at..at + size as usize].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte))
        };
        match field.kind {
            FieldKind::Number { size } => number(size).to_string(),
            FieldKind::Bits { size, first, width } => {
                ((number(size) >> first) & ((1 << width) - 1)).to_string()
            }
            FieldKind::LastProtocol if is_there => self.last_protocol.to_string(),
            FieldKind::LastProtocol => "0".into(),
            FieldKind::Inet4 => {
                Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap_or_default())
                    .to_string()
            }
            FieldKind::Inet6 => {
                Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap_or_default())
                    .to_string()
            }
            FieldKind::Mac => {
                let parts: Vec<_> =
                    bytes[at..at + 6].iter().map(|byte| format!("{byte:02X}")).collect();
                parts.join(":")
            }
        }
    }

    /// What follows the last header.
    pub fn payload(&self) -> &'f [u8] {
        let end = self.end.unwrap_or(self.frame.len()).min(self.frame.len());
        self.frame.get(self.payload..end).unwrap_or_default()
    }

    /// Bytes from a place on, if they are all there.
    fn bytes(&self, at: usize, count: usize) -> Option<&'f [u8]> {
        self.frame.get(at..at + count)
    }

    fn number(&self, at: usize) -> Option<u16> {
        self.bytes(at, 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Notes a header, if all of it is there.
    fn found(&mut self, header: Header, at: usize) -> Option<&'f [u8]> {
        let bytes = self.bytes(at, header.spec().size as usize)?;
        self.starts.insert(header, at);
        self.payload = at + bytes.len();
        Some(bytes)
    }

    fn link(&mut self) -> Option<()> {
        self.found(Header::Eth, 0)?;
        let mut at = 14;
        for tag in [Header::Vlan, Header::Vlan2] {
            if matches!(self.number(at - 2)?, 0x8100 | 0x88a8) {
                self.found(tag, at)?;
                at += 4;
            } else {
                break;
            }
        }
        self.network(at)
    }

    /// What the type of an Ethernet header or tag that ends here says comes next.
    fn network(&mut self, at: usize) -> Option<()> {
        match self.number(at - 2)? {
            0x0800 => self.ip(at),
            0x86dd => self.ip6(at),
            0x0806 if self.bytes(at, 6)?[2..] == [8, 0, 6, 4] => {
                self.found(Header::Arp, at).map(|_| ())
            }
            _ => None,
        }
    }

    fn ip(&mut self, at: usize) -> Option<()> {
        let header = self.bytes(at, 20)?;
        let words = usize::from(header[0] & 0xf);
        if header[0] >> 4 != 4 || words < 5 {
            return None;
        }
        self.found(Header::Ip, at)?;
        self.payload = at + words * 4;
        self.end = Some(at + usize::from(u16::from_be_bytes([header[2], header[3]])));
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if fragment != 0 {
            return None;
        }
        self.transport(header[9], at + words * 4, (1, Header::Icmp))
    }

    fn ip6(&mut self, at: usize) -> Option<()> {
        let header = self.bytes(at, 40)?;
        if header[0] >> 4 != 6 {
            return None;
        }
        self.found(Header::Ip6, at)?;
        let mut at = at + 40;
        self.last_protocol = header[6];
        self.end = Some(at + usize::from(u16::from_be_bytes([header[4], header[5]])));
        for count in 0.. {
            let kind = self.last_protocol;
            self.payload = at;
            if !matches!(kind, 0 | 43 | 44 | 51 | 60) {
                break;
            }
            if count == 8 {
                return None;
            }
            let extension = self.bytes(at, 8)?;
            self.last_protocol = extension[0];
            let count = usize::from(extension[1]);
            at += match kind {
                44 => 8,
                51 => (count + 2) * 4,
                _ => (count + 1) * 8,
            };
            self.payload = at;
            if kind == 44 && u16::from_be_bytes([extension[2], extension[3]]) >> 3 != 0 {
                return None;
            }
        }
        self.transport(self.last_protocol, at, (58, Header::Icmp6))
    }

    fn transport(&mut self, protocol: u8, at: usize, messages: (u8, Header)) -> Option<()> {
        let header = match protocol {
            6 => Header::Tcp,
            17 => Header::Udp,
            number if number == messages.0 => messages.1,
            _ => return None,
        };
        let bytes = self.found(header, at)?;
        if header == Header::Tcp {
            self.payload = at + usize::from(bytes[12] >> 4).max(5) * 4;
        }
        Some(())
    }
}
