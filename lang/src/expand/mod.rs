//! [`ast::Script`] to [`ast::Script`]: what it imports is taken in, calls of macros become their
//! bodies, and parameters become what was given on the command line.
//!
//! | file         | part                                                   |
//! |--------------|--------------------------------------------------------|
//! | `imports`    | other scripts and headers                              |
//! | `macros`     | macros, and where they are called                      |
//! | `stdlib`     | the standard library's own macros                      |
//! | `options`    | named parameters: `getopt("name", default)`            |
//! | `positional` | `$1`, `${1:-x}`, `$#`                                  |
//!
//! [`ast::Script`]: crate::ast::Script

use crate::ast::Script;
use crate::catalog::Loader;
use crate::diag::{Diagnostic, Severity};
use crate::span::Sources;

mod imports;
pub mod macros;
pub mod options;
mod positional;
pub mod stdlib;
pub mod visit;

pub use options::{ScriptOption, Value};

/// What the command line gives a script: words in order. Those that begin with `--` are named
/// parameters; the others are positional ones, unless they are the value of a named one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    words: Vec<String>,
}

impl Params {
    /// Parameters as the command line has them.
    pub fn new(words: &[impl AsRef<str>]) -> Self {
        Self { words: words.iter().map(|word| word.as_ref().to_owned()).collect() }
    }

    /// Whether `--help` is among them.
    pub fn ask_for_help(&self) -> bool {
        self.words.iter().any(|word| word == "--help")
    }
}

/// An expanded script.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// Without imports, macros and parameters.
    pub script: Script,
    /// The named parameters that it takes.
    pub options: Vec<ScriptOption>,
}

/// Takes in what a script imports, and replaces macros and parameters by what they stand for. No
/// [`ExprKind::Param`], [`ExprKind::ParamCount`] and [`AttachPiece::Param`], no macro and no import
/// remain.
///
/// `sources` gains the files that are imported and the expansions of macros.
///
/// # Errors
///
/// Imports that fail, macros and named parameters that are used wrongly, parameters of the command
/// line that do not fit.
///
/// [`ExprKind::Param`]: crate::ast::ExprKind::Param
/// [`ExprKind::ParamCount`]: crate::ast::ExprKind::ParamCount
/// [`AttachPiece::Param`]: crate::ast::AttachPiece::Param
pub fn expand(
    script: Script,
    sources: &mut Sources,
    loader: &dyn Loader,
    params: &Params,
) -> Result<Expanded, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut script = imports::resolve(script, sources, loader, &mut errors);
    macros::expand(&mut script, sources, &mut errors);
    let options = options::collect(&mut script, &mut errors);
    let given = options::split(&params.words, &options, &mut errors);
    options::replace(&mut script, &given.named);
    positional::expand(&mut script, &given.positional);
    if errors.iter().any(|d| d.severity == Severity::Error) {
        return Err(errors);
    }
    Ok(Expanded { script, options })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Nothing;
    use crate::dump;

    fn expanded(text: &str, positional: &[&str]) -> String {
        let mut sources = Sources::default();
        let file = sources.add("test", text);
        let script = crate::parse::parse(&sources, file).expect("it parses");
        let params = Params::new(positional);
        let expanded = expand(script, &mut sources, &Nothing, &params);
        dump::ast::script(&expanded.expect("the script is right").script)
    }

    #[test]
    fn in_expressions() {
        let values = |positional: &[&str]| {
            expanded("BEGIN { f($1, str($1), str($1 + 2), ${2:-7}, str(${2:-x}), $#) }", positional)
                .replace("probe BEGIN\n  f", "")
        };
        assert_eq!(values(&[]), "(0, str(\"\"), str((\"\" + 2)), 7, str(\"x\"), 0)\n");
        assert_eq!(
            values(&["-5", ""]),
            "((-5), str(\"-5\"), str((\"-5\" + 2)), 7, str(\"x\"), 2)\n"
        );
        assert_eq!(
            values(&["10ms", "sh"]),
            "(10000000, str(\"10ms\"), str((\"10ms\" + 2)), \"sh\", str(\"sh\"), 2)\n"
        );
        assert_eq!(values(&["7x"]), "(\"7x\", str(\"7x\"), str((\"7x\" + 2)), 7, str(\"x\"), 1)\n");
    }

    #[test]
    fn in_attach_points() {
        let probe = "uprobe:${1:-libc}:mal$2,$3:\"$4\" { }";
        assert_eq!(expanded(probe, &[]), "probe uprobe:libc:mal, :\"$4\"\n");
        assert_eq!(
            expanded(probe, &["/bin/sh", "loc", "kprobe:f"]),
            "probe uprobe:/bin/sh:malloc, kprobe:f:\"$4\"\n"
        );
    }

    #[test]
    fn everywhere() {
        let text = "let @m = hash(${1:-9}); macro m(a) { $1 } BEGIN /$1/ { if ($1) { @[$1] = (int8)$1; } \
                    for ($i : 0..$1) { $x = { $1 } } let $y = $1 ? -$1 : $1; return $1; }";
        assert!(!expanded(text, &["3"]).contains("$1"));
    }
}
