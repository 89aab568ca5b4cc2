//! The reference in `docs/`: what is made of the compiler's tables is what they say, and every
//! example compiles, or fails as it says. The live tests run those that can be run.
//!
//! `RBTRACE_BLESS=1` (`cargo xtask docs`) writes what is made of tables anew.

mod machine;

use std::fs;
use std::path::{Path, PathBuf};

use machine::Machine;
use rbtrace_lang::catalog::Nothing;
use rbtrace_lang::diag::Diagnostic;
use rbtrace_lang::expand::Params;
use rbtrace_lang::reference::examples::{Example, How, examples};
use rbtrace_lang::reference::{self, Entry, functions, language};
use rbtrace_lang::resolve::{Context, Options};
use rbtrace_lang::span::Sources;
use rbtrace_lang::{check, expand, hir, parse, render, resolve};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::profile::{KernelVersion, TargetProfile};

/// What scripts are compiled for.
const KERNEL: KernelVersion = TargetProfile::REFERENCE.kernel;

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document)
}

fn read(document: &str) -> String {
    let path = path(document);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Types a script for a kernel, with `sources` for what is said of it.
fn typed(
    script: &str,
    words: &[String],
    kernel: KernelVersion,
    sources: &mut Sources,
) -> Result<hir::Program, Vec<Diagnostic>> {
    let file = sources.add("example", script);
    let (flags, params): (Vec<_>, Vec<_>) = words.iter().partition(|word| *word == "--unsafe");
    let params: Vec<_> = params.into_iter().filter(|word| *word != "--").collect();
    let options = Options { allow_unsafe: !flags.is_empty(), ..Options::default() };
    let cx = Context {
        catalog: &Machine,
        types: &Machine,
        profile: &TargetProfile { kernel, ..TargetProfile::REFERENCE },
        options: &options,
        known_maps: &[],
    };
    let script = parse::parse(sources, file)?;
    let expanded = expand::expand(script, sources, &Nothing, &Params::new(&params))?;
    let resolved = resolve::resolve(expanded.script, &cx)?;
    Ok(check::check(resolved, &cx)?.program)
}

/// Compiles an example; what is wrong with it, or with its not being wrong.
fn compile(example: &Example) -> Result<(), String> {
    let mut sources = Sources::default();
    let typed = typed(&example.script, &example.words, KERNEL, &mut sources);
    let program = match (typed, &example.how) {
        (Err(errors), How::Wrong(code)) if errors.iter().any(|e| e.code == *code) => return Ok(()),
        (Ok(_), How::Wrong(code)) => {
            return Err(format!("it compiles, though marked wrong {code}"));
        }
        (Err(errors), _) => return Err(render::text(&errors, &sources, false)),
        (Ok(program), _) => program,
    };
    rbtrace_codegen::compile(&program, &sources, &TargetProfile::REFERENCE)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn examples_compile() {
    let mut wrong = Vec::new();
    let documents = [("functions.md", functions::document()), ("language.md", read("language.md"))];
    for (document, text) in documents {
        let found = examples(&text).unwrap_or_else(|error| panic!("{document}: {error}"));
        assert!(found.len() >= 40, "only {} examples in {document}", found.len());
        for example in &found {
            if let Err(error) = compile(example) {
                wrong.push(format!("docs/{document}:{}:\n{error}", example.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Compares a document with what it should be, or writes that.
fn up_to_date(document: &str, should_be: &str) {
    if std::env::var_os("RBTRACE_BLESS").is_some() {
        return fs::write(path(document), should_be).expect("docs can be written");
    }
    let is = read(document);
    let differs = is.lines().zip(should_be.lines()).position(|(is, should_be)| is != should_be);
    let line = differs.unwrap_or_else(|| is.lines().count().min(should_be.lines().count())) + 1;
    assert!(
        is == should_be,
        "docs/{document} is not what the tables say, from line {line}; run `cargo xtask docs`"
    );
}

#[test]
fn functions_are_what_the_tables_say() {
    up_to_date("functions.md", &functions::document());
}

#[test]
fn tables_of_the_language_are_what_the_tables_say() {
    up_to_date("language.md", &language::filled(&read("language.md")).expect("marked tables"));
}

/// An attach point of each kind on the test's machine.
const fn attach_point(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Begin => "begin",
        ProbeKind::End => "end",
        ProbeKind::Signal => "self:signal:SIGUSR1",
        ProbeKind::Test => "test:one",
        ProbeKind::Bench => "bench:one",
        ProbeKind::Interval => "interval:s:1",
        ProbeKind::Profile => "profile:hz:99",
        ProbeKind::Software => "software:page-faults:100",
        ProbeKind::Hardware => "hardware:cache-misses:1000",
        ProbeKind::Watchpoint => "watchpoint:0x10000000:8:rw",
        ProbeKind::Kprobe => "kprobe:vfs_read",
        ProbeKind::Kretprobe => "kretprobe:vfs_read",
        ProbeKind::Tracepoint => "tracepoint:syscalls:sys_enter_openat",
        ProbeKind::RawTracepoint => "rawtracepoint:sys_enter",
        ProbeKind::Fentry => "fentry:tcp_sendmsg",
        ProbeKind::Fexit => "fexit:tcp_sendmsg",
        ProbeKind::Iter => "iter:task",
        ProbeKind::Lsm => "lsm:file_open",
        ProbeKind::Uprobe => "uprobe:/bin/bash:main",
        ProbeKind::Uretprobe => "uretprobe:/bin/bash:main",
        ProbeKind::Usdt => "usdt:/bin/bash:shell:line",
        ProbeKind::Xdp => "xdp:eth0",
        ProbeKind::Tc => "tc:eth0:ingress",
        ProbeKind::Socket => "socket:eth0",
        ProbeKind::CgroupSkb => "cgroup_skb:/system.slice:egress",
    }
}

/// The type of a name in probes of a kind, empty where it is not known; `None` where they do not have
/// the name.
fn type_of(name: &str, kind: ProbeKind) -> Option<String> {
    let script = format!("{} {{ print(typeinfo(({name})).full_type); }}", attach_point(kind));
    let mut sources = Sources::default();
    match typed(&script, &[], KERNEL, &mut sources) {
        Ok(program) => Some(printed(&program)),
        Err(errors) if errors.iter().any(|e| e.code == "builtin-not-here") => None,
        Err(errors) if errors.iter().any(|e| e.code == "no-format") => Some(String::new()),
        Err(errors) => panic!("{script}: {}", render::text(&errors, &sources, false)),
    }
}

/// The literal that a script prints.
fn printed(program: &hir::Program) -> String {
    let text =
        program.blocks.iter().flat_map(|block| &block.body).find_map(|stmt| match &stmt.kind {
            hir::StmtKind::Action(hir::Action::PrintValue(hir::Expr {
                kind: hir::ExprKind::Str(bytes),
                ..
            })) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
    text.expect("a literal is printed")
}

/// The type that the reference says a name has, where that is one type and no more.
fn stated_type(entry: &Entry) -> Option<&'static str> {
    let (stated, rest) = entry.value().strip_prefix('`')?.split_once('`')?;
    (rest.is_empty() || rest == ", known when the script is compiled").then_some(stated)
}

/// The first call of a function in its examples, if it stands for itself.
fn call_in<'t>(name: &str, text: &'t str) -> Option<&'t str> {
    let start = text.find(&format!("({name}("))? + 1;
    let mut depth = 0;
    let end = text[start..].find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ')' && depth == 0
    })?;
    let call = &text[start..=start + end];
    (!call.contains(['$', '@']) && !call.contains("struct ")).then_some(call)
}

#[test]
fn functions_have_the_values_that_the_reference_says() {
    let chapters = reference::chapters();
    let (mut checked, mut wrong) = (0, Vec::new());
    for entry in chapters.iter().skip(1).flat_map(|chapter| &chapter.entries) {
        let kind = ProbeKind::ALL.into_iter().find(|kind| entry.place.holds(kind.spec()));
        if let (Some(stated), Some(call), Some(kind)) =
            (stated_type(entry), call_in(entry.name, entry.text()), kind)
        {
            let found = type_of(call, kind);
            if found.as_deref() != Some(stated) {
                wrong.push(format!("{call} is {found:?}, not {stated}"));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 12, "only {checked} functions state the type of a value");
}

#[test]
fn builtins_are_where_and_what_the_reference_says() {
    let chapters = reference::chapters();
    let builtins = chapters.first().expect("the builtins come first");
    for entry in &builtins.entries {
        let name = if entry.name == "argN" { "arg0" } else { entry.name };
        for kind in ProbeKind::ALL {
            let found = type_of(name, kind);
            assert_eq!(found.is_some(), entry.place.holds(kind.spec()), "{name} in {kind:?}");
            let found = found.filter(|ty| !ty.is_empty());
            if let (Some(found), Some(stated)) = (found, stated_type(entry)) {
                assert_eq!(found, stated, "{name} in {kind:?}");
            }
        }
    }
}

/// The codes of what is wrong with an example.
fn codes(example: &Example, words: &[String], kernel: KernelVersion) -> Vec<&'static str> {
    let errors = typed(&example.script, words, kernel, &mut Sources::default()).err();
    errors.into_iter().flatten().map(|error| error.code).collect()
}

#[test]
fn what_functions_need_is_looked_at() {
    let entries = reference::chapters().into_iter().flat_map(|chapter| chapter.entries);
    let (mut harmful, mut new) = (0, 0);
    for entry in entries {
        let found = examples(entry.text()).expect("marked examples");
        let Some(example) = found.first() else { panic!("{} has no example", entry.name) };
        if !entry.harm.is_empty() {
            assert_eq!(codes(example, &[], KERNEL), ["unsafe-needed"], "{}", entry.name);
            harmful += 1;
        }
        if let Some(since) = entry.since {
            let before = KernelVersion::new(since.major - 1, since.minor);
            assert_eq!(
                codes(example, &example.words, before),
                ["kernel-too-old"],
                "{}",
                entry.name
            );
            assert!(codes(example, &example.words, since).is_empty(), "{}", entry.name);
            new += 1;
        }
    }
    assert!(harmful >= 5 && new >= 3, "{harmful} are unsafe, {new} need newer kernels");
}
