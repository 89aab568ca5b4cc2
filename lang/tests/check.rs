//! Scripts to typed programs: what `-d hir` shows of them, and the codes of their mistakes.

mod machine;

use machine::Machine;
use rbtrace_lang::catalog::Nothing;
use rbtrace_lang::check::{Checked, check};
use rbtrace_lang::diag::{self, Diagnostic};
use rbtrace_lang::expand::{Params, expand};
use rbtrace_lang::parse::parse;
use rbtrace_lang::resolve::{Context, Options, resolve};
use rbtrace_lang::span::Sources;
use rbtrace_lang::{dump, render};
use rbtrace_probes_ebpf::profile::{KernelVersion, TargetProfile};

fn compile_with(
    script: &str,
    machine: &Machine,
    options: &Options,
) -> Result<Checked, (Vec<Diagnostic>, String)> {
    let mut sources = Sources::default();
    let file = sources.add("test", script);
    let cx = Context {
        catalog: machine,
        types: machine,
        profile: &TargetProfile::REFERENCE,
        options,
        known_maps: &[],
    };
    parse(&sources, file)
        .and_then(|script| expand(script, &mut sources, &Nothing, &Params::default()))
        .and_then(|expanded| resolve(expanded.script, &cx))
        .and_then(|resolved| check(resolved, &cx))
        .map_err(|errors| {
            let text = render::text(&errors, &sources, false);
            (errors, text)
        })
}

fn compile(script: &str) -> Result<Checked, (Vec<Diagnostic>, String)> {
    compile_with(script, &Machine::default(), &Options::default())
}

/// The dump of a script that must be right.
#[track_caller]
fn hir(script: &str) -> String {
    match compile(script) {
        Ok(checked) => dump::hir::program(&checked.program),
        Err((_, text)) => panic!("{script}\n{text}"),
    }
}

/// The lines of a block, without what stands before it.
#[track_caller]
fn body(script: &str) -> Vec<String> {
    let text = hir(script);
    let lines = text.lines().skip_while(|line| !line.starts_with("block")).skip(1);
    lines.map(|line| line.trim_start().to_owned()).collect()
}

/// The codes of what is wrong with a script.
fn codes(script: &str, machine: &Machine, options: &Options) -> Vec<&'static str> {
    match compile_with(script, machine, options) {
        Ok(checked) => checked.warnings.iter().map(|d| d.code).collect(),
        Err((errors, _)) => errors.iter().map(|d| d.code).collect(),
    }
}

