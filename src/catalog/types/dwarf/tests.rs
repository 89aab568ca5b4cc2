//! Over a small program that the system's C compiler makes in several ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rbtrace_lang::catalog::ctypes::CRecord;
use rbtrace_runtime::symbols::Binary;

use super::*;

/// A folder that goes when it is done with.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rbtrace-dwarf-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    /// The program, compiled with these flags beyond the usual ones.
    fn program(&self, flags: &[&str]) -> String {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/types/dwarf/fixture.c");
        let source = fs::copy(source, self.0.join("fixture.c"));
        assert!(source.is_ok(), "{source:?}");
        self.run("cc", &[&["-O0", "-o", "program", "fixture.c"], flags].concat());
        self.path("program")
    }

    fn run(&self, command: &str, args: &[&str]) {
        let output = Command::new(command).args(args).current_dir(&self.0).output();
        let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command} {args:?}: {said}");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn int(size: u8, signed: bool) -> CType {
    CType::Int { size, signed }
}

fn record(types: &UserTypes, program: &str, tag: Tag, name: &str) -> CRecord {
    let at = types.find(program, tag, name).unwrap_or_else(|| panic!("no {name}"));
    match types.describe(at) {
        Some(CType::Record(record)) => record,
        other => panic!("{other:?}"),
    }
}

/// All there is to know of the program.
fn check(types: &UserTypes, program: &str) {
    let shape = record(types, program, Tag::Struct, "shape");
    let field = |name: &str| shape.fields.iter().find(|f| f.name == name).expect("a field");
    let array = |elem, len| CType::Array { elem: Box::new(elem), len };
    assert_eq!(shape.size, Some(80));
    assert_eq!(field("name").ty, array(CType::Char, 12));
    assert_eq!(field("bytes").ty, array(int(1, false), 3));
    assert_eq!(field("grid").ty, array(array(int(2, true), 5), 2));
    assert_eq!((field("name").bit_offset, field("name").bits), (128, None));
    let (flags, kind) = (field("flags"), field("kind"));
    assert_eq!((flags.bits, kind.bits), (Some(3), Some(7)));
    assert_eq!((flags.bit_offset, kind.bit_offset), (416, 419));
    assert_eq!(field("filled").ty, CType::Bool);
    assert_eq!(field("draw").ty, CType::Pointer(Box::new(CType::Function)));
    assert_eq!(field("tail").ty, array(CType::Char, 0));
    let CType::Ref(point) = field("corner").ty else { panic!("a reference") };
    let Some(CType::Record(point)) = types.describe(point) else { panic!("a struct") };
    assert_eq!(point.name, "point");
    assert_eq!(point.fields.iter().map(|f| f.bit_offset).collect::<Vec<_>>(), [0, 32]);
    let CType::Ref(inner) = field("").ty else { panic!("a reference") };
    let Some(CType::Record(inner)) = types.describe(inner) else { panic!("a union") };
    assert!(inner.union && inner.name.is_empty());
    assert_eq!(
        inner.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["count", "ratio"]
    );
    assert_eq!(inner.fields.last().map(|f| &f.ty), Some(&CType::Float { size: 4 }));

    let color = types.find(program, Tag::Enum, "color").expect("an enum");
    let Some(CType::Enum(color)) = types.describe(color) else { panic!("an enum") };
    let variants = [("RED", -1), ("GREEN", 0), ("BLUE", 7)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!((color.variants.as_slice(), color.signed), (&variants[..], true));

    assert_eq!(record(types, program, Tag::Union, "number").size, Some(8));
    let named = |name| types.describe(types.find(program, Tag::Name, name).expect("a name"));
    assert_eq!(named("counter_t"), Some(int(8, false)));
    assert_eq!(types.find(program, Tag::Struct, "no_such_struct"), None);

    let area = types.function(program, "area").expect("a function");
    let names: Vec<_> = area.params.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["shape", "color", "letter", "by_value", "scale"]);
    assert_eq!(area.result, int(8, true));
    assert_eq!(types.function(program, "nothing").expect("a function").result, CType::Void);
    assert_eq!(types.function(program, "no_such_function"), None);
    assert_eq!(
        types.parameters(program, "area").expect("a function"),
        [
            "const struct shape* shape",
            "enum color color",
            "char letter",
            "struct point by_value",
            "double scale"
        ]
    );
    assert_eq!(types.parameters(program, "main").expect("main"), ["int argc", "char** argv"]);

    let line = |file: &str, line| SourceLine { file: file.into(), line, column: None };
    let function = |name| Binary::open(Path::new(program)).and_then(|b| b.function(name));
    let area = function("area").expect("a symbol");
    assert_eq!(types.source_line(program, &line("fixture.c", 37)), Ok(area.address));
    let inside = types.source_line(program, &line("fixture.c", 38)).expect("a line");
    assert!(inside > area.address && inside < area.address + area.size);
    let error = |at| types.source_line(program, &at).expect_err("no such line");
    let nothing = error(line("fixture.c", 30));
    assert!(matches!(nothing, SourceLineError::NoCode { .. }), "{nothing:?}");
    let SourceLineError::NoFile { names } = error(line("texture.c", 30)) else { panic!() };
    assert!(names.contains(&"fixture.c".to_owned()), "{names:?}");
}

