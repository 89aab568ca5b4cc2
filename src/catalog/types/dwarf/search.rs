//! Where the files are that debug information consists of.

use std::path::{Path, PathBuf};

use object::Object as _;
use rbtrace_runtime::symbols::{Binary, separate};

use super::file::DebugFile;

/// A file that `-gsplit-dwarf` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its path, relative to the directory of the compilation.
    pub name: PathBuf,
    /// The directory of the compilation.
    pub directory: Option<PathBuf>,
}

/// The debug information of a program: in itself, or in a file of its own.
pub fn main(binary: &Path, folders: &[PathBuf]) -> Option<DebugFile> {
    let program = Binary::open(binary).ok()?;
    match program.has_debug_info() {
        true => DebugFile::whole(program),
        false => separate::files(&program, folders).find_map(DebugFile::whole),
    }
}

/// The file that holds what several programs share (`.gnu_debugaltlink`).
pub fn shared(main: &Binary, folders: &[PathBuf]) -> Option<DebugFile> {
    let file = object::File::parse(main.data()).ok()?;
    let (name, id) = file.gnu_debugaltlink().ok().flatten()?;
    let name = Path::new(std::str::from_utf8(name).ok()?);
    let by_name = separate::beside(main.path(), name);
    let by_id = separate::build_id_path(id).into_iter().flat_map(|path| {
        let folders = separate::searched(folders).filter(|folder| folder.is_absolute());
        folders.map(move |folder| folder.join(&path))
    });
    let fits = |file: &DebugFile| separate::build_id(file.binary()).is_none_or(|own| own == id);
    std::iter::once(by_name)
        .chain(by_id)
        .filter_map(|candidate| DebugFile::whole(Binary::open(&candidate).ok()?))
        .find(fits)
}

/// The `.dwp` file beside a program.
pub fn package(binary: &Path) -> Option<DebugFile> {
    let mut path = binary.as_os_str().to_owned();
    path.push(".dwp");
    DebugFile::package(Path::new(&path))
}

/// A `.dwo` file: where it was made, or beside the program.
pub fn split(wanted: &Wanted, binary: &Path) -> Option<DebugFile> {
    let made = wanted.directory.as_deref().unwrap_or(Path::new("")).join(&wanted.name);
    let beside = separate::beside(binary, &wanted.name);
    let alone = wanted.name.file_name().map(|name| separate::beside(binary, Path::new(name)));
    [Some(made), Some(beside), alone].into_iter().flatten().find_map(|path| DebugFile::split(&path))
}
