//! What may follow the text before the cursor.

use rbtrace_lang::catalog::{Catalog, TypeSource};
use rbtrace_lang::reference;
use rbtrace_probes_ebpf::kinds::{Counter, ProbeKind};
use rbtrace_probes_ebpf::plan::Direction;

use super::command::COMMANDS;
use crate::scripts;

/// More candidates than anybody reads; kernels have 50,000 functions.
const MOST: usize = 500;

/// Where completion starts in the text, and what may stand there.
pub type Candidates = (usize, Vec<String>);

/// What may complete `text`, which ends at the cursor. `maps` are the session's.
pub fn complete<M: Catalog + TypeSource>(text: &str, machine: &M, maps: &[String]) -> Candidates {
    let (start, mut found) = if let Some(command) = text.strip_prefix(':') {
        command_line(text, command, maps)
    } else if depth(text) == 0 {
        attach_point(text, machine)
    } else {
        in_block(text, machine, maps)
    };
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    (start, found)
}

/// Braces open at the end of the text. Braces in quotes do not count.
fn depth(text: &str) -> i32 {
    let mut depth = 0;
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    depth
}

fn starting_with<S: AsRef<str>>(names: impl IntoIterator<Item = S>, prefix: &str) -> Vec<String> {
    let names = names.into_iter().filter(|name| name.as_ref().starts_with(prefix));
    names.map(|name| name.as_ref().to_owned()).collect()
}

fn command_line(text: &str, command: &str, maps: &[String]) -> Candidates {
    let Some((name, argument)) = command.split_once(' ') else {
        let names = COMMANDS.iter().map(|(name, takes, _)| match takes.is_empty() {
            true => (*name).to_owned(),
            false => format!("{name} "),
        });
        return (0, starting_with(names, text));
    };
    let start = text.len() - argument.len();
    let found = match name {
        "clear" => starting_with(maps, argument),
        "detach" => starting_with(["all"], argument),
        "help" => starting_with(reference::names(), argument),
        "load" | "save" => {
            let mut found = files(argument);
            if name == "load" {
                found.extend(starting_with(scripts::ALL.iter().map(|s| s.name), argument));
            }
            found
        }
        _ => Vec::new(),
    };
    (start, found)
}

/// Paths that begin so; directories end with a slash.
fn files(prefix: &str) -> Vec<String> {
    let (directory, name) = match prefix.rfind('/') {
        Some(slash) => prefix.split_at(slash + 1),
        None => ("", prefix),
    };
    let place = if directory.is_empty() { "." } else { directory };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let paths = entries.filter_map(Result::ok).filter_map(|entry| {
        let file = entry.file_name().into_string().ok()?;
        let hidden = file.starts_with('.') && !name.starts_with('.');
        let slash = if entry.path().is_dir() { "/" } else { "" };
        (file.starts_with(name) && !hidden).then(|| format!("{directory}{file}{slash}"))
    });
    paths.collect()
}

/// The attach point, or the statement outside of a block, that the text ends with.
fn attach_point<M: Catalog>(text: &str, machine: &M) -> Candidates {
    let start = text.rfind([' ', '\t', '\n', ',', '(']).map_or(0, |at| at + 1);
    let word = text.get(start..).unwrap_or_default();
    let parts: Vec<&str> = word.split(':').collect();
    let [kind, rest @ ..] = parts.as_slice() else { return (start, Vec::new()) };
    if rest.is_empty() {
        let kinds = ProbeKind::ALL.into_iter().map(|kind| match kind {
            ProbeKind::Begin | ProbeKind::End => kind.spec().name.to_owned(),
            _ => format!("{}:", kind.spec().name),
        });
        let mut found = starting_with(kinds, kind);
        // An expression may be meant, too.
        if start == 0 && !kind.is_empty() {
            found.extend(starting_with(reference::names(), kind));
        }
        return (start, found);
    }
    let done = word.len() - rest.last().map_or(0, |last| last.len());
    let before = word.get(..done).unwrap_or_default();
    let found =
        ProbeKind::from_name(kind).map(|kind| targets(kind, rest, machine)).unwrap_or_default();
    (start, found.into_iter().map(|target| format!("{before}{target}")).collect())
}

