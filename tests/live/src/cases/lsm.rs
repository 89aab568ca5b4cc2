//! Hooks of the kernel's security modules: what is seen there, and what a verdict does.

use anyhow::{Result, ensure};

use crate::cases::tracepoint::files_to_open;
use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Lsm, Root};
use crate::kernel::Snapshot;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("lsm/files_opened", &[Root, Lsm], files_opened),
    Test::new("lsm/observing_changes_nothing", &[Root, Lsm], observing_changes_nothing),
    Test::new("lsm/denies_one_file", &[Root, Lsm], denies_one_file),
    Test::new("lsm/computed_verdicts", &[Root, Lsm], computed_verdicts),
    Test::new("lsm/verdicts_need_unsafe", &[Root, Lsm], verdicts_need_unsafe),
    Test::new("lsm/one_process", &[Root, Lsm], one_process),
    Test::new("lsm/wildcards", &[Root, Lsm], wildcards),
    Test::new("lsm/listing", &[Root, Lsm], listing),
];

/// Names of files that exist, and the workload that opens them and a file that does not.
fn existing(ctx: &Ctx) -> Result<(Vec<String>, String)> {
    let (mut names, workload) = files_to_open(ctx)?;
    names.retain(|name| std::path::Path::new(name).exists());
    Ok((names, workload))
}

fn files_opened(ctx: &Ctx) -> Result<()> {
    let (names, workload) = existing(ctx)?;
    let script = format!(
        r#"lsm:file_open /comm == "{COMM}"/ {{ printf("%s %s\n", func, path(args.file.f_path)); return 0; }}"#
    );
    let out = ctx.script(&script).workload(&workload).finish()?.success()?;
    let expected: Vec<String> = names.iter().map(|name| format!("file_open {name}")).collect();
    out.lines_are(&expected)
}

fn observing_changes_nothing(ctx: &Ctx) -> Result<()> {
    // prctl(2) does its work only if no security module does it: the workload names itself by it.
    let script = format!(
        r#"lsm:task_prctl {{ @prctl = count(); }} lsm:file_open /comm == "{COMM}"/ {{ @opened = count(); }}"#
    );
    let (names, workload) = existing(ctx)?;
    let out = ctx.script(&script).json().workload(&workload).finish()?.success()?;
    out.check(out.number("@prctl")? >= 1, "nobody called prctl")?;
    out.same("files", out.number("@opened")?, names.len() as i64)?;
    for name in names {
        out.complains(&format!("opened {name}"))?;
    }
    Ok(())
}

fn denies_one_file(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let denied = ctx.file("denied", "")?.to_string_lossy().into_owned();
    let allowed = ctx.file("allowed", "")?.to_string_lossy().into_owned();
    let script = format!(
        r#"lsm:file_open /comm == "{COMM}"/ {{ @asked = count();
            if (str(args.file.f_path.dentry.d_name.name) == "denied") {{ return -EPERM; }} }}"#
    );
    let workload = format!("open {allowed} {denied} {allowed} /does/not/exist");
    let out = ctx.script(&script).args(&["--unsafe"]).json().workload(&workload);
    let out = out.finish()?.success()?;
    let told: Vec<&str> = out.stderr.lines().filter(|line| line.contains('/')).collect();
    let expected = [
        format!("opened {allowed}"),
        format!("error {} {denied}", libc::EPERM),
        format!("opened {allowed}"),
        format!("error {} /does/not/exist", libc::ENOENT),
    ];
    out.same("what the workload met", told, expected.iter().map(String::as_str).collect())?;
    out.same("hooks", out.number("@asked")?, 3)?;
    // Others were never kept from it, and nobody is any more.
    ensure!(std::fs::File::open(&denied).is_ok(), "{denied} is still denied");
    before.nothing_left(ctx.patience)
}

fn computed_verdicts(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    for (verdict, error) in [
        ("-13", Some(libc::EACCES)),
        ("0", None),
        ("-4095", Some(4095)),
        // None that the kernel takes.
        ("7", Some(libc::EPERM)),
        ("-5000", Some(libc::EPERM)),
    ] {
        for block in
            ["return @verdict;", "for ($i : 0..100) { if ($i == 70) { return @verdict; } }"]
        {
            let script = format!(
                r#"BEGIN {{ @verdict = (int64){verdict}; }} lsm:file_open /comm == "{COMM}"/ {{ {block} }}"#
            );
            let out = ctx.script(&script).args(&["--unsafe"]).workload(&format!("open {file}"));
            let out = out.finish()?.success()?;
            out.complains(&match error {
                Some(error) => format!("error {error} {file}"),
                None => format!("opened {file}"),
            })?;
        }
    }
    Ok(())
}

fn verdicts_need_unsafe(ctx: &Ctx) -> Result<()> {
    let script = "lsm:file_open { return -EPERM; }";
    ctx.script(script).finish()?.exited(1)?.complains("needs --unsafe")
}

fn one_process(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    let workload = ctx.start_workload(&["open", &file, &file])?;
    let pid = workload.pid().to_string();
    let script = "lsm:file_open { @[pid] = count(); }";
    let session = ctx.script(script).args(&["-p", &pid]).json().start()?;
    std::fs::File::open(&file)?;
    workload.go()?;
    let out = session.wait()?.success()?;
    out.same("files", out.number_at("@", &pid)?, 2)?;
    out.same("processes", out.map("@")?.as_object().map(|map| map.len()), Some(1))
}

fn wildcards(ctx: &Ctx) -> Result<()> {
    let script = format!(r#"lsm:file_* /comm == "{COMM}"/ {{ @[func] = count(); }}"#);
    let (names, workload) = existing(ctx)?;
    let out = ctx.script(&script).json().workload(&workload).finish()?.success()?;
    out.same("files", out.number_at("@", "file_open")?, names.len() as i64)
}

fn listing(ctx: &Ctx) -> Result<()> {
    let out = ctx.rbtrace().args(&["-lv", "lsm:file_open"]).finish()?.success()?;
    out.lines_are(&["lsm:file_open", "    struct file * file"])?;
    let all = ctx.rbtrace().args(&["-l", "lsm:*"]).finish()?.success()?;
    for hook in ["bprm_check_security", "inode_free_security", "socket_connect", "task_kill"] {
        all.has_line(&format!("lsm:{hook}"))?;
    }
    // Functions that only begin as the hooks' do.
    let others = ["lsm:verify_prog", "lsm:is_sleepable_hook"];
    all.check(!all.lines().iter().any(|line| others.contains(line)), "these are no hooks")
}
