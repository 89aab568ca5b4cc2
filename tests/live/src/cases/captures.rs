//! `--test-packets`: blocks run over captures that the tests make.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::ctx::{Ctx, Run};
use crate::features::Feature::Root;
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("captures/verdict_for_each", &[Root], verdict_for_each),
    Test::new("captures/events_come_before_the_verdict", &[Root], events_first),
    Test::new("captures/every_form_of_capture", &[Root], every_form),
    Test::new("captures/blocks_run_until_one_decides", &[Root], until_one_decides),
    Test::new("captures/interfaces_are_separate", &[Root], interfaces_are_separate),
    Test::new("captures/exit_ends_the_run", &[Root], exit_ends),
    Test::new("captures/a_file_that_is_cut", &[Root], cut_file),
    Test::new("captures/what_the_kernel_does_not_take", &[Root], not_taken),
    Test::new("captures/cut_and_long_packets_are_told", &[Root], cut_and_long),
    Test::new("captures/other_blocks_do_not_run", &[Root], other_blocks),
    Test::new("captures/repeated_runs_are_measured", &[Root], repeated),
    Test::new("captures/what_passes_is_written", &[Root], written),
    Test::new("captures/objects", &[Root], objects),
    Test::new("captures/many", &[Root], many),
];

/// `LINKTYPE_ETHERNET`
const ETHERNET: u32 = 1;

/// A frame of so many bytes, of which the last two are its number.
fn frame(number: u16, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xaa; length];
    if let Some(end) = length.checked_sub(2) {
        bytes[end..].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// Frames of 60 bytes and more, each one longer than the last.
fn frames(count: u16) -> Vec<Vec<u8>> {
    (0..count).map(|number| frame(number, 60 + usize::from(number))).collect()
}

/// A pcap file in the byte order of this machine, with packets a second apart.
pub fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    pcap_with(packets.iter().map(|bytes| (&bytes[..], bytes.len())))
}

/// The same of packets that had more bytes when they were captured.
pub fn pcap_with<'p>(packets: impl Iterator<Item = (&'p [u8], usize)>) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, ETHERNET] {
        file.extend(u32::to_ne_bytes(word));
    }
    for (second, (bytes, length)) in packets.enumerate() {
        let (kept, length) = (bytes.len() as u32, length as u32);
        file.extend([second as u32, 0, kept, length].map(u32::to_ne_bytes).concat());
        file.extend(bytes);
    }
    file
}

/// The same in big endian and with nanoseconds.
fn pcap_of_others(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d, 0x0002_0004, 0, 0, 262_144, ETHERNET] {
        file.extend(u32::to_be_bytes(word));
    }
    for bytes in packets {
        let length = bytes.len() as u32;
        file.extend([1, 5, length, length].map(u32::to_be_bytes).concat());
        file.extend(bytes);
    }
    file
}

/// A pcapng file.
fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let length = (padded as u32 + 12).to_ne_bytes();
        let mut block = [&kind.to_ne_bytes(), &length, body].concat();
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    };
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
    // Version 1.0, a section of unknown length.
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    file.extend(block(1, &words(&[ETHERNET, 0])));
    for bytes in packets {
        let length = bytes.len() as u32;
        file.extend(block(6, &[words(&[0, 0, 0, length, length]), bytes.clone()].concat()));
    }
    file
}

/// rbtrace with a script and a capture of these packets.
fn over<'a>(ctx: &'a Ctx, script: &str, packets: &[Vec<u8>]) -> Result<Run<'a>> {
    let file = ctx.file("packets.pcap", pcap(packets))?;
    Ok(ctx.script(script).arg("--test-packets").arg(file))
}

/// A block that drops every third packet, the first among them.
const EVERY_THIRD: &str =
    "xdp:no-such-interface { @n++; if (@n % 3 == 1) { return XDP_DROP; } return XDP_PASS; }";

/// What [`EVERY_THIRD`] makes of the packet with this number, from 1.
fn of_every_third(number: usize) -> &'static str {
    if number % 3 == 1 { "XDP_DROP" } else { "XDP_PASS" }
}

