//! Declarations to types.

use std::ops::Range;

use pest::Parser;

use crate::catalog::TypeSource;
use crate::catalog::ctypes::{CEnum, CRecord, CType, Tag, TypeRef};
use crate::diag::Diagnostic;
use crate::span::Span;

use super::layout::{Layout, Member, Placer};
use super::split::{Chunk, check_nesting};
use super::store::{Declared, Enumerator, Store};
use super::typing::{Attributes, Typing};
use super::{Failure, Grammar, Node, Rule};

type Result<T> = std::result::Result<T, Failure>;

/// Declares what chunks declare.
pub(super) struct Builder<'a> {
    pub types: &'a dyn TypeSource,
    pub store: Store,
    pub diagnostics: &'a mut Vec<Diagnostic>,
    chunk: Chunk,
    /// Records whose members are being read.
    open: Vec<TypeRef>,
}

/// What stands before the names of a declaration.
struct Specifiers {
    ty: CType,
    typedef: bool,
    attributes: Attributes,
    /// Members or variants are given.
    body: bool,
}

fn range(pair: &Node) -> Range<usize> {
    let span = pair.as_span();
    span.start()..span.end()
}

impl<'a> Builder<'a> {
    pub fn new(types: &'a dyn TypeSource, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        let chunk = Chunk::default();
        Self { types, store: Store::default(), diagnostics, chunk, open: Vec::new() }
    }

    /// Declares what a chunk declares. A header's mistakes are passed over.
    pub fn declare(&mut self, chunk: Chunk) {
        self.chunk = chunk;
        self.open.clear();
        let text = std::mem::take(&mut self.chunk.text);
        if let Err(failure) = self.declare_text(&text)
            && !self.chunk.header
        {
            let span = self.chunk.span(failure.at.start, failure.at.end);
            self.diagnostics.push(failure.diagnostic(span));
        }
    }

    fn declare_text(&mut self, text: &str) -> Result<()> {
        check_nesting(text)?;
        let mut pairs = Grammar::parse(Rule::declaration_only, text)
            .map_err(|error| Failure::syntax(&error, text))?;
        let pair = pairs.next().and_then(|pair| pair.into_inner().next());
        self.declaration(pair.ok_or_else(Failure::internal)?)
    }

    /// Looks up in the kernel what the script mentions and does not declare.
    pub fn finish(mut self) -> Store {
        for at in self.store.incomplete() {
            self.complete(at);
        }
        self.store
    }