#[test]
fn every_way_to_compile_says_the_same() {
    for flags in [
        &["-gdwarf-5"][..],
        &["-gdwarf-4"],
        &["-gdwarf-2", "-gstrict-dwarf"],
        &["-gdwarf-4", "-fdebug-types-section"],
        &["-gdwarf-5", "-fdebug-types-section"],
        &["-g", "-gz=zlib"],
        &["-gdwarf-5", "-gsplit-dwarf"],
        &["-gdwarf-4", "-gsplit-dwarf"],
    ] {
        let folder = Folder::new();
        let program = folder.program(flags);
        check(&UserTypes::default(), &program);
    }
}

#[test]
fn separate_files_are_found() {
    let folder = Folder::new();
    let program = folder.program(&["-g", "-Wl,--build-id"]);
    fs::create_dir(folder.path("elsewhere")).expect("a folder");
    folder.run("objcopy", &["--only-keep-debug", "program", "elsewhere/program.debug"]);
    folder.run("objcopy", &["--strip-debug", "program"]);
    assert_eq!(UserTypes::default().function(&program, "area"), None);
    assert_eq!(UserTypes::default().missing_parts(&program), None);
    for given in [folder.path("elsewhere"), "elsewhere".into()] {
        check(&UserTypes::new(vec!["/no/such/folder".into(), given.into()]), &program);
    }
    // Beside it, where no flag is needed.
    fs::rename(folder.path("elsewhere"), folder.path(".debug")).expect("renamed");
    check(&UserTypes::default(), &program);
    // That of another program is not taken.
    let other = Folder::new();
    let program = other.program(&["-g", "-DOTHER", "-Wl,--build-id=0x0102030405"]);
    other.run("objcopy", &["--strip-debug", "program"]);
    fs::rename(folder.path(".debug"), other.path(".debug")).expect("renamed");
    assert_eq!(UserTypes::default().missing_parts(&program), None);
}

#[test]
fn a_lost_part_is_named() {
    let folder = Folder::new();
    let program = folder.program(&["-g", "-gsplit-dwarf"]);
    for entry in fs::read_dir(&folder.0).expect("a folder").flatten() {
        if entry.path().extension().is_some_and(|e| e == "dwo") {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    let types = UserTypes::default();
    assert_eq!(types.missing_parts(&program).expect("some is there").len(), 1);
    assert_eq!(types.function(&program, "area"), None);
}

#[test]
fn damaged_files_never_panic() {
    let folder = Folder::new();
    let whole = fs::read(folder.program(&["-g"])).expect("the program");
    let damaged = folder.path("damaged");
    let look = |data: &[u8]| {
        fs::write(&damaged, data).expect("written");
        let types = UserTypes::default();
        let _ = types.function(&damaged, "area");
        let _ = types.parameters(&damaged, "area");
        if let Some(at) = types.find(&damaged, Tag::Struct, "shape") {
            let _ = types.describe(at);
        }
        let line = SourceLine { file: "fixture.c".into(), line: 38, column: None };
        let _ = types.source_line(&damaged, &line);
    };
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        look(&whole[..at]);
    }
    // The same numbers each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..100 {
        let mut data = whole.clone();
        for _ in 0..64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // The ELF header stays, so that what is behind it is read.
            let at = 64 + state as usize % (data.len() - 64);
            data[at] = (state >> 32) as u8;
        }
        look(&data);
    }
}

#[test]
fn places_survive_as_numbers() {
    for place in [
        Place { part: 0, in_types: false, offset: 11 },
        Place { part: 1_000_000, in_types: true, offset: (1 << 43) - 1 },
    ] {
        let number = place.to_number().expect("it fits");
        assert_eq!(Place::from_number(number), place);
    }
    assert_eq!(Place { part: 1 << 20, in_types: false, offset: 0 }.to_number(), None);
}
