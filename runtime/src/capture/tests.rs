//! Captures of every form, whole and damaged.

use super::{CaptureError, LinkType, Packet, Reader, Writer};
use crate::damage::with_damage;

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

const ORDERS: [Order; 2] = [Order { big: false }, Order { big: true }];
const SECOND: u64 = 1_000_000_000;
const ETHERNET: u32 = 1;

impl Order {
    fn word(self, n: u32) -> [u8; 4] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn half(self, n: u16) -> [u8; 2] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|n| self.word(*n)).collect()
    }

    /// A pcap file whose times have units of so many nanoseconds.
    fn pcap(self, unit: u64, link: u32, packets: &[Packet]) -> Vec<u8> {
        let magic = if unit == 1 { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut file = self.word(magic).to_vec();
        file.extend([self.half(2), self.half(4)].concat());
        file.extend(self.words(&[0, 0, 65_535, link]));
        for packet in packets {
            let (seconds, rest) = (packet.time / SECOND, packet.time % SECOND / unit);
            let kept = packet.bytes.len() as u32;
            file.extend(self.words(&[seconds as u32, rest as u32, kept, packet.length]));
            file.extend(&packet.bytes);
        }
        file
    }

    /// A block of a pcapng file.
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.word(padded as u32 + 12);
        let mut block = [self.word(kind), length].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    fn section(self) -> Vec<u8> {
        let mut body = self.word(0x1a2b_3c4d).to_vec();
        body.extend([self.half(1), self.half(0)].concat());
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    /// An interface whose times have this `if_tsresol` and `if_tsoffset`.
    fn interface(self, link: u16, most: u32, resolution: u8, offset: i64) -> Vec<u8> {
        let mut body = [self.half(link), self.half(0)].concat();
        body.extend(self.word(most));
        body.extend([self.half(9), self.half(1)].concat());
        body.extend([resolution, 0, 0, 0]);
        body.extend([self.half(14), self.half(8)].concat());
        body.extend(if self.big { offset.to_be_bytes() } else { offset.to_le_bytes() });
        body.extend([0; 4]);
        self.block(1, &body)
    }

    /// An enhanced packet, with a comment behind it.
    fn enhanced(self, interface: u32, units: u64, packet: &Packet) -> Vec<u8> {
        let kept = packet.bytes.len() as u32;
        let (high, low) = ((units >> 32) as u32, units as u32);
        let mut body = self.words(&[interface, high, low, kept, packet.length]);
        body.extend(&packet.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([self.half(1), self.half(2)].concat());
        body.extend(b"hi\0\0\0\0\0\0");
        self.block(6, &body)
    }

    fn simple(self, packet: &Packet) -> Vec<u8> {
        self.block(3, &[self.word(packet.length).to_vec(), packet.bytes.clone()].concat())
    }
}

fn packet(time: u64, length: u32, bytes: &[u8]) -> Packet {
    Packet { time, length, bytes: bytes.to_vec() }
}

/// Packets of different lengths; the last was cut when it was captured.
fn packets() -> Vec<Packet> {
    let time = 1_700_000_000 * SECOND;
    vec![
        packet(time, 3, &[1, 2, 3]),
        packet(time + 5_000, 0, &[]),
        packet(time + 7 * SECOND + 999_999_000, 1514, &[7; 96]),
    ]
}

/// All packets, and the error that ended them, if one has.
fn read(file: &[u8]) -> (Vec<Packet>, Option<CaptureError>) {
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(e) => return (Vec::new(), Some(e)),
    };
    let mut all = Vec::new();
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => all.push(packet),
            Ok(None) => return (all, None),
            Err(e) => return (all, Some(e)),
        }
    }
}