/// The numbers of the packets and their verdicts, in the order in which they were printed.
fn verdicts(out: &Output) -> Result<Vec<(u64, String)>> {
    let records = out.records()?;
    let packets = records.iter().filter(|record| record["type"] == "packet");
    let verdict = |record: &Value| {
        let data = &record["data"];
        Some((data["number"].as_u64()?, data["verdict"].as_str()?.to_owned()))
    };
    packets.map(|record| verdict(record).with_context(|| record.to_string())).collect()
}

fn verdict_for_each(ctx: &Ctx) -> Result<()> {
    let out = over(ctx, EVERY_THIRD, &frames(20))?.json().finish()?.success()?;
    let expected = (1..=20).map(|n| (n as u64, of_every_third(n).to_owned()));
    out.same("the verdicts", verdicts(&out)?, expected.collect())?;
    out.same("packets", out.number("@n")?, 20)
}

fn events_first(ctx: &Ctx) -> Result<()> {
    let script = r#"
        BEGIN { printf("begin\n"); }
        xdp:* { @n++; printf("seen %d\n", @n); return XDP_TX; }
        END { printf("end %d\n", @n); }"#;
    let out = over(ctx, script, &frames(50))?.finish()?.success()?;
    let mut expected = vec!["begin".to_owned()];
    for number in 1..=50 {
        expected.extend([format!("seen {number}"), format!("packet {number}: XDP_TX")]);
    }
    expected.extend(["end 50".to_owned(), "@n: 50".to_owned()]);
    out.lines_are(&expected)
}

fn every_form(ctx: &Ctx) -> Result<()> {
    let packets = frames(7);
    let expected: Vec<_> = (1..=7).map(|n| (n as u64, of_every_third(n).to_owned())).collect();
    let files = [pcap(&packets), pcap_of_others(&packets), pcapng(&packets)];
    for (number, content) in files.into_iter().enumerate() {
        let file = ctx.file(&format!("capture{number}"), content)?;
        let run = ctx.script(EVERY_THIRD).arg("--test-packets").arg(file).json();
        let out = run.finish()?.success()?;
        out.same("the verdicts", verdicts(&out)?, expected.clone())?;
    }
    Ok(())
}

fn until_one_decides(ctx: &Ctx) -> Result<()> {
    let script = r#"
        xdp:lo { @first++; if (@first % 2 == 1) { return XDP_DROP; } }
        xdp:lo { @second++; if (@second == 1) { return XDP_TX; } return XDP_PASS; }
        xdp:lo { @third++; }"#;
    let out = over(ctx, script, &frames(4))?.finish()?.success()?;
    out.lines_are(&[
        "packet 1: XDP_DROP",
        "packet 2: XDP_TX",
        "packet 3: XDP_DROP",
        "packet 4: XDP_PASS",
        "@first: 4",
        "@second: 2",
    ])
}

fn interfaces_are_separate(ctx: &Ctx) -> Result<()> {
    let script = r#"
        xdp:one { @one = count(); return XDP_DROP; }
        xdp:two,xdp:three { @others = count(); }"#;
    let out = over(ctx, script, &frames(2))?.finish()?.success()?;
    out.lines_are(&[
        "packet 1, xdp:one: XDP_DROP",
        "packet 1, xdp:two, xdp:three: XDP_PASS",
        "packet 2, xdp:one: XDP_DROP",
        "packet 2, xdp:two, xdp:three: XDP_PASS",
        "@one: 2",
        "@others: 2",
    ])
}

/// The packet itself goes on to the next block, as it does on an interface.
fn exit_ends(ctx: &Ctx) -> Result<()> {
    let script = r#"
        xdp:lo { @n++; if (@n == 3) { exit(7); } if (@n == 1) { return XDP_DROP; } }
        xdp:lo { @next++; }
        END { printf("end\n"); }"#;
    let out = over(ctx, script, &frames(10))?.finish()?.exited(7)?;
    let packets = ["packet 1: XDP_DROP", "packet 2: XDP_PASS", "packet 3: XDP_PASS"];
    out.lines_are(&[&packets[..], &["end", "@n: 3", "@next: 2"]].concat())?;
    let script = "BEGIN { exit(); } xdp:lo { @n++; }";
    over(ctx, script, &frames(10))?.finish()?.success()?.lines_are::<&str>(&[])
}

