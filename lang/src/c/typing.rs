//! Types as they are written, where nothing is declared.

use std::ops::Range;

use crate::catalog::TypeSource;
use crate::catalog::ctypes::{CRecord, CType, Tag};

use super::layout::{self, Layout};
use super::store::Store;
use super::{Failure, Node, Rule};

type Result<T> = std::result::Result<T, Failure>;

/// Most pointers, arrays and functions on one name, and most names for names.
const MOST_LEVELS: usize = 64;

/// What types and constants are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Typing<'a> {
    pub store: &'a Store,
    pub types: &'a dyn TypeSource,
}

/// What `__attribute__` and `_Alignas` say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes {
    pub packed: bool,
    /// Bytes, a power of two.
    pub align: Option<u64>,
    /// Bytes of an integer, by `mode`.
    pub mode: Option<u8>,
}

impl Typing<'_> {
    /// What a type is beneath its names; references to records are followed, too.
    pub fn resolved(&self, ty: &CType) -> CType {
        let mut ty = ty.clone();
        for _ in 0..MOST_LEVELS {
            let CType::Ref(at) = ty else { return ty };
            let next = self.store.describe(at).cloned().or_else(|| self.types.describe(at));
            match next {
                Some(next) => ty = next,
                None => return CType::Void,
            }
        }
        CType::Void
    }

    /// The layout of a type, which must have one.
    pub fn layout(&self, ty: &CType, at: Range<usize>) -> Result<Layout> {
        layout::of(ty, self.store, self.types).ok_or_else(|| {
            let name = self.name_of(ty);
            Failure::new("c-incomplete-type", at, format!("the size of {name} is not known"))
        })
    }

    /// What messages call a type.
    pub fn name_of(&self, ty: &CType) -> String {
        let tagged = |record: &CRecord| {
            let tag = if record.union { "union" } else { "struct" };
            format!("`{tag} {}`", record.name)
        };
        match self.resolved(ty) {
            CType::Record(record) if !record.name.is_empty() => tagged(&record),
            CType::Void => "`void`".to_owned(),
            CType::Function => "a function".to_owned(),
            _ => "this type".to_owned(),
        }
    }

    /// The place in bits and the type of a member, those of anonymous members included.
    pub fn member(&self, ty: &CType, name: &str, at: Range<usize>) -> Result<(u64, CType)> {
        self.find_member(ty, name, 0).ok_or_else(|| {
            let record = self.name_of(ty);
            Failure::constant(at, format!("{record} has no member called `{name}`"))
        })
    }

    fn find_member(&self, ty: &CType, name: &str, level: usize) -> Option<(u64, CType)> {
        let CType::Record(record) = self.resolved(ty) else { return None };
        if level > MOST_LEVELS {
            return None;
        }
        for field in record.fields {
            let start = u64::from(field.bit_offset);
            if field.name == name {
                return Some((start, field.ty));
            }
            if field.name.is_empty()
                && let Some((bits, ty)) = self.find_member(&field.ty, name, level + 1)
            {
                return Some((start + bits, ty));
            }
        }
        None
    }

    /// A `type_name`.
    pub fn type_name(&self, pair: Node) -> Result<CType> {
        let mut parts = pair.into_inner();
        let base = self.specifiers(parts.next().ok_or_else(Failure::internal)?)?;
        match parts.next() {
            Some(declarator) => Ok(self.declarator(declarator, base)?.1),
            None => Ok(base),
        }
    }

    /// The type that `specifiers` name.
    fn specifiers(&self, pair: Node) -> Result<CType> {
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::record | Rule::enumeration => return self.tagged(part),
                rule => {
                    if let Some(ty) = self.simple(rule, part) {
                        return ty;
                    }
                }
            }
        }
        Err(Failure::internal())
    }

    /// A type that is named by one of the other rules of `type_core`.
    pub fn simple(&self, rule: Rule, part: Node) -> Option<Result<CType>> {
        Some(match rule {
            Rule::base => base(&part),
            Rule::type_name_word => {
                part.into_inner().next().ok_or_else(Failure::internal).and_then(|n| self.named(&n))
            }
            Rule::typeof_ => match part.into_inner().next() {
                Some(of) if of.as_rule() == Rule::type_name => self.type_name(of),
                Some(of) => self.conditional(of).map(|number| number.ty()),
                None => Err(Failure::internal()),
            },
            _ => return None,
        })
    }

    /// `struct x` where it is not declared.
    fn tagged(&self, pair: Node) -> Result<CType> {
        let span = pair.as_span();
        let at = span.start()..span.end();
        let mut tag = Tag::Enum;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::record_word if part.as_str() == "struct" => tag = Tag::Struct,
                Rule::record_word => tag = Tag::Union,
                Rule::name => {
                    let name = part.as_str();
                    if let Some((at, _)) = self.store.named(tag, name) {
                        return Ok(CType::Ref(at));
                    }
                    if let Some(at) = self.types.kernel_type(tag, name) {
                        return Ok(CType::Ref(at));
                    }
                    return match tag {
                        Tag::Enum => Err(unknown("enum ", name, at)),
                        _ => Ok(CType::Record(CRecord {
                            name: name.to_owned(),
                            union: tag == Tag::Union,
                            size: None,
                            fields: Vec::new(),
                        })),
                    };
                }
                Rule::members | Rule::variants => break,
                _ => {}
            }
        }
        Err(Failure::constant(at, "types cannot be declared inside of an expression"))
    }

    /// The type with a name of its own.
    pub fn named(&self, name: &Node) -> Result<CType> {
        let text = name.as_str();
        if let Some((at, _)) = self.store.named(Tag::Name, text) {
            return Ok(CType::Ref(at));
        }
        if let Some(ty) = Store::predefined(text).and_then(|at| self.store.describe(at)) {
            return Ok(ty.clone());
        }
        if let Some(at) = self.types.kernel_type(Tag::Name, text) {
            return Ok(CType::Ref(at));
        }
        let span = name.as_span();
        let failure = unknown("", text, span.start()..span.end());
        let tags = [(Tag::Struct, "struct"), (Tag::Union, "union"), (Tag::Enum, "enum")];
        let tag = tags.into_iter().find(|(tag, _)| self.store.named(*tag, text).is_some());
        Err(match tag {
            Some((_, word)) => failure.help(format!("did you mean `{word} {text}`?")),
            None => {
                let known = self.store.names(Tag::Name).chain(super::predefined::type_names());
                match crate::diag::suggest::did_you_mean(text, known) {
                    Some(help) => failure.help(help),
                    None => failure,
                }
            }
        })
    }

    /// The name and the type that a declarator makes of a type.
    pub fn declarator<'a>(&self, pair: Node<'a>, base: CType) -> Result<(Option<Node<'a>>, CType)> {
        self.declarator_in(pair, base, 0)
    }

    fn declarator_in<'a>(
        &self,
        pair: Node<'a>,
        base: CType,
        level: usize,
    ) -> Result<(Option<Node<'a>>, CType)> {
        let span = pair.as_span();
        let at = span.start()..span.end();
        let parts: Vec<Node> = pair.into_inner().collect();
        if level + parts.len() > MOST_LEVELS {
            return Err(Failure::new("c-limit", at, "this has too many levels")
                .help(format!("a type can have {MOST_LEVELS}")));
        }
        let mut ty = base;
        for _ in parts.iter().filter(|part| part.as_rule() == Rule::pointer) {
            ty = CType::Pointer(Box::new(ty));
        }
        for part in parts.iter().rev() {
            match part.as_rule() {
                Rule::array => ty = self.array(part, ty)?,
                Rule::function => ty = CType::Function,
                _ => {}
            }
        }
        let inner = parts.iter().find(|part| {
            matches!(part.as_rule(), Rule::name | Rule::declarator | Rule::abstract_declarator)
        });
        match inner {
            Some(name) if name.as_rule() == Rule::name => Ok((Some(name.clone()), ty)),
            Some(inner) => self.declarator_in(inner.clone(), ty, level + parts.len()),
            None => Ok((None, ty)),
        }
    }

    /// `[n]` after what has elements of this type.
    fn array(&self, pair: &Node, elem: CType) -> Result<CType> {
        let span = pair.as_span();
        let at = span.start()..span.end();
        let size = pair.clone().into_inner().find(|part| part.as_rule() == Rule::conditional);
        let len = match size {
            Some(size) => {
                let n = self.conditional(size)?.value;
                u32::try_from(n).map_err(|_| {
                    let message = format!("an array cannot have {n} elements");
                    Failure::constant(at, message).help(format!("at most {}", u32::MAX))
                })?
            }
            None => 0,
        };
        Ok(CType::Array { elem: Box::new(elem), len })
    }

    /// What the attributes in a part say.
    pub fn attributes(&self, pair: &Node, into: &mut Attributes) -> Result<()> {
        if pair.as_rule() == Rule::alignas {
            let of = pair.clone().into_inner().next().ok_or_else(Failure::internal)?;
            let span = of.as_span();
            let at = span.start()..span.end();
            let align = match of.as_rule() {
                Rule::type_name => self.layout(&self.type_name(of)?, at.clone())?.align.into(),
                _ => self.conditional(of)?.value,
            };
            return into.align(align, at);
        }
        for item in pair.clone().into_inner().filter(|p| p.as_rule() == Rule::attribute_item) {
            let mut parts = item.into_inner();
            let Some(name) = parts.next() else { continue };
            let argument = parts.next();
            match (name.as_str().trim_matches('_'), argument) {
                ("packed", _) => into.packed = true,
                ("aligned", Some(argument)) if argument.as_rule() == Rule::conditional => {
                    let span = argument.as_span();
                    into.align(self.conditional(argument)?.value, span.start()..span.end())?;
                }
                ("aligned", None) => into.align = into.align.max(Some(16)),
                ("mode", Some(argument)) => {
                    into.mode = match argument.as_str().trim_matches(['_', '(', ')', ' ']) {
                        "QI" | "byte" => Some(1),
                        "HI" => Some(2),
                        "SI" => Some(4),
                        "DI" | "word" | "pointer" => Some(8),
                        "TI" => Some(16),
                        _ => None,
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Attributes {
    fn align(&mut self, align: i128, at: Range<usize>) -> Result<()> {
        match u64::try_from(align) {
            Ok(0) => Ok(()),
            Ok(n) if n.is_power_of_two() && n <= 1 << 28 => {
                self.align = self.align.max(Some(n));
                Ok(())
            }
            _ => Err(Failure::constant(at, format!("nothing can be aligned to {align} bytes"))
                .help("alignments are powers of two")),
        }
    }
}

fn unknown(tag: &str, name: &str, at: Range<usize>) -> Failure {
    Failure::new("c-unknown-type", at, format!("there is no type called `{tag}{name}`"))
}

/// The type that a row of words such as `unsigned long int` names.
fn base(pair: &Node) -> Result<CType> {
    let span = pair.as_span();
    let words: Vec<Node> =
        pair.clone().into_inner().filter(|part| part.as_rule() == Rule::base_word).collect();
    let count = |word: &str| words.iter().filter(|w| w.as_str().trim_matches('_') == word).count();
    let unsigned = count("unsigned") > 0;
    let signed = count("signed") > 0;
    let integer = |size| Ok(CType::Int { size, signed: !unsigned });
    let float = |size| Ok(CType::Float { size });
    match () {
        () if signed && unsigned => Err(Failure::constant(
            span.start()..span.end(),
            "a type is `signed` or `unsigned`, not both",
        )),
        () if count("void") > 0 => Ok(CType::Void),
        () if count("Bool") > 0 => Ok(CType::Bool),
        () if count("char") > 0 && !signed && !unsigned => Ok(CType::Char),
        () if count("char") > 0 => integer(1),
        () if count("short") > 0 => integer(2),
        () if count("int128") > 0 => integer(16),
        () if count("float") > 0 => float(4),
        () if count("Float128") + count("float128") > 0 => float(16),
        () if count("double") > 0 => float(if count("long") > 0 { 16 } else { 8 }),
        () if count("long") > 0 => integer(8),
        () => integer(4),
    }
}
