//! C headers, by the names under which scripts include them.

use std::fs;
use std::path::{Path, PathBuf};

use rbtrace_lang::ast::CDefinition;
use rbtrace_lang::span::Span;

/// Where a system keeps its headers, after the folder of those for its architecture.
const SYSTEM: [&str; 2] = ["/usr/local/include", "/usr/include"];

/// Where headers are looked for, and which are included without the script's saying so.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    folders: Vec<PathBuf>,
    first: Vec<String>,
}

impl Headers {
    /// `folders` are searched before the system's; `first` are included before what the script
    /// includes, in order.
    pub fn new(folders: Vec<PathBuf>, first: Vec<String>) -> Self {
        Self { folders, first }
    }

    /// The text of a header; `quoted` names are looked for in the current folder first. `None`: there
    /// is no such file. Bytes that are not UTF-8 are replaced.
    pub fn find(&self, name: &str, quoted: bool) -> Option<String> {
        let architecture = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
        let current = quoted.then(|| Path::new("."));
        let folders = current.into_iter().chain(self.folders.iter().map(PathBuf::as_path));
        let system = [architecture.as_str()].into_iter().chain(SYSTEM).map(Path::new);
        // A name with its whole path stands for itself, whatever it is joined to.
        folders.chain(system).find_map(|folder| read(&folder.join(name)))
    }

    /// The lines that include the headers of `--include`, as if they were the first of a file.
    pub fn first(&self, file: u32) -> impl Iterator<Item = CDefinition> + '_ {
        let span = Span { start: 0, end: 0, file };
        let line = move |name| CDefinition { text: format!("#include <{name}>"), span };
        self.first.iter().map(line)
    }
}

/// What cannot be read, or would not end, is no header.
fn read(path: &Path) -> Option<String> {
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let bytes = if is_file { fs::read(path).ok()? } else { return None };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_in_order() {
        let root = std::env::temp_dir().join(format!("rbtrace-headers-{}", std::process::id()));
        let folder = |name: &str| {
            let folder = root.join(name);
            fs::create_dir_all(&folder).expect("a folder");
            folder
        };
        let (first, second) = (folder("first"), folder("second"));
        fs::write(first.join("a.h"), "1").expect("a file");
        fs::write(second.join("a.h"), "2").expect("a file");
        fs::write(second.join("b.h"), "3").expect("a file");
        let whole = second.join("a.h").display().to_string();
        let headers = Headers::new(vec![first, second], vec!["b.h".into()]);
        assert_eq!(headers.find("a.h", false).as_deref(), Some("1"));
        assert_eq!(headers.find("b.h", true).as_deref(), Some("3"));
        assert_eq!(headers.find(&whole, true).as_deref(), Some("2"));
        assert_eq!(headers.find("second", false), None);
        assert_eq!(headers.find(".", true), None, "a folder is no header");
        let lines: Vec<String> = headers.first(0).map(|line| line.text).collect();
        assert_eq!(lines, ["#include <b.h>"]);
        fs::remove_dir_all(&root).expect("the folder");
    }
}