fn cut_file(ctx: &Ctx) -> Result<()> {
    let mut content = pcap(&frames(3));
    content.truncate(content.len() - 1);
    let file = ctx.file("cut.pcap", content)?;
    let out = ctx.script(EVERY_THIRD).arg("--test-packets").arg(file).finish()?.exited(1)?;
    out.lines_are(&["packet 1: XDP_DROP", "packet 2: XDP_PASS", "@n: 2"])?;
    out.complains("cut.pcap")?;
    out.complains("in the middle of a record, after packet 2")
}

fn not_taken(ctx: &Ctx) -> Result<()> {
    let packets = [frame(0, 60), frame(1, 13), frame(2, 14), Vec::new(), frame(4, 100_000)];
    let out = over(ctx, EVERY_THIRD, &packets)?.finish()?.success()?;
    out.has_line("packet 1: XDP_DROP")?;
    out.has_line("packet 2: skipped, its 13 bytes are less than an Ethernet header")?;
    out.has_line("packet 3: XDP_PASS")?;
    out.has_line("packet 4: skipped, its 0 bytes are less than an Ethernet header")?;
    let long = out.lines().into_iter().find(|line| line.starts_with("packet 5: skipped, "));
    out.check(long.is_some_and(|line| line.contains("100000")), "packet 5 was not skipped")?;
    out.has_line("@n: 2")?;
    out.complains("3 of 5 packets were skipped")?;
    let out = over(ctx, EVERY_THIRD, &packets)?.json().finish()?.success()?;
    let records = out.records()?;
    let skipped = records.iter().filter(|record| record["data"]["skipped"].is_string()).count();
    out.same("packets that were skipped", skipped, 3)
}

fn cut_and_long(ctx: &Ctx) -> Result<()> {
    let mut content = pcap(&frames(2));
    // The second had 1514 bytes; so did a third, which is told no more.
    let cut = frame(3, 96);
    for _ in 0..2 {
        content.extend([9, 0, 96, 1514].map(u32::to_ne_bytes).concat());
        content.extend(&cut);
    }
    let long = frame(4, 9000);
    content.extend([9, 0, 9000, 9000].map(u32::to_ne_bytes).concat());
    content.extend(&long);
    let file = ctx.file("packets.pcap", content)?;
    let out = ctx.script(EVERY_THIRD).arg("--test-packets").arg(&file).finish()?.success()?;
    out.complains("packet 3 was cut when it was captured: of its 1514 bytes there are 96")?;
    out.same("cut packets that were told", out.stderr.matches("was cut").count(), 1)?;
    out.complains("of the 9000 bytes of packet 5 blocks see the first ")?;
    out.has_line("packet 5: XDP_PASS")?;
    let run = ctx.script(EVERY_THIRD).arg("--test-packets").arg(&file).args(&["--no-warnings"]);
    run.finish()?.success()?.has_line("@n: 5")
}

fn other_blocks(ctx: &Ctx) -> Result<()> {
    let script = r#"
        interval:us:100 { printf("tick\n"); }
        software:cpu-clock:1 { printf("tick\n"); }
        self:signal:SIGUSR1 { printf("signal\n"); }
        test:some { printf("test\n"); }
        xdp:lo { @n++; }"#;
    let out = over(ctx, script, &frames(300))?.finish()?.success()?;
    out.complains("interval, software, self and test blocks are not run")?;
    let mut expected: Vec<_> =
        (1..=300).map(|number| format!("packet {number}: XDP_PASS")).collect();
    expected.push("@n: 300".to_owned());
    out.lines_are(&expected)?;
    // They are not even loaded: the kernel need not have such probes.
    let out = over(ctx, "interval:s:1 { @n++; }", &frames(1))?.finish()?.exited(1)?;
    out.complains("--test-packets runs network blocks, and there is none")
}

