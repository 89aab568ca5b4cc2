//! Settings: the config block and the environment variables that override it.

use rbtrace_probes_ebpf::plan::{self, MissingProbes};
use rbtrace_probes_ebpf::types::StackMode;

use crate::ast::{ConfigEntry, ConfigValue};
use crate::diag::Diagnostic;

/// Settings of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of strings made by `str()`, their NUL included, and of `buf()`.
    pub max_strlen: u32,
    /// Entries of a map that is not declared.
    pub max_map_keys: u32,
    /// Attach points of the whole script.
    pub max_probes: u64,
    /// Scalar map that `nsecs(sw_tai)` and `tseries()` read the time from instead of the clock, for
    /// tests of scripts. Without `@`.
    pub clock_map: Option<String>,
    /// How stacks print that do not say.
    pub stack_mode: StackMode,
    /// Settings that matter at run time.
    pub run: plan::Config,
    /// Every setting by name with the value that it has, for the builtin `config`.
    pub shown: Vec<(&'static str, Shown)>,
}

/// The value of a setting as a script sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Int(u64),
    /// Text, or a word.
    Text(String),
}

impl Shown {
    /// A value in place of one of the same kind.
    fn given(&self, value: &Given<'_>) -> Shown {
        match (self, value) {
            (Shown::Bool(_), _) => Shown::Bool(boolean(value).unwrap_or_default()),
            (Shown::Int(_), _) => Shown::Int(int(value, 0, u64::MAX).unwrap_or_default()),
            (Shown::Text(_), Given::Int(n)) => Shown::Text(n.to_string()),
            (Shown::Text(_), Given::Text(text)) => Shown::Text((*text).to_owned()),
        }
    }
}

/// The values of settings that nothing sets.
fn defaults() -> Vec<(&'static str, Shown)> {
    let all = TABLE.iter();
    all.filter_map(|setting| Some((setting.name, setting.default.as_ref()?.shown()))).collect()
}

/// What a script says of a feature that may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// It must not be used.
    Error,
    /// Its use is warned about.
    Warn,
    /// It may be used.
    Enable,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_strlen: 1024,
            max_map_keys: 4096,
            max_probes: 1024,
            clock_map: None,
            stack_mode: StackMode::Bpftrace,
            run: plan::Config::default(),
            shown: defaults(),
        }
    }
}

impl Settings {
    /// What is said of the unstable feature that this setting is about.
    pub fn stability(&self, setting: &str) -> Stability {
        let shown = self.shown.iter().find(|(name, _)| *name == setting).map(|(_, shown)| shown);
        match shown {
            Some(Shown::Text(word)) if word == "error" => Stability::Error,
            Some(Shown::Text(word)) if word == "warn" => Stability::Warn,
            _ => Stability::Enable,
        }
    }

    fn show(&mut self, name: &str, given: &Given<'_>) {
        if let Some((_, shown)) = self.shown.iter_mut().find(|(n, _)| *n == name) {
            *shown = shown.given(given);
        }
    }
}

/// Largest string that a value may be, in bytes.
pub const MAX_STRLEN_LIMIT: u64 = 64 * 1024;

/// A value as given: a word or text from a script, or an environment variable.
enum Given<'a> {
    Int(u64),
    Text(&'a str),
}

