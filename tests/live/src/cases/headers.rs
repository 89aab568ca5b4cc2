//! Headers of packets: what programs make of generated frames, compared with a reader of frames and with
//! tshark.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rbtrace_probes_ebpf::packet::{Field, Header};

use super::captures::pcap_with;
use crate::ctx::Ctx;
use crate::features::Feature::{Root, Tshark};
use crate::frames::{Frame, Reading, generate};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("headers/xdp", &[Root], |ctx| fields_of("xdp:lo", ctx)),
    Test::new("headers/tc", &[Root], |ctx| fields_of("tc:lo:ingress", ctx)),
    Test::new("headers/socket", &[Root], |ctx| fields_of("socket:lo", ctx)),
    Test::new("headers/cgroup_skb", &[Root], |ctx| fields_of("cgroup_skb:/:ingress", ctx)),
    Test::new("headers/payload_xdp", &[Root], |ctx| payload("xdp:lo", ctx)),
    Test::new("headers/payload_tc", &[Root], |ctx| payload("tc:lo:ingress", ctx)),
    Test::new("headers/payload_socket", &[Root], |ctx| payload("socket:lo", ctx)),
    Test::new("headers/payload_cgroup_skb", &[Root], |ctx| payload("cgroup_skb:/:ingress", ctx)),
    Test::new("headers/predicates", &[Root], predicates),
    Test::new("headers/as_tshark", &[Root, Tshark], as_tshark),
];

/// The kernel's test run takes no packet for programs on socket buffers that has not the header that its
/// type promises.
const LEAST: usize = 54;

fn frames(ctx: &Ctx) -> Vec<Frame> {
    let count = if cfg!(debug_assertions) { 2000 } else { 10_000 };
    (0..ctx.scaled(count)).map(generate).collect()
}

/// Every field of every header, and whether the packet has it.
fn fields_of(probe: &str, ctx: &Ctx) -> Result<()> {
    let on_network = probe.starts_with("cgroup_skb");
    let frames: Vec<Frame> = frames(ctx).into_iter().filter(|f| f.bytes.len() >= LEAST).collect();
    let readings: Vec<Reading<'_>> = frames
        .iter()
        .map(|frame| match on_network {
            true => Reading::of_network(&frame.bytes),
            false => Reading::of(&frame.bytes),
        })
        .collect();
    for header in Header::ALL.into_iter().filter(|header| !on_network || *header >= Header::Ip) {
        let fields = header.spec().fields;
        let found = printed(ctx, probe, header, &frames)?;
        ensure!(found.len() == frames.len(), "{} of {} frames", found.len(), frames.len());
        for (number, (line, reading)) in found.iter().zip(&readings).enumerate() {
            let wanted = fields.iter().map(|field| reading.field(header, field));
            let wanted: Vec<_> =
                [reading.has(header).to_string()].into_iter().chain(wanted).collect();
            ensure!(
                *line == wanted,
                "{} of frame {number}: {line:?}, but it is {wanted:?}: {:02x?}",
                header.spec().name,
                frames[number].bytes
            );
        }
        let with = readings.iter().filter(|reading| reading.has(header)).count();
        ensure!(with > 0, "no frame has the header {}", header.spec().name);
    }
    Ok(())
}

