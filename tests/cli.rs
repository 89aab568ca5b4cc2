//! The command line from outside: what it prints and how it ends. Nothing here needs a kernel that
//! can trace, or root.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const HELLO: &str = "BEGIN { printf(\"hello %d\\n\", 1 + 2); exit(); }";

fn rbtrace(args: &[&str]) -> Output {
    command(args).output().expect("rbtrace runs")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rbtrace"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("RUST_BACKTRACE")
        .env("RBTRACE_COLOR", "never");
    command
}

fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rbtrace runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    // It may end before it has read everything.
    let _ = pipe.write_all(input);
    drop(pipe);
    child.wait_with_output().expect("rbtrace ends")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails with status 1, silent on standard output, and says each of these.
fn fails(output: &Output, said: &[&str]) {
    let text = err(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(out(output), "", "{text}");
    for part in said {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn version_and_help_go_to_standard_output() {
    let version = rbtrace(&["-V"]);
    assert_eq!(out(&version), format!("rbtrace {}\n", env!("CARGO_PKG_VERSION")));
    assert!(version.status.success());
    for flag in ["-h", "--help"] {
        let help = rbtrace(&[flag]);
        assert!(help.status.success());
        for part in [
            "-e <PROGRAM>",
            "--emit-elf <FILE>",
            "--demo",
            "--fmt",
            "rbtrace explain WORD",
            "NOTIFY_SOCKET",
        ] {
            assert!(out(&help).contains(part), "no {part} in {}", out(&help));
        }
    }
}

#[test]
fn usage_errors_end_with_status_one_and_a_hint() {
    fails(&rbtrace(&[]), &["FILE or -e PROGRAM", "--help"]);
    fails(&rbtrace(&["--nonsense"]), &["--nonsense", "--help"]);
    fails(&rbtrace(&["-B", "some", "-e", HELLO]), &["line, full, none"]);
    fails(&rbtrace(&["-f", "xml", "-e", HELLO]), &["text, json"]);
    fails(&rbtrace(&["-d", "nosuch", "-e", HELLO]), &["possible values", "clif-opt"]);
    fails(&rbtrace(&["-p", "abc", "-e", HELLO]), &["abc"]);
    fails(&rbtrace(&["-p", "1", "-c", "true", "-e", HELLO]), &["cannot be used with"]);
    fails(&rbtrace(&["-k", "--no-warnings", "-e", HELLO]), &["cannot be used with"]);
    fails(&rbtrace(&["--test", "--bench", "x.bt"]), &["cannot be used with"]);
    fails(&rbtrace(&["--fmt"]), &["--fmt needs a FILE"]);
    fails(&rbtrace(&["--fmt", "a.bt", "b.bt"]), &["one script"]);
    fails(&rbtrace(&["--check", "x.bt"]), &["--fmt"]);
}

#[test]
fn stages_are_printed_for_people() {
    for (stage, parts) in [
        ("ast", &["printf(\"hello %d\\n\", (1 + 2))"][..]),
        ("hir", &["printf \"hello %d\\n\", 3"]),
        ("clif", &["function %begin", "ringbuf_reserve"]),
        ("clif-opt", &["function %begin"]),
        ("bpf", &["begin_1:", "call ringbuf_submit", "; 1: BEGIN", "exit"]),
        ("elf", &[".BTF", "rbtrace_ring", ".rbtrace.plan"]),
    ] {
        let output = rbtrace(&["-d", stage, "-e", HELLO]);
        assert!(output.status.success(), "{stage}: {}", err(&output));
        for part in parts {
            assert!(out(&output).contains(part), "{stage}: no {part} in {}", out(&output));
        }
    }
    let all = rbtrace(&["-d", "ast,bpf", "-e", HELLO]);
    assert!(out(&all).starts_with("===== ast =====") && out(&all).contains("===== bpf ====="));
}

#[test]
fn scripts_are_read_from_arguments_files_and_standard_input() {
    let from_argument = rbtrace(&["-d", "bpf", "-e", HELLO]);
    let from_stdin = with_input(&["-d", "bpf", "-"], HELLO.as_bytes());
    let path = temporary("hello.rt");
    std::fs::write(&path, HELLO).expect("a script");
    let from_file = rbtrace(&["-d", "bpf", &path]);
    let _ = std::fs::remove_file(&path);
    assert!(!out(&from_argument).is_empty());
    assert_eq!(out(&from_argument), out(&from_stdin));
    assert_eq!(out(&from_argument), out(&from_file));
}

#[test]
fn scripts_are_formatted() {
    let formatted = "BEGIN\n{\n  exit(); // now\n}\n";
    let ugly = "BEGIN{exit() // now\n}";
    assert_eq!(out(&rbtrace(&["--fmt", "-e", ugly])), formatted);
    assert_eq!(out(&with_input(&["--fmt", "-"], ugly.as_bytes())), formatted);
    fails(&rbtrace(&["--fmt", "-e", "BEGIN { exit( }"]), &["unclosed-bracket"]);

    let (right, wrong) = (temporary("right.bt"), temporary("wrong.bt"));
    std::fs::write(&right, formatted).expect("written");
    std::fs::write(&wrong, ugly).expect("written");
    let checked = rbtrace(&["--fmt", "--check", &right, &wrong]);
    assert_eq!((out(&checked), checked.status.code()), (format!("{wrong}\n"), Some(1)));
    assert!(rbtrace(&["--fmt", &wrong, "-o", &wrong]).status.success());
    let checked = rbtrace(&["--fmt", "--check", &right, &wrong]);
    let _ = (std::fs::remove_file(&right), std::fs::remove_file(&wrong));
    assert_eq!((out(&checked), checked.status.code()), (String::new(), Some(0)));
}

#[test]
fn headers_are_found_where_the_flags_say() {
    let folder = temporary("include");
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(format!("{folder}/{name}"), text);
    write("first.h", "#define FOO 42\n").expect("written");
    write("second.h", "struct foo { int a; char b[FOO]; };\n").expect("written");
    let script = "#include <second.h>\nBEGIN { print((FOO, sizeof(struct foo))); }";
    let found = rbtrace(&["-I", &folder, "--include", "first.h", "-d", "hir", "-e", script]);
    let missing = rbtrace(&["-I", &folder, "-d", "hir", "-e", script]);
    let _ = std::fs::remove_dir_all(&folder);
    assert!(out(&found).contains("42") && out(&found).contains("48"), "{}", err(&found));
    fails(&missing, &["FOO"]);
}

#[test]
fn an_object_can_be_written_and_read() {
    let path = temporary("hello.o");
    let written = rbtrace(&["--emit-elf", &path, "-e", HELLO]);
    assert!(written.status.success(), "{}", err(&written));
    let dump = rbtrace(&["-d", "elf", &path]);
    let listed = rbtrace(&["-l", &path]);
    let _ = std::fs::remove_file(&path);
    assert!(out(&dump).contains(".rbtrace.plan"), "{}", err(&dump));
    assert_eq!(out(&dump), out(&rbtrace(&["-d", "elf", "-e", HELLO])));
    assert!(listed.status.success());
    assert_eq!(out(&listed), "", "BEGIN is not listed, as for scripts");
}

#[test]
fn an_object_is_used_as_it_was_compiled() {
    let path = temporary("fixed.o");
    let written = rbtrace(&["--emit-elf", "-", "-e", HELLO]);
    assert!(written.status.success(), "{}", err(&written));
    std::fs::write(&path, &written.stdout).expect("a temporary file");
    let with_params = rbtrace(&[&path, "foo"]);
    let stage = rbtrace(&["-d", "bpf", &path]);
    // ELF, but no object of ours.
    let program = rbtrace(&["/bin/sh"]);
    let _ = std::fs::remove_file(&path);
    fails(&with_params, &["fixed.o takes no parameters"]);
    fails(&stage, &["fixed.o", "-d elf"]);
    fails(&program, &["cannot use", "/bin/sh"]);
}

#[test]
fn what_is_no_script_is_an_error_at_once() {
    fails(&rbtrace(&["/no/such/file.rt"]), &["/no/such/file.rt", "No such file"]);
    fails(&rbtrace(&["latncy"]), &["latncy", "latency"]);
    fails(&rbtrace(&["/"]), &["/"]);
    fails(&with_input(&["-"], b""), &["empty"]);
    fails(&with_input(&["-"], b"BEGIN \xff"), &["no script", "byte 6"]);
    fails(&with_input(&["-"], b"BEGIN \0"), &["not a script"]);
    fails(&with_input(&["-"], b"\x7fELF but not really"), &["ERROR"]);
    fails(&with_input(&["-"], &vec![b'{'; 10 << 20]), &["too"]);
    let deep = format!("BEGIN {{ @ = {}1{}; }}", "(".repeat(20_000), ")".repeat(20_000));
    fails(&with_input(&["-"], deep.as_bytes()), &["nested"]);
}

#[test]
fn mistakes_show_the_place_and_a_suggestion() {
    let output = rbtrace(&["-e", "BEGIN { prinft(\"x\"); }"]);
    fails(&output, &["stdin:1:9", "^^^^^^", "printf"]);
    fails(&rbtrace(&["-e", "BEGIN { @a = 1 + ; }"]), &["stdin:1:18", "expected an expression"]);
    fails(&rbtrace(&["-e", "xdp:no-such-interface { }"]), &["no-such-interface", "lo"]);
    fails(&rbtrace(&["-e", "uprobe:/bin/no-such-program:f { }"]), &["no-such-program"]);
    fails(&rbtrace(&["-e", "BEGIN { system(\"true\"); }"]), &["--unsafe"]);
    fails(&rbtrace(&["-p", "4194304", "-e", HELLO]), &["process 4194304"]);
    fails(&rbtrace(&["-c", "no-such-command", "-e", HELLO]), &["no-such-command"]);
    fails(&rbtrace(&["-e", HELLO, "--", "--name=1"]), &["--name"]);
}

#[test]
fn parameters_reach_attach_points_and_expressions() {
    let script = "xdp:${1:-nowhere} { @ = ${2:-7}; }";
    let given = rbtrace(&["-d", "expand", "-e", script, "lo", "42"]);
    assert!(out(&given).contains("xdp:lo") && out(&given).contains("42"), "{}", out(&given));
    let bare = rbtrace(&["-d", "expand", "-e", script]);
    assert!(out(&bare).contains("xdp:nowhere") && out(&bare).contains('7'), "{}", out(&bare));
}

#[test]
fn built_in_scripts_compile_and_are_listed() {
    let listed = rbtrace(&["scripts"]);
    for name in ["do_sys_open", "latency", "packet_count"] {
        assert!(out(&listed).contains(&format!("rbtrace {name}")), "{}", out(&listed));
    }
    let compiled = rbtrace(&["-d", "bpf", "packet_count", "lo"]);
    assert!(compiled.status.success(), "{}", err(&compiled));
    let own = env!("CARGO_BIN_EXE_rbtrace");
    let compiled = rbtrace(&["-d", "bpf", "latency", own, "main"]);
    assert!(compiled.status.success(), "{}", err(&compiled));
}

#[test]
fn words_explain_and_generate() {
    let codes = rbtrace(&["explain"]);
    let first = out(&codes).lines().next().expect("a code").to_owned();
    let one = rbtrace(&["explain", &first]);
    assert!(out(&one).starts_with(&first) && out(&one).lines().count() > 2, "{}", out(&one));
    assert!(out(&rbtrace(&["explain", "bswap()"])).starts_with("bswap(number)\n"));
    fails(&rbtrace(&["explain", "no-such-code"]), &["no-such-code"]);
    fails(&rbtrace(&["explain", "bswp"]), &["bswp", "bswap"]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&rbtrace(&["completions", shell])).contains("rbtrace"), "{shell}");
    }
    fails(&rbtrace(&["completions", "csh"]), &["bash"]);
    assert!(out(&rbtrace(&["man"])).contains(".TH rbtrace 8"));
}

#[test]
fn listing_what_needs_no_root() {
    assert_eq!(out(&rbtrace(&["-l", "interval:*s"])), "interval:ms:\ninterval:s:\ninterval:us:\n");
    assert!(out(&rbtrace(&["-l", "xdp"])).contains("xdp:lo\n"));
    let own = env!("CARGO_BIN_EXE_rbtrace");
    let listed = rbtrace(&["-l", &format!("uprobe:{own}:rbtrace_demo_*")]);
    assert_eq!(out(&listed), format!("uprobe:{own}:rbtrace_demo_work\n"));
    let script = format!("BEGIN {{}} uprobe:{own}:main, interval:s:1 {{ }}");
    let listed = rbtrace(&["-l", "-e", &script]);
    assert_eq!(out(&listed), format!("uprobe:{own}:main\ninterval:s:\n"), "{}", err(&listed));
    fails(&rbtrace(&["-l", "frobnicate:x"]), &["frobnicate", "tracepoint"]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let shell = format!("{} --help | true; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_rbtrace"));
    let output = Command::new("bash").args(["-c", &shell]).output();
    // Where there is no bash there is nothing to tell the status by.
    if let Ok(output) = output {
        assert_eq!(err(&output), "");
        assert!(output.status.success());
    }
}

fn temporary(name: &str) -> String {
    let path = std::env::temp_dir().join(format!("rbtrace-cli-{}-{name}", std::process::id()));
    path.to_string_lossy().into_owned()
}

#[test]
fn a_bad_variable_is_named_and_the_script_is_not_blamed() {
    let output = command(&["--emit-elf", "-", "-e", HELLO])
        .env("BPFTRACE_MAX_STRLEN", "lots")
        .output()
        .expect("rbtrace runs");
    fails(&output, &["environment variable BPFTRACE_MAX_STRLEN", "found `lots`", "unset"]);
    assert!(!err(&output).contains("-->"), "{}", err(&output));
}

#[test]
fn captures_that_cannot_be_used_are_told_why() {
    const SCRIPT: &str = "xdp:no-such-interface { @ = count(); }";
    let over = |file: &str, script: &str| rbtrace(&["--test-packets", file, "-e", script]);
    fails(&over("no/such.pcap", SCRIPT), &["cannot read no/such.pcap", "No such file"]);
    fails(&over("Cargo.toml", SCRIPT), &["cannot read Cargo.toml", "no capture"]);
    fails(&over("src", SCRIPT), &["cannot read src", "directory"]);
    fails(&over("examples/dns.pcap", HELLO), &["runs network blocks", "xdp:eth0"]);
    let loopback = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 0].map(u32::to_ne_bytes).concat();
    let path = temporary("loopback.pcap");
    std::fs::write(&path, loopback).expect("a file");
    fails(&over(&path, SCRIPT), &["LINKTYPE_NULL (0)", "LINKTYPE_ETHERNET"]);
    std::fs::remove_file(path).expect("a file");
    for flag in [&["-p", "1"][..], &["-c", "true"], &["--test"], &["--dry-run"], &["-d", "bpf"]] {
        let args = [&["--test-packets", "examples/dns.pcap", "-e", SCRIPT], flag].concat();
        fails(&rbtrace(&args), &["cannot be used with"]);
    }
    for flag in [["--repeat", "2"], ["--write-packets", "x.pcap"]] {
        fails(&rbtrace(&[&flag[..], &["-e", SCRIPT]].concat()), &["--test-packets <FILE>"]);
    }
    fails(&rbtrace(&["--test-packets", "examples/dns.pcap"]), &["FILE or -e PROGRAM"]);
}