/// What may stand as the last of the parts after the kind.
fn targets<M: Catalog>(kind: ProbeKind, parts: &[&str], machine: &M) -> Vec<String> {
    let pattern = format!("{}*", parts.last().copied().unwrap_or_default());
    match (kind, parts) {
        (ProbeKind::Kprobe | ProbeKind::Kretprobe, [_]) => {
            machine.kernel_functions(None, &pattern).unwrap_or_default()
        }
        (ProbeKind::Iter, [_]) => machine.iterators(&pattern).unwrap_or_default(),
        (ProbeKind::Lsm, [_]) => machine.lsm_hooks(&pattern).unwrap_or_default(),
        (ProbeKind::Tracepoint, [_]) => {
            let found = machine.tracepoints(&pattern, "*").unwrap_or_default();
            let mut categories: Vec<String> =
                found.into_iter().map(|(category, _)| format!("{category}:")).collect();
            categories.dedup();
            categories
        }
        (ProbeKind::Tracepoint, [category, _]) => {
            let found = machine.tracepoints(category, &pattern).unwrap_or_default();
            found.into_iter().map(|(_, name)| name).collect()
        }
        (ProbeKind::Uprobe | ProbeKind::Uretprobe, [path]) => {
            let mut found = if path.contains('/') { files(path) } else { Vec::new() };
            found.iter_mut().filter(|path| !path.ends_with('/')).for_each(|path| path.push(':'));
            found
        }
        (ProbeKind::Uprobe | ProbeKind::Uretprobe, [binary, _]) => {
            let files = machine.binaries(binary);
            let functions = files.first().and_then(|file| machine.user_functions(file, &pattern));
            functions.unwrap_or_default()
        }
        (ProbeKind::Xdp | ProbeKind::Socket, [_]) => {
            machine.interfaces(&pattern).unwrap_or_default()
        }
        (ProbeKind::Xdp, [_, prefix]) => starting_with(["native", "generic", "offload"], prefix),
        (ProbeKind::Tc, [_]) => {
            let mut found = machine.interfaces(&pattern).unwrap_or_default();
            found.iter_mut().for_each(|interface| interface.push(':'));
            found
        }
        (ProbeKind::CgroupSkb, [path]) => {
            files(path).into_iter().filter(|path| path.ends_with('/')).collect()
        }
        (ProbeKind::Tc | ProbeKind::CgroupSkb, [_, prefix]) => {
            starting_with(Direction::ALL.map(Direction::name), prefix)
        }
        (ProbeKind::Software | ProbeKind::Hardware, [prefix]) => {
            let names = Counter::all(kind).iter().flat_map(Counter::names);
            starting_with(names.map(|name| format!("{name}:")), prefix)
        }
        (ProbeKind::Signal, [prefix]) => starting_with(["signal:SIGUSR1"], prefix),
        (ProbeKind::Interval | ProbeKind::Profile, [prefix]) => {
            starting_with(["hz:", "s:", "ms:", "us:"], prefix)
        }
        _ => Vec::new(),
    }
}

fn in_block<M: Catalog + TypeSource>(text: &str, machine: &M, maps: &[String]) -> Candidates {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '$' | '.');
    let start = text
        .rfind(|c| !is_part(c))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let word = text.get(start..).unwrap_or_default();
    if let Some(field) = word.strip_prefix("args.") {
        return (start + 5, starting_with(fields(text, machine), field));
    }
    let found = match word.chars().next() {
        Some('@') => {
            let mut all = maps.to_vec();
            all.extend(words(text, '@', start));
            starting_with(all, word)
        }
        Some('$') => starting_with(words(text, '$', start), word),
        Some(_) => starting_with(reference::names(), word),
        None => Vec::new(),
    };
    (start, found)
}

/// Words with this sigil in the text, the one at the cursor left out.
fn words(text: &str, sigil: char, before: usize) -> Vec<String> {
    let text = text.get(..before).unwrap_or_default();
    let starts = text.match_indices(sigil).map(|(at, _)| at);
    starts
        .filter_map(|at| {
            let word = text.get(at..)?;
            let end = word.get(1..)?.find(|c: char| !c.is_alphanumeric() && c != '_');
            word.get(..end.map_or(word.len(), |end| end + 1)).map(str::to_owned)
        })
        .filter(|word| word.len() > 1)
        .collect()
}