/// Sets a setting; the error says what is expected.
type Set = fn(&mut Settings, &Given<'_>) -> Result<(), String>;

/// What a setting is if nothing sets it.
enum Initial {
    Bool(bool),
    Int(u64),
    Text(&'static str),
}

impl Initial {
    fn shown(&self) -> Shown {
        match *self {
            Initial::Bool(b) => Shown::Bool(b),
            Initial::Int(n) => Shown::Int(n),
            Initial::Text(text) => Shown::Text(text.into()),
        }
    }
}

/// A setting.
pub(crate) struct Setting {
    /// Its name in the config block; in the environment it is in capitals, with `BPFTRACE_` before.
    pub name: &'static str,
    /// Absent: nothing, and scripts do not see it.
    default: Option<Initial>,
    /// What it is for, in a sentence of Markdown; empty where it changes nothing here and is
    /// accepted so that scripts that set it run.
    pub about: &'static str,
    set: Set,
}

impl Setting {
    /// What can be given, in words.
    pub fn takes(&self) -> String {
        // No setting that has rules of its own for values takes this.
        match (self.set)(&mut Settings::default(), &Given::Text("\0")) {
            Err(expected) => expected,
            Ok(()) => "text".into(),
        }
    }

    /// What it is if nothing sets it, as it is written in the config block.
    pub fn default_value(&self) -> String {
        match &self.default {
            None => String::new(),
            Some(Initial::Bool(b)) => b.to_string(),
            Some(Initial::Int(n)) => n.to_string(),
            Some(Initial::Text(text)) => {
                match text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                    true => (*text).to_owned(),
                    false => format!("\"{text}\""),
                }
            }
        }
    }
}

const fn setting(name: &'static str, default: Initial, about: &'static str, set: Set) -> Setting {
    Setting { name, default: Some(default), about, set }
}

/// bpftrace asks before it lets a script use some parts of the language.
const fn unstable_part(name: &'static str, default: Option<Initial>) -> Setting {
    let about =
        "Whether the use of this part of the language is an error, is warned about or neither.";
    Setting { name, default, about, set: |_, v| unstable(v) }
}

/// Every setting.
pub(crate) const TABLE: &[Setting] = &[
    setting(
        "cpp_demangle",
        Initial::Bool(true),
        "Show C++ and Rust functions by the names that their sources have.",
        |s, v| boolean(v).map(|b| s.run.cpp_demangle = b),
    ),
    setting("lazy_symbolication", Initial::Bool(false), "", |_, v| boolean(v).map(drop)),
    setting(
        "print_maps_on_exit",
        Initial::Bool(true),
        "Print the maps that still hold something at the end.",
        |s, v| boolean(v).map(|b| s.run.print_maps_on_exit = b),
    ),
    setting("use_blazesym", Initial::Bool(true), "", |_, v| boolean(v).map(drop)),
    setting(
        "show_debug_info",
        Initial::Bool(true),
        "Show source lines and inlined functions in user stacks, where there is debug information.",
        |s, v| boolean(v).map(|b| s.run.show_debug_info = b),
    ),
    setting("log_size", Initial::Int(1_000_000), "", |_, v| int(v, 0, u64::MAX).map(drop)),
    setting("max_bpf_progs", Initial::Int(1024), "", |_, v| int(v, 0, u64::MAX).map(drop)),
    setting(
        "max_cat_bytes",
        Initial::Int(10_240),
        "Bytes that `cat()` prints of a file at most.",
        |s, v| int(v, 1, u64::MAX).map(|n| s.run.max_cat_bytes = n),
    ),
    setting(
        "max_map_keys",
        Initial::Int(4096),
        "Entries of a map that is not declared.",
        |s, v| {
            s.max_map_keys = int(v, 1, u64::from(u32::MAX))? as u32;
            Ok(())
        },
    ),
    setting("max_probes", Initial::Int(1024), "Attach points of the whole script.", |s, v| {
        int(v, 1, u64::MAX).map(|n| s.max_probes = n)
    }),
    setting(
        "max_strlen",
        Initial::Int(1024),
        "Bytes of the strings that `str()` makes, their NUL included, and of `buf()`.",
        |s, v| {
            s.max_strlen = int(v, 1, MAX_STRLEN_LIMIT)? as u32;
            Ok(())
        },
    ),
    setting("on_stack_limit", Initial::Int(32), "", |_, v| int(v, 0, u64::MAX).map(drop)),
    setting(
        "perf_rb_pages",
        Initial::Int(0),
        "Pages of each CPU's buffer for the packets of `skboutput()`; 0: as many as are usual.",
        |s, v| {
            s.run.perf_rb_pages = int(v, 0, MOST_PAGES)? as u32;
            Ok(())
        },
    ),
    setting(
        "str_trunc_trailer",
        Initial::Text(".."),
        "What is printed behind a string that was cut.",
        |s, v| {
            s.run.str_trunc_trailer = match v {
                Given::Int(n) => n.to_string(),
                Given::Text(t) => (*t).to_owned(),
            };
            Ok(())
        },
    ),
    setting(
        "missing_probes",
        Initial::Text("error"),
        "What to do about attach points that are not there.",
        |s, v| {
            s.run.missing_probes = match text(v) {
                "error" => MissingProbes::Error,
                "warn" => MissingProbes::Warn,
                "ignore" => MissingProbes::Ignore,
                _ => return Err("error, warn or ignore".into()),
            };
            Ok(())
        },
    ),
    setting(
        "stack_mode",
        Initial::Text("bpftrace"),
        "How stacks print that do not say.",
        |s, v| {
            s.stack_mode = match text(v) {
                "bpftrace" => StackMode::Bpftrace,
                "perf" => StackMode::Perf,
                "raw" => StackMode::Raw,
                "build_id" => StackMode::BuildId,
                _ => return Err("bpftrace, perf, raw or build_id".into()),
            };
            Ok(())
        },
    ),
    setting("cache_user_symbols", Initial::Text("PER_PID"), "", |_, v| match text(v) {
        "PER_PID" | "PER_PROGRAM" | "NONE" => Ok(()),
        _ => Err("PER_PID, PER_PROGRAM or NONE".into()),
    }),
    setting(
        "license",
        Initial::Text("GPL"),
        "The licence that the kernel is told; it lets only programs with one of these trace.",
        |s, v| {
            if !LICENSES.contains(&text(v)) {
                return Err(format!("one of {}", LICENSES.join(", ")));
            }
            s.run.license = text(v).to_owned();
            Ok(())
        },
    ),
    unstable_part("unstable_import_statement", Some(Initial::Text("enable"))),
    unstable_part("unstable_tseries", Some(Initial::Text("warn"))),
    unstable_part("unstable_typeinfo", Some(Initial::Text("enable"))),
    unstable_part("unstable_dw_ustack", Some(Initial::Text("warn"))),
    unstable_part("unstable_import", None),
    unstable_part("unstable_map_decl", None),
    unstable_part("unstable_macro", None),
    unstable_part("unstable_addr", None),
    Setting {
        name: "dummy_ts_map",
        default: None,
        about: "A scalar map that `nsecs(sw_tai)` and `tseries()` read the time from, in tests of scripts.",
        set: |s, v| {
            s.clock_map = Some(text(v).trim_start_matches('@').to_owned());
            Ok(())
        },
    },
];

/// Settings of features that were unstable once and always are there now.
const DEPRECATED: &[&str] =
    &["unstable_import", "unstable_map_decl", "unstable_macro", "unstable_addr"];

/// Most pages of each CPU's perf buffer.
const MOST_PAGES: u64 = 1 << 16;

/// Licences that the kernel takes for compatible with the GPL (include/linux/license.h).
const LICENSES: &[&str] =
    &["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// The settings of a script: defaults, then the config block, then `env`.
///
/// `env` holds `BPFTRACE_NAME` and `RBTRACE_NAME` variables; those that name no setting are none
/// of our business.
pub fn read(
    entries: &[ConfigEntry],
    env: &[(String, String)],
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Settings {
    let mut settings = Settings::default();
    for entry in entries {
        let name = canonical(&entry.name.name);
        let Some(setting) = find(&name) else {
            let error = Diagnostic::error(
                "unknown-setting",
                entry.name.span,
                format!("there is no setting `{}`", entry.name.name),
            );
            errors.push(super::did_you_mean(error, &name, TABLE.iter().map(|s| s.name)));
            continue;
        };
        let given = match &entry.value {
            ConfigValue::Int(n) => Given::Int(*n),
            ConfigValue::Str(t) | ConfigValue::Word(t) => Given::Text(t),
        };
        settings.show(&name, &given);
        if DEPRECATED.contains(&name.as_str()) {
            warnings.push(
                Diagnostic::warning(
                    "deprecated-setting",
                    entry.span,
                    format!("`{name}` has no effect"),
                )
                .note("what it was about is always there"),
            );
        }
        if let Err(expected) = (setting.set)(&mut settings, &given) {
            errors.push(
                Diagnostic::error(
                    "bad-setting",
                    entry.span,
                    format!("this is no value for `{name}`"),
                )
                .label(format!("expected {expected}")),
            );
        }
    }
    for (variable, value) in env {
        let Some(name) = env_name(variable) else { continue };
        let Some(setting) = find(&name) else { continue };
        settings.show(&name, &Given::Text(value));
        if let Err(expected) = (setting.set)(&mut settings, &Given::Text(value)) {
            let message =
                format!("environment variable {variable}: expected {expected}, found `{value}`");
            let mut error = Diagnostic::error("bad-setting", Default::default(), message)
                .help(format!("unset {variable}, or give it another value"));
            // The script is not at fault.
            error.labels.clear();
            errors.push(error);
        }
    }
    settings
}

fn find(name: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.name == name)
}

/// The lower-case name without the prefix of environment variables.
fn canonical(name: &str) -> String {
    env_name(name).unwrap_or_else(|| name.to_ascii_lowercase())
}

fn env_name(variable: &str) -> Option<String> {
    let upper = variable.to_ascii_uppercase();
    let name = upper.strip_prefix("BPFTRACE_").or_else(|| upper.strip_prefix("RBTRACE_"))?;
    Some(name.to_ascii_lowercase())
}

fn text<'a>(given: &Given<'a>) -> &'a str {
    match given {
        Given::Int(_) => "",
        Given::Text(text) => text,
    }
}

