//! Reading what is to be run: a script, or an object compiled before.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rbtrace_lang::diag::suggest;
use rbtrace_probes_ebpf::plan::Object;
use rbtrace_runtime::read_object;

use crate::cli::Input;

/// Most bytes that are read of a file: objects are far smaller, scripts smaller still.
const MOST: u64 = 64 << 20;
const ELF_MAGIC: &[u8] = b"\x7fELF";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Program {
    /// A script.
    Script {
        /// Its name in messages.
        name: String,
        /// The text.
        text: String,
    },
    /// An ELF file.
    Object {
        /// Its name in messages.
        name: String,
        /// Its content.
        elf: Vec<u8>,
    },
}

/// Reads the input.
pub fn read(input: &Input) -> Result<Program> {
    let script = |name: &str, text: &str| Program::Script { name: name.into(), text: text.into() };
    match input {
        // bpftrace's name for it in messages, which tools look for.
        Input::Text(text) => Ok(script("stdin", text)),
        Input::BuiltIn(built_in) => Ok(script(&format!("{}.rt", built_in.name), built_in.text)),
        Input::Stdin => program("stdin", bytes(io::stdin().lock(), "standard input")?),
        Input::File(path) => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| cannot_open(path))?;
            program(&name, bytes(file, &name)?)
        }
    }
}

/// Reads what is to be an object that rbtrace wrote.
pub fn object(name: &str, elf: &[u8]) -> Result<Object> {
    read_object(elf).with_context(|| format!("cannot use {name}"))
}

/// Says that an object takes no parameters.
pub fn no_params(name: &str) -> String {
    format!("{name} takes no parameters: those of its script were set when it was compiled")
}

fn cannot_open(path: &Path) -> String {
    let name = path.display().to_string();
    let mut message = format!("cannot open {name}");
    // A word without a slash or a dot was perhaps meant to be one of these.
    if !name.contains('/') && path.extension().is_none() {
        let names = || crate::scripts::ALL.iter().map(|script| script.name);
        let hint = suggest::did_you_mean(&name, names()).unwrap_or_else(|| {
            format!("the built-in scripts are {}", names().collect::<Vec<_>>().join(", "))
        });
        message.push_str(&format!(" ({hint})"));
    }
    message
}

fn bytes(from: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MOST {
        bail!("{name} has more than {} MiB: neither a script nor an object", MOST >> 20);
    }
    Ok(bytes)
}

fn program(name: &str, bytes: Vec<u8>) -> Result<Program> {
    if bytes.starts_with(ELF_MAGIC) {
        return Ok(Program::Object { name: name.into(), elf: bytes });
    }
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            // Some editors put it before what they write.
            if text.starts_with(BYTE_ORDER_MARK) {
                text.remove(0);
            }
            Ok(Program::Script { name: name.into(), text })
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            bail!("{name} is no script: byte {at} is not part of UTF-8 text")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_scripts_from_objects_and_from_neither() {
        let text = Program::Script { name: "x".into(), text: "é".into() };
        assert_eq!(program("x", "é".into()).expect("a script"), text);
        assert_eq!(program("x", "\u{feff}é".into()).expect("a script"), text);
        let elf = b"\x7fELF\x02".to_vec();
        assert_eq!(
            program("x", elf.clone()).expect("an object"),
            Program::Object { name: "x".into(), elf }
        );
        let error = program("x", vec![b'a', 0xff]).expect_err("not UTF-8").to_string();
        assert!(error.contains("byte 1"), "{error}");
    }

    #[test]
    fn reading_what_never_ends_ends() {
        assert!(bytes(io::repeat(0), "zeros").is_err());
    }
}
