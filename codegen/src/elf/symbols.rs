//! Names of the object's symbols. Functions have names of their own: a script may call a map as
//! rbtrace calls a program.

use std::collections::HashSet;

use super::Error;
use crate::btf::strings::is_identifier;

/// The names that are taken.
#[derive(Debug, Default)]
pub struct Names {
    functions: HashSet<String>,
    variables: HashSet<String>,
}

impl Names {
    /// Takes `name` for a map or variable. BTF names it too, so the kernel's rules hold: an
    /// identifier, in which there may be dots.
    pub fn variable(&mut self, name: &str) -> Result<(), Error> {
        if !is_identifier(&name.replace('.', "_")) {
            return Err(Error::InvalidName(name.to_owned()));
        }
        take(&mut self.variables, name)
    }

    /// Takes `name` for a function.
    pub fn function(&mut self, name: &str) -> Result<(), Error> {
        take(&mut self.functions, name)
    }

    /// Takes `name` for a variable, with underscores after it if it is taken.
    pub fn free(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.variables.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

fn take(names: &mut HashSet<String>, name: &str) -> Result<(), Error> {
    if names.insert(name.to_owned()) {
        Ok(())
    } else {
        Err(Error::DuplicateSymbol(name.to_owned()))
    }
}
