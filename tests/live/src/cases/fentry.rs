//! Kernel functions by trampolines: what only they can tell of their arguments.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Fentry, Root, Uprobe};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("fentry/paths", &[Root, Fentry], paths),
    Test::new("fentry/results", &[Root, Fentry], results),
    Test::new("fentry/packets", &[Root, Fentry], packets),
    Test::new("fentry/returns", &[Root, Fentry], returns),
    Test::new("fentry/programs", &[Root, Fentry, Uprobe], programs),
    Test::new("fentry/unknown_program", &[Root, Fentry], unknown_program),
];

fn paths(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    let script = format!(
        r#"fentry:security_file_open /comm == "{COMM}"/ {{
            printf("%s %s\n", path(args.file.f_path), path(args.file.f_path, 5)); }}"#
    );
    let out = ctx.script(&script).workload(&format!("open {file}")).finish()?.success()?;
    // What does not fit is cut at the front.
    out.has_line(&format!("{file} name"))
}

fn results(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    let script = format!(
        // Linux 7.2 has given the function another name.
        r#"config = {{ missing_probes = "ignore" }}
        fexit:do_filp_open, fexit:do_file_open /comm == "{COMM}"/ {{
            if (is_err(retval)) {{ printf("%d\n", (int64)retval); return; }}
            print(str(retval.f_path.dentry.d_name.name)); }}"#
    );
    let workload = format!("open {file} /does/not/exist");
    let out = ctx.script(&script).workload(&workload).finish()?.success()?;
    out.has_line("some-name")?;
    out.has_line(&format!("-{}", libc::ENOENT))
}

fn packets(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("packets.pcap", "")?;
    let script = format!(
        r#"fentry:ip_rcv {{ $sent = skboutput("{}", args.skb, args.skb.len, 28); @[$sent] = count(); }}"#,
        file.display()
    );
    let out = ctx.script(&script).json().workload("datagrams 300").finish()?.success()?;
    let known = out.map("@")?;
    out.check(known.as_object().is_some_and(|m| m.keys().eq(["0"])), "packets were refused")?;
    let written = std::fs::read(&file).context("read the packets")?;
    let payloads = payloads(&written);
    // The workload's are all there and whole, whatever else came by.
    let expected = (0..300).map(|n| vec![n as u8; 100 + n]);
    let missing = expected.filter(|packet| !payloads.contains(&packet.as_slice())).count();
    out.same("packets that are not in the file", missing, 0)
}

fn returns(ctx: &Ctx) -> Result<()> {
    // What a block returns means nothing here, and the kernel takes only 0.
    let script = format!(
        r#"fentry:security_file_open /comm == "{COMM}"/ {{ @one = count(); return 1; }}
        fexit:security_file_open /comm == "{COMM}"/ {{
            for ($i : 0..100) {{ if ($i == 70) {{ return retval; }} @rounds = count(); }} }}"#
    );
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    let out = ctx.script(&script).json().workload(&format!("open {file}")).finish()?.success()?;
    out.same("calls", out.number("@one")?, 1)?;
    out.same("rounds", out.number("@rounds")?, 70)
}

/// The eBPF programs that can be probed, as they are listed.
fn listed(ctx: &Ctx) -> Result<BTreeSet<String>> {
    let out = ctx.rbtrace().args(&["-l", "fentry:bpf:*"]).finish()?.success()?;
    Ok(out.lines().into_iter().map(str::to_owned).collect())
}

fn programs(ctx: &Ctx) -> Result<()> {
    let before = listed(ctx)?;
    let probed = ctx.script("uprobe:{exe}:live_value { @ = count(); }").json().start()?;
    let after = listed(ctx)?;
    let new: Vec<&String> = after.difference(&before).collect();
    ensure!(new.len() == 1, "there are {new:?}");
    let (entry, name) = (new[0], new[0].rsplit(':').next().unwrap_or_default());
    let exit = entry.replacen("fentry", "fexit", 1);
    // By its id, and by its name alone.
    let script = format!(
        "{entry} {{ @[func] = count(); @context = arg0 != 0; }}
        fexit:bpf:{name} {{ @exits[probe] = count(); @sum = sum(retval); }}"
    );
    let out = ctx.script(&script).json().workload("calls 50").finish()?.success()?;
    out.same("entries", out.number_at("@", name)?, 50)?;
    out.same("exits", out.number_at("@exits", &exit)?, 50)?;
    out.same("what it returned", out.number("@sum")?, 0)?;
    out.same("its context", out.map("@context")?.to_string(), "true".into())?;
    let out = probed.interrupt()?.success()?;
    out.same("calls", out.number("@")?, 50)
}

fn unknown_program(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("fentry:bpf:no_such_program { @ = count(); }").finish()?.exited(1)?;
    out.complains("no function of any eBPF program matches `no_such_program`")?;
    let out = ctx.script("fexit:bpf:some:name { @ = count(); }").finish()?.exited(1)?;
    out.complains("this is no id of an eBPF program")
}

/// What is behind the headers of each packet in a file of pcap-savefile(5).
fn payloads(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = file.get(24..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let [.., a, b, c, d] = *header;
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let Some((packet, after)) = after.split_at_checked(length) else { break };
        found.push(packet);
        rest = after;
    }
    found
}
