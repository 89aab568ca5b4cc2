//! Imports: what other scripts define is taken in, before what the importing script has.

use crate::ast::{Block, CDefinition, Import, Item, Script, Stmt, StmtKind};
use crate::catalog::{ImportError, Imported, Loader};
use crate::diag::Diagnostic;
use crate::parse;
use crate::span::Sources;

use super::stdlib;
use super::visit::{self, VisitMut};

/// Most files that may be imported one by another.
const MOST_NESTED: usize = 64;

/// Takes in what a script imports, and what that imports.
pub(super) fn resolve(
    mut script: Script,
    sources: &mut Sources,
    loader: &dyn Loader,
    errors: &mut Vec<Diagnostic>,
) -> Script {
    let imports = take_imports(&mut script);
    if imports.is_empty() {
        return script;
    }
    let mut importer =
        Importer { sources, loader, errors, done: Vec::new(), open: Vec::new(), into: empty() };
    for import in &imports {
        importer.import(import);
    }
    let Script { mut definitions, mut items, .. } = importer.into;
    definitions.append(&mut script.definitions);
    items.append(&mut script.items);
    Script { definitions, items, ..script }
}

fn empty() -> Script {
    Script {
        definitions: Vec::new(),
        config: None,
        imports: Vec::new(),
        items: Vec::new(),
        comments: Vec::new(),
    }
}

/// The imports of a script, those in blocks included.
fn take_imports(script: &mut Script) -> Vec<Import> {
    struct InBlocks(Vec<Import>);
    impl VisitMut for InBlocks {
        fn block(&mut self, block: &mut Block) {
            block.stmts.retain_mut(|stmt: &mut Stmt| match &stmt.kind {
                StmtKind::Import(import) => {
                    self.0.push(import.clone());
                    false
                }
                _ => true,
            });
            visit::block(self, block);
        }
    }
    let mut found = InBlocks(std::mem::take(&mut script.imports));
    found.script(script);
    found.0
}

struct Importer<'a> {
    sources: &'a mut Sources,
    loader: &'a dyn Loader,
    errors: &'a mut Vec<Diagnostic>,
    /// Paths that were imported: a second import of one changes nothing.
    done: Vec<String>,
    /// Paths of the scripts that are being imported, the innermost last.
    open: Vec<String>,
    into: Script,
}

impl Importer<'_> {
    fn import(&mut self, import: &Import) {
        if stdlib::has(&import.name) {
            return;
        }
        let from = self.sources.get(import.span.file).map(|source| source.name.clone());
        match self.loader.load(&import.name, from.as_deref().unwrap_or_default()) {
            Ok(Imported::Directory(paths)) => {
                for path in paths {
                    match self.loader.load(&path, "") {
                        Ok(Imported::Directory(_)) => {}
                        Ok(file) => self.file(file, import),
                        Err(error) => self.errors.push(failed(import, &error)),
                    }
                }
            }
            Ok(file) => self.file(file, import),
            Err(error) => self.errors.push(failed(import, &error)),
        }
    }

    fn file(&mut self, file: Imported, import: &Import) {
        match file {
            Imported::Script { path, text } => self.script(path, text, import),
            Imported::Header { path } => {
                if !self.done.contains(&path) {
                    let text = format!("#include \"{path}\"");
                    self.into.definitions.push(CDefinition { text, span: import.span });
                    self.done.push(path);
                }
            }
            Imported::Directory(_) => {}
        }
    }

    fn script(&mut self, path: String, text: String, import: &Import) {
        if let Some(at) = self.open.iter().position(|open| *open == path) {
            let chain = self.open.get(at..).unwrap_or_default().join(" > ");
            self.errors.push(
                Diagnostic::error(
                    "import-cycle",
                    import.span,
                    format!("{path} comes to import itself"),
                )
                .note(format!("the chain of imports is {chain} > {path}"))
                .help("move what both need into a third file"),
            );
            return;
        }
        if self.done.contains(&path) {
            return;
        }
        if self.open.len() >= MOST_NESTED {
            let message = format!("more than {MOST_NESTED} files import one another");
            self.errors.push(Diagnostic::error("import-failed", import.span, message));
            return;
        }
        self.done.push(path.clone());
        let file = self.sources.add(path.clone(), text);
        let mut script = match parse::parse(self.sources, file) {
            Ok(script) => script,
            Err(errors) => return self.errors.extend(errors),
        };
        if let Some(entry) = script.settings().first() {
            self.errors.push(
                Diagnostic::error(
                    "import-config",
                    entry.span,
                    "a script that is imported has no config block",
                )
                .also(import.span, "imported here")
                .help("put the settings into the script that is run"),
            );
        }
        self.open.push(path);
        for import in take_imports(&mut script) {
            self.import(&import);
        }
        self.open.pop();
        self.into.definitions.append(&mut script.definitions);
        // A function of that name would be another one; probes, maps and macros add up.
        self.into.items.extend(script.items.into_iter().filter(
            |item: &Item| !matches!(item, Item::Probe(probe) if probe.attach_points.is_empty()),
        ));
    }
}

fn failed(import: &Import, error: &ImportError) -> Diagnostic {
    let name = &import.name;
    match error {
        ImportError::NotFound { looked_in } => {
            let error = Diagnostic::error(
                "import-failed",
                import.span,
                format!("there is no `{name}` to import"),
            );
            match looked_in.as_slice() {
                [] => error,
                folders => error.note(format!("looked in {}", folders.join(", "))),
            }
        }
        ImportError::Unreadable(why) => Diagnostic::error(
            "import-failed",
            import.span,
            format!("`{name}` cannot be imported: {why}"),
        ),
        ImportError::WorldWritable(path) => Diagnostic::error(
            "import-failed",
            import.span,
            format!("`{name}` is not imported: anybody can write to {path}"),
        )
        .note("a script runs with the rights of the one who starts it")
        .help(format!("take the right away: chmod o-w {path}")),
        ImportError::NeedsCompiler => Diagnostic::error(
            "import-unsupported",
            import.span,
            format!("`{name}` is C code for the kernel, and rbtrace has no compiler for C"),
        )
        .help("write it as a macro: macro name(a, b) { ... }"),
        ImportError::UnknownKind => Diagnostic::error(
            "import-unsupported",
            import.span,
            format!("`{name}` is neither a script nor a C header"),
        )
        .note("scripts end in .bt or .rt, headers in .h"),
    }
}
