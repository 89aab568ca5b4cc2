//! Golden tests: `tests/golden/**/*.rt`, one feature a file, against dumps of the stages that
//! matter for it. They need no kernel and give the same everywhere.
//!
//! A script's expected dumps lie beside it: `add.rt` with `add.hir` compares the typed program,
//! `add.bpf` the code, and so on for each stage of `-d`. `RBTRACE_BLESS=1` rewrites the dumps
//! that exist; create an empty one to get a new one.

use std::fs;
use std::path::{Path, PathBuf};

use rbtrace_lang::catalog::ctypes::{CField, CRecord, CType, Origin, Signature, TypeRef};
use rbtrace_lang::catalog::{
    Catalog, DebugInfo, Nothing, TracepointField, TracepointFormat, TypeSource, UsdtProbe,
};
use rbtrace_lang::expand::Params;
use rbtrace_lang::resolve::{Context, Options};
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_probes_ebpf::types::{Field, Type};

/// Stages in order; the extension of a dump is its stage.
const STAGES: [&str; 6] = ["ast", "hir", "clif", "clif-opt", "bpf", "elf"];

/// A machine that is the same everywhere.
struct Machine;

impl Catalog for Machine {
    fn kernel_functions(&self, _: Option<&str>, pattern: &str) -> Option<Vec<String>> {
        let known = ["do_nanosleep", "do_sys_openat2", "vfs_read", "vfs_write"];
        Some(matching(&known, pattern))
    }

    fn tracepoints(&self, category: &str, pattern: &str) -> Option<Vec<(String, String)>> {
        let known = ["sys_enter_openat", "sys_enter_read", "sys_exit_read"];
        let categories = matching(&["syscalls"], category);
        let names = matching(&known, pattern);
        Some(categories.iter().flat_map(|c| names.iter().map(|n| (c.clone(), n.clone()))).collect())
    }

    fn binaries(&self, pattern: &str) -> Vec<String> {
        match pattern {
            "libc" => vec!["/lib/libc.so.6".into()],
            path if path.starts_with('/') => vec![path.into()],
            _ => Vec::new(),
        }
    }

    fn user_functions(&self, _: &str, pattern: &str) -> Option<Vec<String>> {
        Some(matching(&["free", "main", "malloc", "walk"], pattern))
    }

    fn raw_tracepoints(&self, _: Option<&str>, pattern: &str) -> Option<Vec<(String, String)>> {
        let names = matching(&["sched_switch", "sys_enter"], pattern);
        Some(names.into_iter().map(|name| ("vmlinux".to_owned(), name)).collect())
    }

    fn usdt_probes(&self, _: &str) -> Option<Vec<UsdtProbe>> {
        let arguments = ["-4@%edi 8@-16(%rbp) 1@%ah", "-4@$-5 8@8(%rax,%rbx,4) 2@%si"];
        Some(vec![UsdtProbe {
            provider: "shell".to_owned(),
            name: "line".to_owned(),
            arguments: arguments.map(str::to_owned).to_vec(),
        }])
    }

    fn interfaces(&self, pattern: &str) -> Option<Vec<String>> {
        Some(matching(&["eth0", "lo"], pattern))
    }

    fn kernel_symbol(&self, name: &str) -> Option<u64> {
        (name == "avenrun").then_some(0xffff_ffff_8200_0000)
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    fn cpid(&self) -> Option<u32> {
        None
    }
}

impl TypeSource for Machine {
    fn tracepoint(&self, _: &str, name: &str) -> Option<TracepointFormat> {
        let u64_type = Type::Int { size: 8, signed: false };
        let fields = match name {
            "sys_enter_openat" => vec![
                field("__syscall_nr", 8, Type::Int { size: 4, signed: true }, "int"),
                field("dfd", 16, u64_type.clone(), "int"),
                field("filename", 24, Type::Ptr, "const char *"),
                field("flags", 32, u64_type, "int"),
            ],
            "sys_enter_read" => vec![
                field("fd", 16, u64_type.clone(), "unsigned int"),
                field("count", 32, u64_type, "size_t"),
            ],
            "sys_exit_read" => vec![field("ret", 16, Type::Int { size: 8, signed: true }, "long")],
            _ => return None,
        };
        Some(TracepointFormat { fields })
    }

    fn describe(&self, at: TypeRef) -> Option<CType> {
        let member =
            |name: &str, ty, bit_offset| CField { name: name.into(), ty, bit_offset, bits: None };
        (at == NODE).then(|| {
            CType::Record(CRecord {
                name: "node".into(),
                union: false,
                size: Some(16),
                fields: vec![
                    member("next", pointer(CType::Ref(NODE)), 0),
                    member("value", CType::Int { size: 4, signed: true }, 64),
                ],
            })
        })
    }

    fn origin(&self, at: TypeRef) -> Origin {
        if at == NODE { Origin::User } else { Origin::Script }
    }