fn int(given: &Given<'_>, min: u64, max: u64) -> Result<u64, String> {
    let n = match given {
        Given::Int(n) => Some(*n),
        Given::Text(text) => super::number(text),
    };
    n.filter(|n| (min..=max).contains(n)).ok_or_else(|| match max {
        u64::MAX => format!("a number of at least {min}"),
        _ => format!("a number from {min} to {max}"),
    })
}

fn boolean(given: &Given<'_>) -> Result<bool, String> {
    match given {
        Given::Int(n) => Ok(*n != 0),
        Given::Text("1" | "true") => Ok(true),
        Given::Text("0" | "false") => Ok(false),
        Given::Text(_) => Err("true or false".into()),
    }
}

fn unstable(given: &Given<'_>) -> Result<(), String> {
    match text(given) {
        "error" | "warn" | "enable" => Ok(()),
        _ => Err("error, warn or enable".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_wins() {
        let env = [("BPFTRACE_MAX_STRLEN".to_owned(), "64".to_owned())];
        let mut errors = Vec::new();
        let settings = read(&[], &env, &mut errors, &mut Vec::new());
        assert_eq!(settings.max_strlen, 64);
        let env = [("BPFTRACE_MAX_STRLEN".to_owned(), "lots".to_owned())];
        read(&[], &env, &mut errors, &mut Vec::new());
        assert_eq!(errors.len(), 1);
        assert!(errors[0].labels.is_empty(), "no place in the script is wrong");
    }
}