    fn typing(&self) -> Typing<'_> {
        Typing { store: &self.store, types: self.types }
    }

    fn span(&self, at: &Range<usize>) -> Span {
        self.chunk.span(at.start, at.end)
    }

    fn declaration(&mut self, pair: Node) -> Result<()> {
        let mut parts = pair.into_inner();
        let Some(first) = parts.next().filter(|p| p.as_rule() == Rule::specifiers) else {
            return Ok(());
        };
        let specifiers = self.specifiers(first)?;
        if !specifiers.typedef {
            return Ok(());
        }
        for item in parts.filter(|part| part.as_rule() == Rule::declarator_item) {
            self.alias(item, &specifiers)?;
        }
        Ok(())
    }

    /// A name that `typedef` declares.
    fn alias(&mut self, item: Node, specifiers: &Specifiers) -> Result<()> {
        let mut attributes = specifiers.attributes;
        let mut declared = None;
        for part in item.into_inner() {
            match part.as_rule() {
                Rule::declarator => {
                    declared = Some(self.typing().declarator(part, specifiers.ty.clone())?);
                }
                Rule::attribute => self.typing().attributes(&part, &mut attributes)?,
                _ => {}
            }
        }
        let Some((Some(name), ty)) = declared else { return Ok(()) };
        let ty = with_mode(ty, attributes);
        let span = self.span(&range(&name));
        let header = self.chunk.header;
        if let Some((_, before)) = self.store.named(Tag::Name, name.as_str()) {
            let same = before.ty == ty || {
                let typing = self.typing();
                typing.resolved(&before.ty) == typing.resolved(&ty)
            };
            if same || header {
                return Ok(());
            }
            if !before.header {
                return Err(duplicate(&name, before.span));
            }
        }
        let layout = super::layout::of(&ty, &self.store, self.types);
        let layout = layout
            .map(|layout| Layout { align: attributes.align.unwrap_or(layout.align), ..layout });
        let name = name.as_str().to_owned();
        self.store.add(Declared { tag: Tag::Name, name, ty, layout, span, header });
        Ok(())
    }

    fn specifiers(&mut self, pair: Node) -> Result<Specifiers> {
        let mut specifiers = Specifiers {
            ty: CType::Void,
            typedef: false,
            attributes: Attributes::default(),
            body: false,
        };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::typedef_word => specifiers.typedef = true,
                Rule::attribute | Rule::alignas => {
                    self.typing().attributes(&part, &mut specifiers.attributes)?;
                }
                Rule::record => (specifiers.ty, specifiers.body) = self.record(part)?,
                Rule::enumeration => (specifiers.ty, specifiers.body) = self.enumeration(part)?,
                rule => {
                    if let Some(ty) = self.typing().simple(rule, part) {
                        specifiers.ty = ty?;
                    }
                }
            }
        }
        Ok(specifiers)
    }

    /// `struct x` and `struct x { ... }`, and whether its members are given.
    fn record(&mut self, pair: Node) -> Result<(CType, bool)> {
        let mut tag = Tag::Struct;
        let mut name = None;
        let mut attributes = Attributes::default();
        let mut members = None;
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::record_word if part.as_str() == "union" => tag = Tag::Union,
                Rule::name => name = Some(part),
                Rule::attribute => self.typing().attributes(&part, &mut attributes)?,
                Rule::members => members = Some(part),
                _ => {}
            }
        }
        let Some(members) = members else {
            let name = name.ok_or_else(Failure::internal)?;
            return Ok((CType::Ref(self.mention(tag, &name)), false));
        };
        let at = match self.open_tag(tag, name.as_ref(), &pair)? {
            Ok(at) => at,
            Err(known) => return Ok((CType::Ref(known), true)),
        };
        for part in members.clone().into_inner().filter(|p| p.as_rule() == Rule::attribute) {
            self.typing().attributes(&part, &mut attributes)?;
        }
        self.open.push(at);
        let mut placer = Placer::new(tag == Tag::Union, attributes.packed);
        for member in members.into_inner().filter(|part| part.as_rule() == Rule::member) {
            self.member(member, &mut placer)?;
        }
        self.open.pop();
        let text = name.as_ref().map_or("", Node::as_str).to_owned();
        let placed = placer.finish(text, attributes.align);
        let (record, layout) = placed.ok_or_else(|| too_large(range(&pair)))?;
        self.close_tag(at, CType::Record(record), layout);
        Ok((CType::Ref(at), true))
    }

    /// A declaration for what is about to be given members or variants; `Err` if a header
    /// declares again what is declared.
    fn open_tag(
        &mut self,
        tag: Tag,
        name: Option<&Node>,
        whole: &Node,
    ) -> Result<std::result::Result<TypeRef, TypeRef>> {
        let header = self.chunk.header;
        let span = self.span(&name.map_or_else(|| range(whole), range));
        let text = name.map_or("", Node::as_str);
        if let (Some(name), Some((at, before))) = (name, self.store.named(tag, text)) {
            let complete = !matches!(&before.ty, CType::Record(CRecord { size: None, .. }));
            match (complete, header, before.header) {
                (false, ..) if self.open.contains(&at) => return Err(duplicate(name, before.span)),
                (false, ..) => return Ok(Ok(at)),
                (true, true, _) => return Ok(Err(at)),
                (true, false, false) => return Err(duplicate(name, before.span)),
                (true, false, true) => {}
            }
        }
        let ty = incomplete(tag, text);
        let name = text.to_owned();
        Ok(Ok(self.store.add(Declared { tag, name, ty, layout: None, span, header })))
    }

    fn close_tag(&mut self, at: TypeRef, ty: CType, layout: Layout) {
        let header = self.chunk.header;
        if let Some(declared) = self.store.get_mut(at) {
            declared.ty = ty;
            declared.layout = Some(layout);
            declared.header &= header;
        }
    }

    /// A record by its name.
    fn mention(&mut self, tag: Tag, name: &Node) -> TypeRef {
        let header = self.chunk.header;
        if let Some((at, _)) = self.store.named(tag, name.as_str()) {
            if let Some(declared) = self.store.get_mut(at) {
                declared.header &= header;
            }
            return at;
        }
        let span = self.span(&range(name));
        let ty = incomplete(tag, name.as_str());
        let name = name.as_str().to_owned();
        self.store.add(Declared { tag, name, ty, layout: None, span, header })
    }

    /// Takes from the kernel what a record is that was only mentioned.
    fn complete(&mut self, at: TypeRef) {
        let Some(declared) = self.store.get(at) else { return };
        let incomplete = matches!(&declared.ty, CType::Record(CRecord { size: None, .. }));
        if !incomplete || declared.header || self.open.contains(&at) {
            return;
        }
        let Some(kernel) = self.types.kernel_type(declared.tag, &declared.name) else { return };
        let ty = CType::Ref(kernel);
        let layout = super::layout::of(&ty, &self.store, self.types);
        if let Some(declared) = self.store.get_mut(at) {
            declared.ty = ty;
            declared.layout = layout;
        }
    }

    /// [`Self::complete`] for what a member consists of.
    fn complete_member(&mut self, ty: &CType) {
        let mut ty = ty.clone();
        // References lead to what was declared before, so they end.
        loop {
            ty = match ty {
                CType::Array { elem, .. } => *elem,
                CType::Ref(at) => {
                    if let Some(declared) = self.store.get_mut(at) {
                        declared.header &= self.chunk.header;
                    }
                    self.complete(at);
                    match self.store.get(at) {
                        Some(declared) => declared.ty.clone(),
                        None => return,
                    }
                }
                _ => return,
            }
        }
    }

    fn member(&mut self, pair: Node, placer: &mut Placer) -> Result<()> {
        let whole = range(&pair);
        let mut parts = pair.into_inner();
        let Some(first) = parts.next().filter(|p| p.as_rule() == Rule::specifiers) else {
            return Ok(());
        };
        let specifiers = self.specifiers(first)?;
        let items: Vec<Node> = parts.filter(|p| p.as_rule() == Rule::declarator_item).collect();
        if items.is_empty() {
            let CType::Ref(at) = specifiers.ty else {
                let failure = Failure::new("c-syntax", whole, "this declares no member");
                return Err(failure.help("a member has a type and a name"));
            };
            let anonymous = self.store.get(at).is_some_and(|declared| {
                declared.name.is_empty() && matches!(declared.ty, CType::Record(_))
            });
            if !anonymous {
                // `struct x { ... };` in a struct declares a type alone.
                return if specifiers.body {
                    Ok(())
                } else {
                    let failure = Failure::new("c-syntax", whole, "this declares no member");
                    Err(failure.help("a member has a type and a name"))
                };
            }
            let layout = self.typing().layout(&specifiers.ty, whole.clone())?;
            let Attributes { packed, align, .. } = specifiers.attributes;
            let ty = specifiers.ty;
            let member = Member { name: String::new(), ty, layout, bits: None, packed, align };
            return placer.place(member).ok_or_else(|| too_large(whole));
        }
        for item in items {
            self.member_item(item, &specifiers, placer)?;
        }
        Ok(())
    }

    /// `*x`, `x[4]`, `x : 3`
    fn member_item(
        &mut self,
        item: Node,
        specifiers: &Specifiers,
        placer: &mut Placer,
    ) -> Result<()> {
        let whole = range(&item);
        let mut attributes = specifiers.attributes;
        let mut ty = specifiers.ty.clone();
        let mut name = None;
        let mut width = None;
        for part in item.into_inner() {
            match part.as_rule() {
                Rule::declarator => (name, ty) = self.typing().declarator(part, ty)?,
                Rule::conditional => width = Some(part),
                Rule::attribute => self.typing().attributes(&part, &mut attributes)?,
                _ => {}
            }
        }
        let at = name.as_ref().map_or_else(|| whole.clone(), range);
        let name = name.as_ref().map_or("", Node::as_str).to_owned();
        if placer.has(&name) {
            let message = format!("there is a member called `{name}` already");
            return Err(Failure::new("c-duplicate", at, message));
        }
        let ty = with_mode(ty, attributes);
        self.complete_member(&ty);
        let layout = self.member_layout(&ty, at)?;
        let bits = width.map(|width| self.width(width, &ty, layout, &name)).transpose()?;
        let Attributes { packed, align, .. } = attributes;
        let member = Member { name, ty, layout, bits, packed, align };
        placer.place(member).ok_or_else(|| too_large(whole))
    }

    fn member_layout(&self, ty: &CType, at: Range<usize>) -> Result<Layout> {
        self.typing().layout(ty, at).map_err(|failure| {
            let mut inner = ty;
            while let CType::Array { elem, .. } = inner {
                inner = elem;
            }
            let name = self.typing().name_of(inner);
            match inner {
                CType::Ref(at) if self.open.contains(at) => {
                    Failure { message: format!("{name} cannot have itself as a member"), ..failure }
                        .help("a pointer to it can be a member")
                }
                CType::Void => failure.help("write `void *` for a pointer to anything"),
                CType::Ref(_) => failure.help("declare it before, or make this a pointer to it"),
                _ => failure,
            }
        })
    }

    /// The width of a bitfield.
    fn width(&self, pair: Node, ty: &CType, layout: Layout, name: &str) -> Result<u8> {
        let at = range(&pair);
        let width = self.typing().conditional(pair)?.value;
        let is_integer = matches!(
            self.typing().resolved(ty),
            CType::Int { .. } | CType::Bool | CType::Char | CType::Enum(_)
        );
        if !is_integer {
            return Err(Failure::constant(at, "only integers can be bitfields"));
        }
        let least = i128::from(!name.is_empty());
        let most = i128::from(layout.size * 8);
        if width < least || width > most {
            let message = format!("a bitfield of this type cannot have {width} bits");
            return Err(Failure::constant(at, message).help(format!("{least} to {most} bits")));
        }
        u8::try_from(width).map_err(|_| Failure::internal())
    }

    /// `enum x` and `enum x { ... }`, and whether its variants are given.
    fn enumeration(&mut self, pair: Node) -> Result<(CType, bool)> {
        let mut name = None;
        let mut attributes = Attributes::default();
        let mut variants = None;
        let mut fixed = None;
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(part),
                Rule::attribute => self.typing().attributes(&part, &mut attributes)?,
                Rule::variants => variants = Some(part),
                Rule::enum_base => {
                    let base = part.into_inner().next().ok_or_else(Failure::internal)?;
                    fixed = Some(self.specifiers(base)?.ty);
                }
                _ => {}
            }
        }
        let Some(variants) = variants else {
            let name = name.ok_or_else(Failure::internal)?;
            return self.mention_enum(&name).map(|at| (CType::Ref(at), false));
        };
        let at = match self.open_tag(Tag::Enum, name.as_ref(), &pair)? {
            Ok(at) => at,
            Err(known) => return Ok((CType::Ref(known), true)),
        };
        let mut next = 0i128;
        let mut values = Vec::new();
        for part in variants.into_inner() {
            match part.as_rule() {
                Rule::attribute => self.typing().attributes(&part, &mut attributes)?,
                Rule::variant => {
                    let (name, value) = self.variant(part, at, next)?;
                    next = value + 1;
                    values.push((name, value));
                }
                _ => {}
            }
        }
        let (size, signed) = match fixed.map(|ty| self.typing().resolved(&ty)) {
            Some(CType::Int { size, signed }) => (size, signed),
            _ => smallest(&values, attributes.packed),
        };
        let variants = values.into_iter().map(|(name, value)| (name, value as i64)).collect();
        let name = name.as_ref().map_or("", Node::as_str).to_owned();
        let layout = Layout { size: size.into(), align: attributes.align.unwrap_or(size.into()) };
        self.close_tag(at, CType::Enum(CEnum { name, size, signed, variants }), layout);
        Ok((CType::Ref(at), true))
    }

    fn variant(&mut self, pair: Node, of: TypeRef, next: i128) -> Result<(String, i128)> {
        let mut parts = pair.into_inner();
        let name = parts.next().ok_or_else(Failure::internal)?;
        let value = match parts.find(|part| part.as_rule() == Rule::conditional) {
            Some(value) => self.typing().conditional(value)?.value,
            None => next,
        };
        if i64::try_from(value).is_err() && u64::try_from(value).is_err() {
            return Err(Failure::constant(range(&name), "this value does not fit into 64 bits"));
        }
        let header = self.chunk.header;
        let before = self.store.enumerators.get(name.as_str());
        match before.map(|before| (before.header, before.span)) {
            Some((false, span)) if !header => return Err(duplicate(&name, span)),
            Some(_) if header => {}
            _ => {
                let span = self.span(&range(&name));
                let enumerator = Enumerator { of, value: value as i64, span, header };
                self.store.enumerators.insert(name.as_str().to_owned(), enumerator);
            }
        }
        Ok((name.as_str().to_owned(), value))
    }

    fn mention_enum(&mut self, name: &Node) -> Result<TypeRef> {
        if let Some((at, _)) = self.store.named(Tag::Enum, name.as_str()) {
            return Ok(at);
        }
        if let Some(at) = self.types.kernel_type(Tag::Enum, name.as_str()) {
            return Ok(at);
        }
        let message = format!("there is no type called `enum {}`", name.as_str());
        Err(Failure::new("c-unknown-type", range(name), message))
    }
}