/// Fields of the tracepoint whose block the text ends in.
fn fields<T: TypeSource>(text: &str, types: &T) -> Vec<String> {
    let head = text
        .rfind("tracepoint:")
        .and_then(|at| text.get(at..))
        .or_else(|| text.rfind("t:").and_then(|at| text.get(at..)));
    let Some(head) = head else { return Vec::new() };
    let point = head.split([' ', '{', ',', '/', '\n']).next().unwrap_or_default();
    let mut parts = point.split(':').skip(1);
    let (Some(category), Some(name)) = (parts.next(), parts.next()) else { return Vec::new() };
    let format = types.tracepoint(category, name);
    let names = format.into_iter().flat_map(|format| format.fields).map(|field| field.field.name);
    names.filter(|name| !name.starts_with("common_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbtrace_lang::catalog::{DataLoc, TracepointField, TracepointFormat};
    use rbtrace_probes_ebpf::types::{Field, Type};

    struct Small;

    impl Catalog for Small {
        fn kernel_functions(&self, _: Option<&str>, pattern: &str) -> Option<Vec<String>> {
            let prefix = pattern.trim_end_matches('*');
            Some(starting_with(["vfs_read", "vfs_write"], prefix))
        }
        fn tracepoints(&self, category: &str, _: &str) -> Option<Vec<(String, String)>> {
            let all = [("sched", "sched_switch"), ("syscalls", "sys_enter_openat")];
            let prefix = category.trim_end_matches('*');
            let found = all.into_iter().filter(|(c, _)| c.starts_with(prefix));
            Some(found.map(|(c, n)| (c.to_owned(), n.to_owned())).collect())
        }
        fn iterators(&self, pattern: &str) -> Option<Vec<String>> {
            Some(starting_with(["task", "task_vma", "udp"], pattern.trim_end_matches('*')))
        }
        fn lsm_hooks(&self, pattern: &str) -> Option<Vec<String>> {
            Some(starting_with(["file_open", "task_kill"], pattern.trim_end_matches('*')))
        }
        fn binaries(&self, _: &str) -> Vec<String> {
            vec!["/bin/x".into()]
        }
        fn user_functions(&self, _: &str, _: &str) -> Option<Vec<String>> {
            Some(vec!["main".into()])
        }
        fn interfaces(&self, _: &str) -> Option<Vec<String>> {
            Some(vec!["lo".into()])
        }
        fn kernel_symbol(&self, _: &str) -> Option<u64> {
            None
        }
        fn pid(&self) -> Option<u32> {
            None
        }
        fn cpid(&self) -> Option<u32> {
            None
        }
    }

    impl TypeSource for Small {
        fn tracepoint(&self, _: &str, _: &str) -> Option<TracepointFormat> {
            let field = |name: &str| TracepointField {
                field: Field { name: name.into(), offset: 0, ty: Type::Ptr, bits: None },
                c_type: "char *".into(),
                data_loc: None::<DataLoc>,
            };
            Some(TracepointFormat { fields: vec![field("common_pid"), field("filename")] })
        }
    }

    fn of(text: &str) -> Vec<String> {
        let (start, found) = complete(text, &Small, &["@session".into()]);
        found.iter().map(|candidate| format!("{}{candidate}", &text[..start])).collect()
    }

    #[test]
    fn probes() {
        assert_eq!(of("kp"), ["kprobe:", "kptr"]);
        assert_eq!(of("kprobe:vfs_r"), ["kprobe:vfs_read"]);
        assert_eq!(of("BEGIN {} tracepoint:sy"), ["BEGIN {} tracepoint:syscalls:"]);
        assert_eq!(of("t:sched:sched"), ["t:sched:sched_switch"]);
        assert_eq!(of("k:vfs_read,k:vfs_w"), ["k:vfs_read,k:vfs_write"]);
        assert_eq!(of("uprobe:x:"), ["uprobe:x:main"]);
        assert_eq!(of("xdp:l"), ["xdp:lo"]);
        assert_eq!(of("socket:l"), ["socket:lo"]);
        assert_eq!(of("tc:l"), ["tc:lo:"]);
        assert_eq!(of("tc:lo:i"), ["tc:lo:ingress"]);
        assert_eq!(of("xdp:lo:g"), ["xdp:lo:generic"]);
        assert_eq!(of("iter:t"), ["iter:task", "iter:task_vma"]);
        assert_eq!(of("lsm:f"), ["lsm:file_open"]);
        assert_eq!(of("interval:m"), ["interval:ms:"]);
    }

    #[test]
    fn in_blocks() {
        assert_eq!(of("BEGIN { prin"), ["BEGIN { print", "BEGIN { printf"]);
        assert_eq!(of("BEGIN { @s"), ["BEGIN { @session"]);
        assert_eq!(of("BEGIN { @mine = 1; @m"), ["BEGIN { @mine = 1; @mine"]);
        assert_eq!(of("BEGIN { $long = 1; $l"), ["BEGIN { $long = 1; $long"]);
        let open = "tracepoint:syscalls:sys_enter_openat { str(args.f";
        assert_eq!(of(open), [format!("{open}ilename")]);
        assert_eq!(of("BEGIN { printf(\"{\"); }\nkp"), ["BEGIN { printf(\"{\"); }\nkprobe:"]);
    }

    #[test]
    fn commands() {
        assert_eq!(of(":pr"), [":probes"]);
        assert_eq!(of(":clear @"), [":clear @session"]);
        assert_eq!(of(":load lat"), [":load latency"]);
    }
}