#[test]
fn literals_take_the_smallest_type() {
    let text = hir("BEGIN { @a = 1; @b = -1000; @c = 1 << 40; @d = 18446744073709551615; }");
    for line in ["map @a: int8", "map @b: int16", "map @c: int64", "map @d: uint64"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn types_spread_over_blocks_in_any_order() {
    let text = hir("kprobe:vfs_read { print(@start[tid]); $d = nsecs - @start[tid]; }
         kprobe:vfs_open { @start[tid] = nsecs; @name[1, \"a\"] = 1; @name[pid, comm] = nsecs; }");
    assert!(text.contains("map @start[uint32]: uint64 (hash, 4096)"), "{text}");
    assert!(text.contains("map @name[(uint32, string[16])]: uint64"), "{text}");
    assert!(text.contains("let $d: int64"), "{text}");
}

#[test]
fn arithmetic_is_of_64_bits() {
    assert_eq!(
        body("kprobe:vfs_read { $x = (uint8)arg0 + 1; $y = (int32)arg1 / 2; $z = cpu - 1; }"),
        [
            "let $x: uint64",
            "let $y: int64",
            "let $z: int64",
            "$x = ((uint64)(uint8)arg0 +u 1)",
            "$y = ((int64)(int32)arg1 / 2)",
            "$z = ((int64)cpu - 1)",
        ]
    );
    // Operators with one operand work in its own width.
    assert_eq!(
        body("BEGIN { print(~(uint8)cpu); print(-pid); }"),
        ["print (uint64)~(uint8)cpu: uint64", "print (uint64)-pid: uint64"]
    );
}

#[test]
fn comparisons_are_of_the_smallest_common_type() {
    assert_eq!(
        body("kprobe:vfs_read /pid == 5 && comm != \"x\" && arg0/ { print((int8)arg0 < pid); }"),
        [
            "if not (((pid ==u 5) && (comm != \"x\")) && (bool)arg0): return",
            "print ((int64)(int8)arg0 < (int64)pid): bool",
        ]
    );
}

#[test]
fn pointers_step_by_what_they_point_to() {
    assert_eq!(
        body(
            "uprobe:bash:main { $p = (int32 *)arg0; $q = $p + 2; $q++; print(*$q); print($p[3]); }"
        ),
        [
            "let $p: int32 *",
            "let $q: int32 *",
            "$p = (int32 *)arg0",
            "$q = ($p + 8)",
            "$q+=4",
            "print *.user$q: int32",
            "print *.user($p + 12): int32",
        ]
    );
}

#[test]
fn strings_are_read_from_where_they_are() {
    assert_eq!(
        body(
            "kprobe:vfs_read { print(str(arg1)); print(str(kptr(arg1), 15)); print(str(\"lit\")); }"
        ),
        [
            "print str((int8 *)arg1) as string[1024]: string[1024]",
            "print str.kernel((int8 *)arg1, 15) as string[15]: string[15]",
            "print \"lit\": string[4]",
        ]
    );
    assert_eq!(
        body("tracepoint:syscalls:sys_enter_openat { print(str(args.filename)); }"),
        ["print str.user(args.filename) as string[1024]: string[1024]"]
    );
    assert_eq!(
        body("tracepoint:sched:sched_process_exec { print(str(args.filename)); }"),
        ["print str.kernel(args.filename) as string[1024]: string[1024]"]
    );
}

#[test]
fn attach_points_that_differ_get_copies() {
    let text = hir("tracepoint:syscalls:sys_enter_open* { print(args.flags); }");
    assert!(text.contains("block tracepoint 0") && text.contains("block tracepoint 1"), "{text}");
    let text = hir("tracepoint:syscalls:sys_enter_open*, kprobe:vfs_* { @[probe] = count(); }");
    assert!(text.contains("block tracepoint 0 1") && text.contains("block kprobe 2 3 4"), "{text}");
}

#[test]
fn names_of_probes_are_compared_when_compiled() {
    assert_eq!(
        body(
            "kprobe:vfs_* { if (probe == \"kprobe:vfs_read\") { print(1); }
             if (func != \"vfs_open\") { print(2); } if (probe == \"no\") { print(3); }
             print(strncmp(probe, \"kprobe:vfs_\", 11)); print(probetype); }"
        ),
        [
            "if probe is 1",
            "print 1: int8",
            "if !probe is 0",
            "print 2: int8",
            "if false",
            "print 3: int8",
            "print 0: uint64",
            "print \"kprobe\": string[7]",
        ]
    );
}

#[test]
fn aggregates_are_numbers_where_they_are_read() {
    let text =
        hir("BEGIN { @c = count(); @s[1] = sum(-5); @h[comm] = hist(pid); @l = lhist(5, 0, 10, 1);
         if (@c > 5) { print(@s[1]); } $x = @c; print(@c, 5, 10); print(@h[comm]); }");
    for line in [
        "map @c: count() (percpuarray, 1)",
        "map @s[int8]: sum(int64) (percpuhash, 4096)",
        "map @h[string[16]]: hist() (percpuhash, 4096)",
        "map @l: lhist(0, 10, 1) (percpuarray, 1)",
        "  @c <-\n",
        "  @s[1] <- -5\n",
        "  @h[comm] <- (int64)pid\n",
        "  if (@c >u 5)\n",
        "    print @s[1]: int64\n",
        "  print @c, top 5, div 10\n",
        "  print @h[comm]\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn map_updates_keep_their_shape() {
    assert_eq!(
        body("BEGIN { @a[pid] += 5; @b++; $x = --@a[1]; @c <<= 2; delete(@a, 1); delete(@a[2]); }"),
        [
            "let $x: int64",
            "@a[pid] += 5",
            "@b++",
            "$x = --@a[1]",
            "@c <<= 2",
            "delete(@a[1])",
            "delete(@a[2])",
        ]
    );
}

#[test]
fn tuples_are_converted_member_by_member() {
    assert_eq!(
        body("BEGIN { $t = (1, \"ab\"); $t = ((uint64)2, \"abcdef\"); @x[$t] = 1; print($t.1); }"),
        [
            "let $t: (uint64, string[7])",
            "$t = (1, \"ab\")",
            "$t = (2, \"abcdef\")",
            "@x[$t] = 1",
            "print $t.1: string[7]",
        ]
    );
}

#[test]
fn loops_and_scopes() {
    assert_eq!(
        body(
            "BEGIN { unroll(2) { let $i = 1; print($i); } for ($i : 0..3) { print($i); break; } }"
        ),
        [
            "let $i: int8",
            "let $i#2: int8",
            "do",
            "do",
            "$i = 1",
            "print $i: int8",
            "do",
            "$i = 1",
            "print $i: int8",
            "for $i#2 in 0 .. 3",
            "print $i#2: int8",
            "break",
        ]
    );
}

#[test]
fn verdicts_have_names() {
    assert_eq!(body("xdp:eth0 { @ = count(); return XDP_DROP; }"), ["@ <-", "return 1"]);
}

#[test]
fn arguments_on_the_stack() {
    assert_eq!(
        body("kprobe:vfs_read { print(arg5); print(arg6); }"),
        ["print arg5: uint64", "print stack_arg0: uint64"]
    );
}

#[test]
fn user_mode_is_known_or_read() {
    assert_eq!(body("BEGIN { print(usermode); }"), ["print 1: uint8"]);
    assert_eq!(
        body("profile:hz:9 { print(usermode); }"),
        ["print (uint8)((register at 136 &u 3) ==u 3): uint8"]
    );
}

#[test]
fn attach_points_have_bpftraces_names() {
    let text = hir("interval:s:1, i:1s, interval:hz:4, p:hz:99, profile:ms:10 { }
         k:vfs_read+4, kr:ext4:vfs_read { } u:bash:main+8, ur:libc:malloc, u:/bin/bash:0x10 { }
         xdp:lo:generic { } BEGIN { } end { } first = kprobe:vfs_open { }");
    for line in [
        "probe 0 interval:s:1",
        "probe 1 interval:us:1000000",
        "probe 2 interval:hz:4",
        "probe 3 profile:hz:99",
        "probe 4 profile:ms:10",
        "probe 5 kprobe:vfs_read+4",
        "probe 6 kretprobe:ext4:vfs_read",
        "probe 7 uprobe:/bin/bash:main+8",
        "probe 8 uretprobe:/lib/libc.so.6:malloc",
        "probe 9 uprobe:/bin/bash:16",
        "probe 10 xdp:lo:generic",
        "probe 13 first",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn a_process_restricts_kernel_probes() {
    let machine = Machine { pid: Some(7), ..Machine::default() };
    let script = "kprobe:vfs_read /arg0/ { } uprobe:main { } BEGIN { }";
    let checked = compile_with(script, &machine, &Options::default()).map_err(|(_, text)| text);
    let text = dump::hir::program(&checked.expect("the script is right").program);
    assert!(text.contains("if not ((pid ==u 7) && (bool)arg0): return"), "{text}");
    assert_eq!(text.matches("if not").count(), 1, "{text}");
    assert!(text.contains("uprobe:/proc/7/exe:main"), "{text}");
}

#[test]
fn maps_of_a_session_keep_their_types() {
    let options = Options { roomy_maps: true, ..Options::default() };
    let first = compile_with("BEGIN { @x[1, \"a\"] = 1; }", &Machine::default(), &options);
    let first = first.map_err(|(_, text)| text).expect("the script is right");
    let text = dump::hir::program(&first.program);
    assert!(text.contains("map @x[(int64, string[64])]: int64"), "{text}");

    let later = |script: &str| {
        let mut sources = Sources::default();
        let file = sources.add("test", script);
        let machine = Machine::default();
        let cx = Context {
            catalog: &machine,
            types: &machine,
            profile: &TargetProfile::REFERENCE,
            options: &options,
            known_maps: &first.program.maps,
        };
        parse(&sources, file)
            .and_then(|script| expand(script, &mut sources, &Nothing, &Params::default()))
            .and_then(|expanded| resolve(expanded.script, &cx))
            .and_then(|resolved| check(resolved, &cx))
            .map(|checked| checked.program.maps)
            .map_err(|errors| errors.first().map_or("", |e| e.code))
    };
    assert_eq!(later("BEGIN { @x[pid, comm] = nsecs; }"), Ok(first.program.maps.clone()));
    assert_eq!(later("BEGIN { print(@x); }"), Ok(first.program.maps.clone()));
    assert_eq!(later("BEGIN { @x[1, \"a\"] = \"text\"; }"), Err("map-value-mismatch"));
    assert_eq!(later("BEGIN { @x = 1; }"), Err("map-with-key"));
}

#[test]
fn settings_come_from_the_script_and_the_environment() {
    let script =
        "config = { max_strlen = 64; max_map_keys = 10 } kprobe:vfs_read { @[str(arg0)] = 1; }";
    let text = hir(script);
    assert!(text.contains("map @[string[64]]: int8 (hash, 10)"), "{text}");
    let environment = vec![("BPFTRACE_MAX_STRLEN".to_owned(), "32".to_owned())];
    let options = Options { environment, ..Options::default() };
    let checked = compile_with(script, &Machine::default(), &options).map_err(|(_, text)| text);
    let text = dump::hir::program(&checked.expect("the script is right").program);
    assert!(text.contains("map @[string[32]]: int8"), "{text}");
}

#[test]
fn missing_probes_may_be_ignored() {
    let script =
        |how| format!("config = {{ missing_probes = {how} }} kprobe:nothing {{ }} BEGIN {{ }}");
    let codes = |how| codes(&script(how), &Machine::default(), &Options::default());
    assert_eq!(codes("error"), ["unknown-kernel-function"]);
    assert_eq!(codes("warn"), ["unknown-kernel-function"]);
    assert!(codes("ignore").is_empty());
    assert!(compile(&script("warn")).is_ok());
}

#[test]
fn what_is_unsafe_can_be_allowed() {
    let options = Options { allow_unsafe: true, ..Options::default() };
    let script = "kprobe:0xffffffff81000000 { system(\"ls %d\", pid); }";
    assert!(codes(script, &Machine::default(), &options).is_empty());
}

#[test]
fn wildcards_need_lists() {
    let machine = Machine { blind: true, ..Machine::default() };
    let codes = |script| codes(script, &machine, &Options::default());
    assert_eq!(codes("kprobe:vfs_* { }"), ["no-probe-list"]);
    assert_eq!(codes("tracepoint:sched:* { }"), ["no-probe-list"]);
    assert_eq!(codes("tracepoint:sched:x { print(args.y); }"), ["no-format"]);
    assert!(codes("kprobe:anything { } tracepoint:a:b { } xdp:eth7 { }").is_empty());
}

#[test]
fn old_kernels_are_told_apart() {
    let mut sources = Sources::default();
    let file = sources.add("test", "BEGIN { @c = count(); print(@c + 1); print(nsecs(tai)); }");
    let machine = Machine::default();
    let profile = TargetProfile { kernel: KernelVersion::new(5, 15), ..TargetProfile::REFERENCE };
    let options = Options::default();
    let cx = Context {
        catalog: &machine,
        types: &machine,
        profile: &profile,
        options: &options,
        known_maps: &[],
    };
    let errors = parse(&sources, file)
        .and_then(|script| expand(script, &mut sources, &Nothing, &Params::default()))
        .and_then(|expanded| resolve(expanded.script, &cx))
        .and_then(|resolved| check(resolved, &cx))
        .expect_err("the kernel is too old");
    assert!(errors.len() == 2 && errors.iter().all(|e| e.code == "kernel-too-old"));
}

/// Every code of `resolve` and `check` has a case in `tests/ui`, but those that need another
/// machine, which are above.
#[test]
fn every_code_has_a_case() {
    const ELSEWHERE: &[&str] =
        &["kernel-too-old", "no-format", "no-probe-list", "no-attach-points"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ui");
    let expected = |dir: &str, name: &str| {
        let path = root.join(dir).join(name).with_extension("stderr");
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("[{name}]")))
    };
    let check = diag::codes::check::CODES.iter().map(|code| ("check", code.name));
    let probes = diag::codes::probes::CODES.iter().map(|code| ("probes", code.name));
    let missing: Vec<_> = check
        .chain(probes)
        .filter(|(dir, name)| !ELSEWHERE.contains(name) && !expected(dir, name))
        .collect();
    assert!(missing.is_empty(), "no case in tests/ui for {missing:?}");
}

#[test]
fn a_stepped_map_does_not_decide_what_others_hold() {
    let lines = body("BEGIN { @a[\"x\", @n] = \"hey\"; @n++; }");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("\"hey\""), "{lines:?}");
}