/// What follows the last header: how much, single bytes, bytes in a row, text.
fn payload(probe: &str, ctx: &Ctx) -> Result<()> {
    const BODY: &str = r#"{ $far = (uint64)20; printf("= %d %d %d %d %rx|%s\n", len(payload),
        payload[0], payload[$far], payload[70000], buf(payload, 12), str(payload, 8)); }"#;
    let frames: Vec<Frame> = frames(ctx).into_iter().filter(|f| f.bytes.len() >= LEAST).collect();
    let file =
        ctx.file("frames.pcap", pcap_with(frames.iter().map(|f| (&f.bytes[..], f.length))))?;
    let run = ctx.script(&format!("{probe} {BODY}")).arg("--test-packets").arg(file).json();
    let out = run.finish()?.success()?;
    let found: Vec<String> =
        out.printed()?.into_iter().filter(|text| text.starts_with("= ")).collect();
    ensure!(found.len() == frames.len(), "{} of {} frames", found.len(), frames.len());
    let mut with = 0;
    for (number, (found, frame)) in found.iter().zip(&frames).enumerate() {
        let reading = match probe.starts_with("cgroup_skb") {
            true => Reading::of_network(&frame.bytes),
            false => Reading::of(&frame.bytes),
        };
        let payload = reading.payload();
        let byte = |at: usize| payload.get(at).copied().unwrap_or_default();
        let first: Vec<_> = payload.iter().take(12).map(|byte| format!("\\x{byte:02x}")).collect();
        let wanted = format!("= {} {} {} 0 {}|", payload.len(), byte(0), byte(20), first.concat());
        ensure!(
            found.starts_with(&wanted),
            "frame {number}: {found:?}, but it is {wanted:?}: {:02x?}",
            frame.bytes
        );
        with += usize::from(payload.len() > 20);
    }
    ensure!(with > 0, "no frame has a payload");
    Ok(())
}

/// What a script prints of a header of each frame: whether it is there, and its fields.
fn printed(ctx: &Ctx, probe: &str, header: Header, frames: &[Frame]) -> Result<Vec<Vec<String>>> {
    let spec = header.spec();
    let fields: Vec<_> =
        spec.fields.iter().map(|f| format!(", {}.{}", spec.name, f.name)).collect();
    let format = " %s".repeat(fields.len());
    let script =
        format!("{probe} {{ printf(\"= %s{format}\\n\", {}{}); }}", spec.name, fields.concat());
    let file =
        ctx.file("frames.pcap", pcap_with(frames.iter().map(|f| (&f.bytes[..], f.length))))?;
    let out = ctx.script(&script).arg("--test-packets").arg(file).finish()?.success()?;
    let lines = out.stdout.lines().filter_map(|line| line.strip_prefix("= "));
    Ok(lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect())
}