/// A record of which nothing but the name is known.
fn incomplete(tag: Tag, name: &str) -> CType {
    let union = tag == Tag::Union;
    CType::Record(CRecord { name: name.to_owned(), union, size: None, fields: Vec::new() })
}

/// Size and sign of an enum: an `int`, if all values fit.
fn smallest(values: &[(String, i128)], packed: bool) -> (u8, bool) {
    let least = values.iter().map(|(_, value)| *value).min().unwrap_or(0);
    let most = values.iter().map(|(_, value)| *value).max().unwrap_or(0);
    let signed = least < 0;
    let fits = |bytes: u32| {
        let bits = bytes * 8 - u32::from(signed);
        most < 1 << bits && least >= -(1 << bits)
    };
    let sizes: &[u8] = if packed { &[1, 2, 4] } else { &[4] };
    let size = sizes.iter().copied().find(|size| fits((*size).into()));
    (size.unwrap_or(8), signed)
}

/// An integer of the size that `__attribute__((mode))` asks for.
fn with_mode(ty: CType, attributes: Attributes) -> CType {
    match (ty, attributes.mode) {
        (CType::Int { signed, .. }, Some(size)) => CType::Int { size, signed },
        (ty, _) => ty,
    }
}

fn duplicate(name: &Node, first: Span) -> Failure {
    let message = format!("`{}` is declared already", name.as_str());
    Failure::new("c-duplicate", range(name), message).also(first, "here")
}

fn too_large(at: Range<usize>) -> Failure {
    Failure::new("c-limit", at, "this record is too large")
        .help(format!("at most {} bytes", super::layout::MOST_BYTES))
}