fn repeated(ctx: &Ctx) -> Result<()> {
    let script = "xdp:lo { @n++; return XDP_DROP; } xdp:other { @other++; }";
    let run = || Ok::<_, anyhow::Error>(over(ctx, script, &frames(3))?.args(&["--repeat", "1000"]));
    let out = run()?.json().finish()?.success()?;
    out.same("runs", out.number("@n")?, 3000)?;
    out.same("runs", out.number("@other")?, 3000)?;
    out.same("verdicts", verdicts(&out)?.len(), 6)?;
    let records = out.records()?;
    let measured = |hook: &str| {
        let found = records.iter().find_map(|record| record["data"].get(hook));
        found.is_some_and(|data| data["iters"] == 3000 && data["average"].as_u64().is_some())
    };
    out.check(measured("xdp:lo") && measured("xdp:other"), "a block was not measured")?;
    let out = run()?.finish()?.success()?;
    let row = out.lines().into_iter().find(|line| line.starts_with("xdp:other "));
    out.check(row.is_some_and(|line| line.ends_with(" 3000")), "no row for xdp:other")?;
    // Blocks that call each other are measured as one.
    let chain = "xdp:lo { @n++; } xdp:lo { return XDP_DROP; }";
    let out = over(ctx, chain, &frames(3))?.args(&["--repeat", "1000"]).finish()?.success()?;
    let rows: Vec<_> = out.lines().into_iter().filter(|line| line.starts_with("xdp:lo")).collect();
    out.same("rows", rows.len(), 1)?;
    out.check(rows[0].ends_with(" 3000"), "the blocks were not measured together")
}

fn written(ctx: &Ctx) -> Result<()> {
    let packets = frames(10);
    let result = ctx.dir.join("passed.pcap");
    let run = over(ctx, EVERY_THIRD, &packets)?.arg("--write-packets").arg(&result);
    run.finish()?.success()?;
    let passing = (1..=10).filter(|n| of_every_third(*n) == "XDP_PASS");
    let expected: Vec<(u32, Vec<u8>)> =
        passing.map(|n| (n as u32 - 1, packets[n - 1].clone())).collect();
    let found = read_pcap(&fs::read(&result)?);
    anyhow::ensure!(found == expected, "written: {found:?}");
    let both = "xdp:lo { @++; } xdp:other { @++; }";
    let run = over(ctx, both, &packets)?.arg("--write-packets").arg(&result);
    run.finish()?.exited(1)?.complains("xdp:lo and xdp:other")
}

/// The seconds and the bytes of packets in a file in the byte order of this machine.
fn read_pcap(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut rest = file.get(24..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_ne_bytes([at, at + 1, at + 2, at + 3].map(|i| header[i]));
        let Some((bytes, after)) = after.split_at_checked(word(8) as usize) else { break };
        found.push((word(0), bytes.to_vec()));
        rest = after;
    }
    found
}

fn objects(ctx: &Ctx) -> Result<()> {
    // Compiled for an interface that every machine has.
    let object: PathBuf = ctx.dir.join("object.o");
    let script = EVERY_THIRD.replace("no-such-interface", "lo");
    ctx.script(&script).arg("--emit-elf").arg(&object).finish()?.success()?;
    let file = ctx.file("packets.pcap", pcap(&frames(4)))?;
    let out = ctx.rbtrace().arg("--test-packets").arg(file).arg(object).finish()?.success()?;
    out.lines_are(&[
        "packet 1: XDP_DROP",
        "packet 2: XDP_PASS",
        "packet 3: XDP_PASS",
        "packet 4: XDP_DROP",
        "@n: 4",
    ])
}

fn many(ctx: &Ctx) -> Result<()> {
    let count = ctx.scaled(50_000) as u16;
    let packets: Vec<_> = (0..count).map(|number| frame(number, 60)).collect();
    let script = r#"xdp:lo { @n++; printf("%d\n", @n); return XDP_DROP; }"#;
    let out = over(ctx, script, &packets)?.finish()?.success()?;
    let pairs = (1..=count).flat_map(|n| [n.to_string(), format!("packet {n}: XDP_DROP")]);
    let expected: Vec<_> = pairs.chain([format!("@n: {count}")]).collect();
    out.lines_are(&expected)
}