/// Predicates hold for the packets that they are about, and for no others.
fn predicates(ctx: &Ctx) -> Result<()> {
    let frames = frames(ctx);
    let file =
        ctx.file("frames.pcap", pcap_with(frames.iter().map(|f| (&f.bytes[..], f.length))))?;
    let field = |reading: &Reading<'_>, header: Header, name: &str| {
        let field = header.spec().field(name).map(|field| reading.field(header, field));
        field.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
    };
    type Holds<'a> = &'a dyn Fn(&Reading<'_>) -> bool;
    let cases: &[(&str, Holds<'_>)] = &[
        ("tcp.dport != 50000", &|r| r.has(Header::Tcp) && field(r, Header::Tcp, "dest") != 50000),
        ("!tcp.syn", &|r| r.has(Header::Tcp) && field(r, Header::Tcp, "syn") == 0),
        ("tcp.syn && ip.ttl < 128", &|r| {
            let syn = field(r, Header::Tcp, "syn") == 1;
            syn && r.has(Header::Ip) && field(r, Header::Ip, "ttl") < 128
        }),
        ("!tcp", &|r| !r.has(Header::Tcp)),
        ("udp || icmp6.type == 128", &|r| {
            r.has(Header::Udp) || field(r, Header::Icmp6, "icmp6_type") == 128
        }),
        ("ip6 && tcp", &|r| r.has(Header::Ip6) && r.has(Header::Tcp)),
        ("ip && ip6", &|_| false),
        ("arp.op == 1 || vlan2.id > 2000 && ip", &|r| {
            field(r, Header::Arp, "ar_op") == 1
                || r.has(Header::Ip) && field(r, Header::Vlan2, "id") > 2000
        }),
    ];
    for (predicate, holds) in cases {
        let script = format!("xdp:lo /{predicate}/ {{ return XDP_DROP; }}");
        let out = ctx.script(&script).arg("--test-packets").arg(&file).finish()?.success()?;
        let wanted = frames.iter().enumerate().map(|(number, frame)| {
            let drop = holds(&Reading::of(&frame.bytes));
            format!("packet {}: {}", number + 1, if drop { "XDP_DROP" } else { "XDP_PASS" })
        });
        let wanted: Vec<_> = wanted.collect();
        let found: Vec<_> = out.stdout.lines().filter(|line| !line.is_empty()).collect();
        let differs = wanted.iter().zip(&found).find(|(wanted, found)| wanted != found);
        ensure!(
            wanted.len() == found.len() && differs.is_none(),
            "/{predicate}/: {differs:?}, {} lines for {} frames",
            found.len(),
            wanted.len()
        );
    }
    Ok(())
}

/// What tshark calls fields that both know. Of each header the last is the last that lies in it, which
/// tells whether all of it is there.
const TSHARK: &[(Header, &[(&str, &str)])] = &[
    (Header::Eth, &[("h_dest", "eth.dst"), ("h_source", "eth.src"), ("h_proto", "eth.type")]),
    (
        Header::Vlan,
        &[
            ("pcp", "vlan.priority"),
            ("dei", "vlan.dei"),
            ("id", "vlan.id"),
            ("h_vlan_encapsulated_proto", "vlan.etype"),
        ],
    ),
    (
        Header::Arp,
        &[
            ("ar_op", "arp.opcode"),
            ("ar_sha", "arp.src.hw_mac"),
            ("ar_sip", "arp.src.proto_ipv4"),
            ("ar_tha", "arp.dst.hw_mac"),
            ("ar_tip", "arp.dst.proto_ipv4"),
        ],
    ),
    (
        Header::Ip,
        &[
            ("version", "ip.version"),
            ("dscp", "ip.dsfield.dscp"),
            ("ecn", "ip.dsfield.ecn"),
            ("tot_len", "ip.len"),
            ("id", "ip.id"),
            ("df", "ip.flags.df"),
            ("mf", "ip.flags.mf"),
            ("ttl", "ip.ttl"),
            ("protocol", "ip.proto"),
            ("check", "ip.checksum"),
            ("saddr", "ip.src"),
            ("daddr", "ip.dst"),
        ],
    ),
    (
        Header::Ip6,
        &[
            ("version", "ipv6.version"),
            ("tclass", "ipv6.tclass"),
            ("flow_lbl", "ipv6.flow"),
            ("payload_len", "ipv6.plen"),
            ("nexthdr", "ipv6.nxt"),
            ("hop_limit", "ipv6.hlim"),
            ("saddr", "ipv6.src"),
            ("daddr", "ipv6.dst"),
        ],
    ),
    (
        Header::Icmp,
        &[
            ("type", "icmp.type"),
            ("code", "icmp.code"),
            ("checksum", "icmp.checksum"),
            ("sequence", "icmp.seq"),
        ],
    ),
    (
        Header::Icmp6,
        &[
            ("icmp6_type", "icmpv6.type"),
            ("icmp6_code", "icmpv6.code"),
            ("icmp6_cksum", "icmpv6.checksum"),
            ("icmp6_identifier", "icmpv6.echo.identifier"),
            ("icmp6_sequence", "icmpv6.echo.sequence_number"),
        ],
    ),
    (
        Header::Tcp,
        &[
            ("source", "tcp.srcport"),
            ("dest", "tcp.dstport"),
            ("seq", "tcp.seq_raw"),
            ("ack_seq", "tcp.ack_raw"),
            ("fin", "tcp.flags.fin"),
            ("syn", "tcp.flags.syn"),
            ("rst", "tcp.flags.reset"),
            ("psh", "tcp.flags.push"),
            ("ack", "tcp.flags.ack"),
            ("urg", "tcp.flags.urg"),
            ("ece", "tcp.flags.ece"),
            ("cwr", "tcp.flags.cwr"),
            ("window", "tcp.window_size_value"),
            ("check", "tcp.checksum"),
            ("urg_ptr", "tcp.urgent_pointer"),
        ],
    ),
    (
        Header::Udp,
        &[
            ("source", "udp.srcport"),
            ("dest", "udp.dstport"),
            ("len", "udp.length"),
            ("check", "udp.checksum"),
        ],
    ),
];

/// The type of a tag of 802.1ad, for which tshark has a protocol of its own.
const PROVIDER_TAG: [u8; 2] = [0x88, 0xa8];

/// Frames that are whole or cut, not broken: programs and tshark find the same in them.
fn as_tshark(ctx: &Ctx) -> Result<()> {
    let frames = (0..14_000).map(generate).filter(|frame| !frame.broken && !has_three_tags(frame));
    let frames: Vec<Frame> = frames.collect();
    ensure!(frames.len() >= 10_000, "{} frames", frames.len());
    let file =
        ctx.file("frames.pcap", pcap_with(frames.iter().map(|f| (&f.bytes[..], f.length))))?;
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r"]).arg(&file).args(["-T", "fields", "-E", "separator=|"]);
    // Each frame for itself, the first of what is there several times.
    tshark.args(["-E", "occurrence=f", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    tshark.args(["-o", "tcp.analyze_sequence_numbers:FALSE"]);
    for (_, name) in TSHARK.iter().flat_map(|(_, fields)| *fields) {
        tshark.args(["-e", name]);
    }
    let output = tshark.output().context("running tshark")?;
    let text = String::from_utf8(output.stdout).context("the output of tshark")?;
    let theirs: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').collect()).collect();
    ensure!(theirs.len() == frames.len(), "{} of {} frames", theirs.len(), frames.len());

    let (mut column, mut compared) = (0, 0);
    for (header, names) in TSHARK {
        let ours = printed(ctx, "xdp:lo", *header, &frames)?;
        let place = |name: &str| header.spec().fields.iter().position(|field| field.name == name);
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let theirs = &theirs[column..column + names.len()];
            if *header == Header::Vlan && frames[number].bytes[12..14] == PROVIDER_TAG {
                continue;
            }
            let has = ours[0] == "true";
            let is_there = theirs.last().is_some_and(|last| !last.is_empty());
            // tshark looks at options first, and says nothing of some fields where those are cut.
            let is_cut = frames[number].bytes.len() < frames[number].length;
            let about = || format!("{}: {:02x?}", header.spec().name, frames[number].bytes);
            ensure!(has == is_there || has && is_cut, "{}\n{ours:?}\n{theirs:?}", about());
            for ((name, _), theirs) in
                names.iter().zip(theirs).filter(|(_, it)| has && !it.is_empty())
            {
                let field: &Field = header.spec().field(name).context("a field")?;
                let ours = &ours[1 + place(field.name).context("its place")?];
                ensure!(
                    same(ours, theirs),
                    "{name}: {ours}, and tshark says {theirs}; {}",
                    about()
                );
                compared += 1;
            }
        }
        column += names.len();
    }
    ensure!(compared > 10 * frames.len(), "{compared} fields of {} frames", frames.len());
    Ok(())
}

/// Whether there is another tag behind the two that programs look behind.
fn has_three_tags(frame: &Frame) -> bool {
    const TAGS: [[u8; 2]; 2] = [[0x81, 0x00], PROVIDER_TAG];
    let places = [12, 16, 20].map(|at| frame.bytes.get(at..at + 2));
    places.iter().all(|kind| kind.is_some_and(|kind| TAGS.iter().any(|tag| tag == kind)))
}

/// Numbers may be written in hexadecimal, addresses in small letters.
fn same(ours: &str, theirs: &str) -> bool {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match (number(ours), number(theirs)) {
        (Some(a), Some(b)) => a == b,
        _ => ours.eq_ignore_ascii_case(theirs),
    }
}