    fn user_function(&self, _: &str, name: &str) -> Option<Signature> {
        let node = || pointer(CType::Ref(NODE));
        let params: &[(&str, CType)] = match name {
            "main" => &[
                ("argc", CType::Int { size: 4, signed: true }),
                ("argv", pointer(pointer(CType::Char))),
            ],
            "walk" => &[
                ("list", node()),
                ("weight", CType::Float { size: 8 }),
                ("flag", CType::Bool),
                ("key", CType::Char),
                ("by_value", CType::Ref(NODE)),
                ("depth", CType::Int { size: 2, signed: true }),
                ("on_stack", CType::Int { size: 4, signed: false }),
            ],
            _ => return None,
        };
        let params = params.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect();
        Some(Signature { params, result: CType::Void })
    }

    fn debug_info(&self, _: &str) -> DebugInfo {
        DebugInfo::Whole
    }
}

/// `struct node` of the machine's programs.
const NODE: TypeRef = TypeRef { source: 1, id: 1 };

fn pointer(to: CType) -> CType {
    CType::Pointer(Box::new(to))
}

fn field(name: &str, offset: u32, ty: Type, c_type: &str) -> TracepointField {
    TracepointField {
        field: Field { name: name.into(), offset, ty, bits: None },
        c_type: c_type.into(),
        data_loc: None,
    }
}

/// Names that a pattern with `*` at its end, or without any, matches.
fn matching(known: &[&str], pattern: &str) -> Vec<String> {
    known
        .iter()
        .filter(|name| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => **name == pattern,
        })
        .map(|name| (*name).to_owned())
        .collect()
}

/// The dumps of a script, in the order of [`STAGES`]; stops at the first that fails.
fn dumps(text: &str) -> Result<Vec<String>, String> {
    let mut sources = Sources::default();
    let file = sources.add("test.rt", text);
    let diagnostics = |d: Vec<rbtrace_lang::diag::Diagnostic>| format!("{d:#?}");
    let params = Params::new(&["7", "text"]);
    let options = Options::default();
    let cx = Context {
        catalog: &Machine,
        types: &Machine,
        profile: &TargetProfile::REFERENCE,
        options: &options,
        known_maps: &[],
    };
    let script = rbtrace_lang::parse::parse(&sources, file).map_err(diagnostics)?;
    let mut all = vec![rbtrace_lang::dump::ast::script(&script)];
    let expanded = rbtrace_lang::expand::expand(script, &mut sources, &Nothing, &params)
        .map_err(diagnostics)?;
    let resolved = rbtrace_lang::resolve::resolve(expanded.script, &cx).map_err(diagnostics)?;
    let checked = rbtrace_lang::check::check(resolved, &cx).map_err(diagnostics)?;
    all.push(rbtrace_lang::dump::hir::program(&checked.program));
    let error = |e: rbtrace_codegen::Error| e.to_string();
    let lowered = rbtrace_codegen::lower(
        &checked.program,
        &sources,
        cx.profile,
        rbtrace_codegen::StackUse::Usual,
    )
    .map_err(error)?;
    all.push(lowered.dump());
    let optimized = lowered.optimize().map_err(error)?;
    all.push(optimized.dump());
    let selected = optimized.select().map_err(error)?;
    all.push(selected.dump());
    let object = selected.write().map_err(error)?;
    all.push(rbtrace_codegen::elf::dump::dump(&object.elf).map_err(|e| e.to_string())?);
    Ok(all)
}

fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|e| e == "rt") {
            found.push(path);
        }
    }
}

/// Compares one script with its dumps; answers what differs.
fn compare(script: &Path, bless: bool) -> Vec<String> {
    let name = script.display();
    let text = fs::read_to_string(script).expect("a readable script");
    let all = match dumps(&text) {
        Ok(all) => all,
        Err(error) => return vec![format!("{name}: {error}")],
    };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (stage, dump) in STAGES.iter().zip(&all) {
        let expected_path = script.with_extension(stage);
        let Ok(expected) = fs::read_to_string(&expected_path) else { continue };
        compared += 1;
        if *dump == expected {
            continue;
        }
        if bless {
            fs::write(&expected_path, dump).expect("a writable dump");
        } else {
            wrong.push(format!("{}:\n{dump}", expected_path.display()));
        }
    }
    if compared == 0 {
        wrong.push(format!("{name}: no dump to compare with"));
    }
    wrong
}

#[test]
fn dumps_are_as_expected() {
    let mut found = Vec::new();
    scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), &mut found);
    found.sort();
    assert!(found.len() >= 60, "only {} golden scripts", found.len());
    let bless = std::env::var_os("RBTRACE_BLESS").is_some();
    let wrong: Vec<String> = found.iter().flat_map(|s| compare(s, bless)).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_same_text_gives_the_same_dumps() {
    let text = "kprobe:vfs_* { @[comm, arg2] = count(); } END { printf(\"%d\\n\", 1); }";
    assert_eq!(dumps(text), dumps(text));
}