#[track_caller]
fn holds(file: &[u8], expected: &[Packet]) {
    let (found, error) = read(file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(found, expected);
}

#[track_caller]
fn fails(file: &[u8], before: usize, said: &str) {
    let (found, error) = read(file);
    let error = error.expect("an error").to_string();
    assert!(error.contains(said), "no {said:?} in {error:?}");
    assert_eq!(found.len(), before);
}

/// A pcapng file with packets of each form, and what is in it.
fn sections(order: Order, other: Order) -> (Vec<u8>, Vec<Packet>) {
    let mut all = packets();
    let start = all[0].time;
    let mut file = order.section();
    file.extend(order.interface(1, 0, 6, 0));
    file.extend(order.interface(1, 0, 9, -100));
    // 2^-10 of a second.
    file.extend(order.interface(1, 0, 0x80 | 10, 0));
    file.extend(order.enhanced(0, all[0].time / 1000, &all[0]));
    file.extend(order.enhanced(1, all[1].time + 100 * SECOND, &all[1]));
    // Blocks without packets: names and one of which nobody knows anything.
    file.extend(order.block(4, &[0; 4]));
    file.extend(order.block(0x1234, b"hello"));
    file.extend(order.enhanced(2, (start / SECOND) << 10 | 512, &all[2]));
    all[2].time = start + SECOND / 2;
    file.extend(other.section());
    file.extend(other.interface(1, 5, 6, 0));
    // Cut to 5 bytes; the rest is there to fill the block.
    file.extend(other.simple(&packet(0, 90, &[9, 8, 7, 6, 5])));
    all.push(packet(0, 90, &[9, 8, 7, 6, 5]));
    file.extend(other.simple(&packet(0, 2, &[1, 2])));
    all.push(packet(0, 2, &[1, 2]));
    (file, all)
}

#[test]
fn pcap_in_both_byte_orders_and_units() {
    for order in ORDERS {
        holds(&order.pcap(1000, ETHERNET, &packets()), &packets());
        holds(&order.pcap(1000, ETHERNET, &[]), &[]);
        let mut fine = packets();
        fine[0].time += 1;
        holds(&order.pcap(1, ETHERNET, &fine), &fine);
        // What is above the link type tells of checksums behind the frames.
        holds(&order.pcap(1, 0x2400_0001, &fine), &fine);
    }
}

#[test]
fn pcapng_in_both_byte_orders() {
    for (order, other) in [(ORDERS[0], ORDERS[1]), (ORDERS[1], ORDERS[0])] {
        let (file, packets) = sections(order, other);
        holds(&file, &packets);
    }
}

#[test]
fn what_is_written_can_be_read() {
    let path = std::env::temp_dir().join(format!("rbtrace-capture-{}", std::process::id()));
    let mut all = packets();
    all[0].time += 1;
    let mut writer = Writer::create(&path, LinkType::ETHERNET).expect("a file");
    for packet in &all {
        writer.write(packet).expect("written");
    }
    writer.flush().expect("written");
    let written = std::fs::read(&path).expect("a file");
    std::fs::remove_file(&path).expect("a file");
    holds(&written, &all);
}

#[test]
fn a_file_that_is_cut_gives_what_is_whole() {
    let (sections, in_sections) = sections(ORDERS[0], ORDERS[1]);
    let pcap = (ORDERS[1].pcap(1000, ETHERNET, &packets()), packets());
    for (file, packets) in [pcap, (sections, in_sections)] {
        let mut whole = 0;
        for length in 0..file.len() {
            let (found, error) = read(&file[..length]);
            assert!(found.len() >= whole && packets.starts_with(&found), "cut at {length}");
            whole = found.len();
            match error {
                // Between two records.
                None => assert!(length >= 24, "cut at {length}"),
                Some(CaptureError::NotACapture) => assert!(length < 4, "cut at {length}"),
                Some(CaptureError::Cut { after }) => assert_eq!(after, whole as u64),
                Some(other) => panic!("{other} where cut at {length}"),
            }
        }
    }
}

#[test]
fn whatever_is_in_a_file_reading_it_ends() {
    let files = [
        ORDERS[0].pcap(1000, ETHERNET, &packets()),
        ORDERS[1].pcap(1, ETHERNET, &packets()),
        sections(ORDERS[0], ORDERS[1]).0,
        sections(ORDERS[1], ORDERS[0]).0,
    ];
    for file in files {
        for keep in [0, 4, 24] {
            with_damage(&file, keep, |damaged| {
                let (found, error) = read(damaged);
                // A damaged length may make more packets of a file, but not more bytes.
                let bytes: usize = found.iter().map(|packet| packet.bytes.len()).sum();
                assert!(bytes <= damaged.len() && found.len() <= damaged.len(), "{error:?}");
            });
        }
    }
}

#[test]
fn what_is_no_capture_is_told_why() {
    fails(b"", 0, "no capture");
    fails(b"xdp:lo { @ = count(); }", 0, "no capture");
    fails(&[0x1f, 0x8b, 8, 0, 0, 0], 0, "unpack");
    let order = ORDERS[0];
    fails(&order.pcap(1, 113, &packets()), 0, "LINKTYPE_LINUX_SLL (113)");
    fails(&order.pcap(1, 147, &[]), 0, "147");
    let file = [order.section(), order.interface(276, 0, 6, 0)].concat();
    holds(&file, &[]);
    let packet = order.enhanced(0, 0, &packets()[0]);
    fails(&[file.clone(), packet.clone()].concat(), 0, "LINKTYPE_LINUX_SLL2 (276)");
    // Of an interface that nobody has described.
    fails(&[order.section(), packet].concat(), 0, "broken, before the first packet");
    let obsolete = order.block(2, &[0; 32]);
    fails(&[file, obsolete].concat(), 0, "editcap");
    let mut long = order.pcap(1000, ETHERNET, &packets());
    let at = long.len();
    long.extend(order.words(&[0, 0, u32::MAX, u32::MAX]));
    fails(&long, 3, "in the middle of a record, after packet 3");
    long.resize(at + (17 << 20), 0);
    fails(&long, 3, "broken, after packet 3");
}

#[test]
fn a_folder_is_no_capture() {
    let error = Reader::open(&std::env::temp_dir()).expect_err("an error").to_string();
    assert!(error.contains("directory"), "{error}");
}
