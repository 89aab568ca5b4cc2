//! Frames that follow from a seed.

use rbtrace_differential::rng::Rng;

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// As much of it as was captured.
    pub bytes: Vec<u8>,
    /// Bytes that it had on the wire.
    pub length: usize,
    /// Whether something in it is wrong besides being cut: others may see other headers in it.
    pub broken: bool,
}

/// The frame that follows from a seed. The kernel runs programs on no less than 14 bytes.
pub fn generate(seed: u64) -> Frame {
    let mut rng = Rng::new(seed);
    let mut bytes = link(&mut rng);
    let length = bytes.len();
    let broken = rng.once_in(8);
    if broken {
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.bits() as u8;
        }
    }
    if rng.once_in(3) {
        bytes.truncate(14.max(rng.below(length as u64 + 1) as usize));
    }
    Frame { bytes, length, broken }
}

const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// Ethernet, up to three tags, and what they carry.
fn link(rng: &mut Rng) -> Vec<u8> {
    let (protocol, inner) = match rng.below(8) {
        0 => (ETH_P_ARP, arp(rng)),
        1..4 => (ETH_P_IPV6, ip6(rng)),
        4..7 => (ETH_P_IP, ip(rng)),
        // For experiments (IEEE 802).
        _ => (0x88b5, payload(rng)),
    };
    let mut kinds = Vec::new();
    for _ in 0..rng.below(4).saturating_sub(rng.below(2)) {
        kinds.push(rng.pick(&TAGS));
    }
    kinds.push(protocol);
    let mut bytes = some_bytes(rng, 12);
    // Nobody's address is a multicast one.
    bytes[6] &= 0xfe;
    for pair in kinds.windows(2) {
        bytes.extend(pair[0].to_be_bytes());
        bytes.extend((rng.bits() as u16).to_be_bytes());
    }
    bytes.extend(protocol.to_be_bytes());
    bytes.extend(inner);
    // The shortest frame of Ethernet has 60 bytes.
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

fn arp(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1 + rng.below(2) as u8];
    bytes.extend(some_bytes(rng, 20));
    bytes
}

fn ip(rng: &mut Rng) -> Vec<u8> {
    let words = if rng.once_in(3) { 5 + rng.below(11) as usize } else { 5 };
    let (protocol, inner) = transport(rng, 1);
    let length = words * 4 + inner.len();
    let fragment = fragment(rng);
    let mut bytes = vec![0x40 | words as u8, rng.bits() as u8];
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend((rng.bits() as u16).to_be_bytes());
    let flags = (rng.below(2) as u16) << 14 | u16::from(fragment.1) << 13;
    bytes.extend((flags | fragment.0).to_be_bytes());
    bytes.extend([rng.bits() as u8, protocol]);
    bytes.extend(some_bytes(rng, 10));
    // Options: as many times nothing.
    bytes.resize(words * 4, 1);
    bytes.extend(inner);
    bytes
}

/// The offset of a fragment in 8 bytes, and whether more follow; mostly none.
fn fragment(rng: &mut Rng) -> (u16, bool) {
    match rng.below(6) {
        0 => (0, true),
        1 => (1 + rng.below(8000) as u16, rng.once_in(2)),
        _ => (0, false),
    }
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

fn ip6(rng: &mut Rng) -> Vec<u8> {
    let (last, inner) = transport(rng, 58);
    let mut kinds = Vec::new();
    if rng.once_in(2) {
        if rng.once_in(2) {
            kinds.push(HOP_BY_HOP);
        }
        for _ in 0..rng.below(4) {
            kinds.push(rng.pick(&[DESTINATION_OPTIONS, ROUTING, FRAGMENT, AUTHENTICATION]));
        }
    }
    let mut behind = Vec::new();
    let first = kinds.first().copied().unwrap_or(last);
    for (i, kind) in kinds.iter().enumerate() {
        let next = kinds.get(i + 1).copied().unwrap_or(last);
        behind.extend(extension(rng, *kind, next));
    }
    behind.extend(inner);
    let mut bytes = vec![0x60 | rng.below(16) as u8];
    bytes.extend(some_bytes(rng, 3));
    bytes.extend((behind.len() as u16).to_be_bytes());
    bytes.extend([first, rng.bits() as u8]);
    bytes.extend(some_bytes(rng, 32));
    bytes.extend(behind);
    bytes
}

fn extension(rng: &mut Rng, kind: u8, next: u8) -> Vec<u8> {
    match kind {
        FRAGMENT => {
            let (offset, more) = fragment(rng);
            let mut bytes = vec![next, 0];
            bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
            bytes.extend(some_bytes(rng, 4));
            bytes
        }
        AUTHENTICATION => {
            // 12 bytes and a check value, a multiple of 8 bytes in all.
            let words = 4 + 2 * rng.below(3) as usize;
            let mut bytes = vec![next, words as u8 - 2, 0, 0];
            bytes.extend(some_bytes(rng, words * 4 - 4));
            bytes
        }
        ROUTING => {
            // Of an unknown kind, with no segments left.
            let more = rng.below(3) as usize;
            let mut bytes = vec![next, more as u8, 253, 0];
            bytes.extend(some_bytes(rng, 4 + more * 8));
            bytes
        }
        _ => {
            let more = rng.below(3) as usize;
            let mut bytes = vec![next, more as u8];
            // One option that fills it (PadN).
            let rest = 6 + more * 8;
            bytes.extend([1, rest as u8 - 2]);
            bytes.resize(2 + rest, 0);
            bytes
        }
    }
}

/// A transport header with its payload, and its protocol.
fn transport(rng: &mut Rng, messages: u8) -> (u8, Vec<u8>) {
    match rng.below(8) {
        0..3 => (6, tcp(rng)),
        3..6 => (17, udp(rng)),
        6 => {
            let echo = if messages == 58 { 128 } else { 8 };
            let mut bytes = vec![echo, 0];
            bytes.extend(some_bytes(rng, 6));
            bytes.extend(payload(rng));
            (messages, bytes)
        }
        // For experiments (RFC 3692).
        _ => (253, payload(rng)),
    }
}

fn tcp(rng: &mut Rng) -> Vec<u8> {
    let words = if rng.once_in(3) { 5 + rng.below(11) as usize } else { 5 };
    let mut bytes = ports(rng);
    bytes.extend(some_bytes(rng, 8));
    bytes.extend([(words as u8) << 4, rng.bits() as u8]);
    bytes.extend(some_bytes(rng, 6));
    bytes.resize(words * 4, 1);
    bytes.extend(payload(rng));
    bytes
}

fn udp(rng: &mut Rng) -> Vec<u8> {
    let payload = payload(rng);
    let mut bytes = ports(rng);
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend(some_bytes(rng, 2));
    bytes.extend(payload);
    bytes
}

/// Two ports, of no protocol that analysers know.
fn ports(rng: &mut Rng) -> Vec<u8> {
    let port = |rng: &mut Rng| 49_152 + rng.below(16_384) as u16;
    [port(rng).to_be_bytes(), port(rng).to_be_bytes()].concat()
}

fn payload(rng: &mut Rng) -> Vec<u8> {
    let length = if rng.once_in(2) { rng.below(200) } else { 0 };
    some_bytes(rng, length as usize)
}

fn some_bytes(rng: &mut Rng, count: usize) -> Vec<u8> {
    (0..count).map(|_| rng.bits() as u8).collect()
}
