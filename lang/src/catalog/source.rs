//! Lines of source that attach points name: `uprobe:BINARY@FILE:LINE`.

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceLine {
    /// Path of the file, or its last parts.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1; absent for any.
    pub column: Option<u64>,
}

/// Why a line has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceLineError {
    /// The program has no debug information.
    NoDebugInfo,
    /// It is not made of a file of this name.
    NoFile {
        /// Names of the files that it is made of, without folders.
        names: Vec<String>,
    },
    /// Several files have this name.
    Ambiguous {
        /// Their paths.
        files: Vec<String>,
    },
    /// The line has no code, or not in this column.
    NoCode {
        /// The nearest lines that have.
        nearest: Vec<u64>,
    },
}
