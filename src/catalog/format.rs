//! A tracepoint's `format` file: the fields of its record.
//!
//! A line of it reads `field:const char * filename;\toffset:24;\tsize:8;\tsigned:0;`
//! (Documentation/trace/events.rst, "Event formats").

use rbtrace_lang::catalog::{DataLoc, TracepointField, TracepointFormat};
use rbtrace_probes_ebpf::types::{Field, Type};

/// Reads a `format` file. Lines that make no sense are skipped.
pub fn parse(text: &str) -> TracepointFormat {
    TracepointFormat { fields: text.lines().filter_map(field).collect() }
}

/// The declarations as the kernel writes them, without the fields that all tracepoints have:
/// `const char * filename`.
pub fn declarations(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("field:"));
    let declarations = lines.filter_map(|line| line.split(';').next());
    declarations.filter(|declaration| !declaration.contains(" common_"))
}

fn field(line: &str) -> Option<TracepointField> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
    let declaration = parts.next()?;
    let mut property =
        |name: &str| -> Option<&str> { parts.next()?.strip_prefix(name)?.strip_prefix(':') };
    let offset = property("offset")?.parse().ok()?;
    let size: u32 = property("size")?.parse().ok()?;
    let signed = property("signed")? == "1";

    let (data_loc, declaration) = match declaration.split_once(' ') {
        Some(("__data_loc", rest)) => (Some(DataLoc::Record), rest.trim()),
        Some(("__rel_loc", rest)) => (Some(DataLoc::Field), rest.trim()),
        _ => (None, declaration),
    };
    let (c_type, name, count) = split_declaration(declaration)?;
    let ty = match data_loc {
        // How long the value is, only the record itself tells.
        Some(_) => Type::Str { size: 0 },
        None => type_of(&c_type, count, size, signed),
    };
    let c_type = if count.is_some() && data_loc.is_none() { format!("{c_type}[]") } else { c_type };
    let field = Field { name: name.to_owned(), offset, ty, bits: None };
    Some(TracepointField { field, c_type, data_loc })
}

/// Type, name and, for an array, what is between its brackets, where that is a number: 0 if not.
fn split_declaration(declaration: &str) -> Option<(String, &str, Option<u32>)> {
    let (before, count) = match declaration.split_once('[') {
        // `char comm[16]`
        Some((before, rest)) if rest.trim_end().ends_with(']') => {
            let count = rest.trim_end().trim_end_matches(']').parse().unwrap_or(0);
            (before.trim(), Some(count))
        }
        _ => (declaration.trim(), None),
    };
    // `char[] name`, as of dynamic arrays, and `const char * name`
    let (c_type, name) = before.rsplit_once([' ', '*'])?;
    let end = before.len() - name.len();
    let c_type = before.get(..end).unwrap_or(c_type).trim();
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_name && !name.is_empty()).then(|| (c_type.to_owned(), name, count))
}

fn type_of(c_type: &str, count: Option<u32>, size: u32, signed: bool) -> Type {
    let int = |size: u32, signed| Type::Int { size: size as u8, signed };
    match count {
        Some(_) if c_type == "char" => Type::Str { size },
        Some(count) => {
            let count = count.max(1);
            let elem = match size / count {
                n @ (1 | 2 | 4 | 8) if !is_record(c_type) => int(n, signed),
                _ => return Type::Array { elem: Box::new(int(1, false)), len: size },
            };
            Type::Array { elem: Box::new(elem), len: count }
        }
        None if c_type.ends_with('*') => Type::Ptr,
        None if c_type == "bool" && size == 1 => Type::Bool,
        None if matches!(size, 1 | 2 | 4 | 8) => int(size, signed),
        None => Type::Array { elem: Box::new(int(1, false)), len: size },
    }
}

fn is_record(c_type: &str) -> bool {
    c_type.starts_with("struct ") || c_type.starts_with("union ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAT: &str = "name: sys_enter_openat
ID: 716
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;
\tfield:char comm[16];\toffset:32;\tsize:16;\tsigned:1;
\tfield:__data_loc char[] name;\toffset:48;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:52;\tsize:16;\tsigned:0;
\tfield:bool ok;\toffset:68;\tsize:1;\tsigned:0;
\tfield:char *msg;\toffset:72;\tsize:8;\tsigned:0;

print fmt: \"x\"
";

    #[test]
    fn reads_types_offsets_and_dynamic_fields() {
        let format = parse(OPENAT);
        let of = |name: &str| format.fields.iter().find(|f| f.field.name == name).expect(name);
        assert_eq!(format.fields.len(), 9);
        assert_eq!(of("common_pid").field.ty, Type::Int { size: 4, signed: true });
        assert_eq!(of("filename").field.ty, Type::Ptr);
        assert_eq!(of("filename").c_type, "const char *");
        assert_eq!(of("filename").field.offset, 24);
        assert_eq!(of("comm").field.ty, Type::Str { size: 16 });
        assert_eq!(of("name").data_loc, Some(DataLoc::Record));
        let bytes = Type::Array { elem: Box::new(Type::Int { size: 1, signed: false }), len: 16 };
        assert_eq!(of("saddr_v6").field.ty, bytes);
        assert_eq!(of("ok").field.ty, Type::Bool);
        assert_eq!((of("msg").c_type.as_str(), &of("msg").field.ty), ("char *", &Type::Ptr));
    }

    #[test]
    fn lists_declarations_as_written() {
        let all: Vec<&str> = declarations(OPENAT).collect();
        assert_eq!(all[..2], ["int __syscall_nr", "const char * filename"]);
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn nonsense_is_skipped() {
        assert!(
            parse("field:;\nfield:int\nfield:int x;offset:y;size:4;signed:1;\n\0")
                .fields
                .is_empty()
        );
    }
}
