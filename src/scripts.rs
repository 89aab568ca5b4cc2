//! The built-in scripts, found by name where there is no file with that name.

use std::io::{self, Write};

/// A built-in script.
#[derive(Debug, PartialEq, Eq)]
pub struct Script {
    /// Name on the command line: the file's, without `.rt`.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
}

macro_rules! scripts {
    ($($name:literal),*) => {
        &[$(Script { name: $name, text: include_str!(concat!("../scripts/", $name, ".rt")) }),*]
    };
}

/// All of them, sorted by name.
pub const ALL: &[Script] = scripts!["do_sys_open", "latency", "packet_count"];

/// The script with this name.
pub fn find(name: &str) -> Option<&'static Script> {
    ALL.iter().find(|script| script.name == name)
}

impl Script {
    /// What it does: the first sentence of the comment at its top.
    pub fn about(&self) -> &'static str {
        self.comment().next().unwrap_or_default()
    }

    /// How it is called.
    pub fn usage(&self) -> &'static str {
        self.comment().find(|line| line.starts_with("rbtrace ")).unwrap_or_default()
    }

    fn comment(&self) -> impl Iterator<Item = &'static str> {
        let lines = self.text.lines().filter(|line| !line.starts_with("#!"));
        lines.map_while(|line| line.strip_prefix("//")).map(str::trim)
    }
}

/// Writes the list of scripts.
pub fn list(out: &mut dyn Write) -> io::Result<()> {
    for script in ALL {
        writeln!(out, "{}\n    {}", script.usage(), script.about())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_it_does() {
        for script in ALL {
            assert!(script.about().ends_with('.'), "{}", script.name);
            assert!(script.usage().contains(script.name), "{}", script.name);
            assert_eq!(find(script.name), Some(script));
        }
    }
}
