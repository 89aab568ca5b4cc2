//! The man page and the completions.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

/// Writes the man page, in roff.
pub fn manual(out: &mut dyn Write) -> io::Result<()> {
    let man = clap_mangen::Man::new(Cli::command()).section("8");
    man.render_title(out)?;
    man.render_name_section(out)?;
    synopsis(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    man.render_extra_section(out)?;
    man.render_version_section(out)
}

/// The ways to call rbtrace, as `--help` has them; the generated section has every flag.
fn synopsis(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, ".SH SYNOPSIS\n.nf")?;
    let usage = Cli::command().render_usage().to_string();
    for line in usage.trim_start_matches("Usage:").lines() {
        writeln!(out, "{}", line.trim().replace('\\', "\\e").replace('-', "\\-"))?;
    }
    writeln!(out, ".fi")
}

/// Writes completions for a shell; `false` if there is no such shell.
pub fn completions(shell: &str, out: &mut dyn Write) -> io::Result<bool> {
    let Ok(shell) = shell.parse::<Shell>() else { return Ok(false) };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rbtrace", &mut script);
    out.write_all(&script)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_come_from_the_flags() {
        let mut page = Vec::new();
        manual(&mut page).expect("written to memory");
        let page = String::from_utf8_lossy(&page).into_owned();
        assert!(page.contains("emit\\-elf") && page.contains("Examples"), "{page}");
        assert!(page.contains("\nrbtrace [OPTIONS] \\-e PROGRAM [PARAM]...\n"), "{page}");

        let mut script = Vec::new();
        assert!(completions("bash", &mut script).expect("written to memory"));
        assert!(String::from_utf8_lossy(&script).contains("--dry-run"));
        assert!(!completions("csh", &mut script).expect("written to memory"));
    }
}
