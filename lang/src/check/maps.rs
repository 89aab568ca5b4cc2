//! The table of maps: what is known of each, and how it is used.

use rbtrace_probes_ebpf::plan::MapKind;

use crate::ast;
use crate::diag::Diagnostic;
use crate::hir::{Aggregate, Expr, Int, Map, MapId, Type};
use crate::resolve::{SESSION_TEXT, did_you_mean};
use crate::span::Span;

use super::types::{Ty, promote};
use super::{Checker, Stop, Typed, Value};

/// A map as far as known.
#[derive(Debug)]
pub(super) struct Entry {
    /// Without `@`.
    pub name: String,
    /// Whether it has keys; by its first use.
    pub keyed: Option<bool>,
    /// Type of the key.
    pub key: Option<Ty>,
    /// Type of the value.
    pub value: Option<Ty>,
    /// Where its first use is.
    pub span: Span,
    /// Where the value got its type.
    pub value_span: Span,
    /// Something is stored in it.
    stored: bool,
    /// `++` or `--` is applied to its value.
    stepped: bool,
    /// Of a declaration: kind and number of entries.
    declared: Option<Declared>,
    /// It exists already with these types, which cannot change.
    known: Option<Map>,
}

#[derive(Clone, Debug)]
struct Declared {
    name: String,
    kind: MapKind,
    max_entries: u32,
    span: Span,
    used: bool,
}

/// All maps of a script, in order of appearance.
#[derive(Debug, Default)]
pub(super) struct MapTable {
    entries: Vec<Entry>,
    declared: Vec<Declared>,
    known: Vec<Map>,
    max_entries: u32,
}

/// Kinds that a declaration can name, and what is said of them.
pub(crate) const KINDS: &[(&str, MapKind, &str)] = &[
    ("hash", MapKind::Hash, "a hash table; when it is full, new keys are lost and counted"),
    (
        "lruhash",
        MapKind::LruHash,
        "a hash table that drops the keys used longest ago when it is full",
    ),
    ("percpuhash", MapKind::PerCpuHash, "`hash`, with a value for each CPU"),
    ("percpulruhash", MapKind::LruPerCpuHash, "`lruhash`, with a value for each CPU"),
];

impl MapTable {
    /// `known`: maps that exist already. `max_entries`: of maps that are not declared.
    pub fn new(known: &[Map], max_entries: u32) -> Self {
        Self { known: known.to_vec(), max_entries, ..Self::default() }
    }

    /// Takes `let @x = hash(10);` in.
    pub fn declare(&mut self, declarations: Vec<ast::MapDecl>, errors: &mut Vec<Diagnostic>) {
        for mut declaration in declarations {
            super::fold::fold_expr(&mut declaration.max_entries, errors);
            let name = &declaration.name.name;
            if let Some(first) = self.declared.iter().find(|d| d.name == *name) {
                errors.push(
                    Diagnostic::error(
                        "duplicate-map",
                        declaration.name.span,
                        format!("@{name} is declared already"),
                    )
                    .also(first.span, "here"),
                );
                continue;
            }
            match declared(&declaration) {
                Ok(declared) => self.declared.push(declared),
                Err(error) => errors.push(error),
            }
        }
    }

    fn find(&self, name: &str) -> Option<MapId> {
        self.entries.iter().position(|e| e.name == name).map(|i| MapId(i as u32))
    }

    /// The map of this name; a new one if there is none.
    pub fn id(&mut self, name: &str, span: Span) -> MapId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let declared = self.declared.iter_mut().find(|d| d.name == name).map(|d| {
            d.used = true;
            d.clone()
        });
        let full = format!("@{name}");
        let known = self.known.iter().find(|m| m.name == full).cloned();
        self.entries.push(Entry {
            name: name.to_owned(),
            keyed: known.as_ref().map(|m| m.key != Type::Void),
            key: known.as_ref().filter(|m| m.key != Type::Void).map(|m| Ty::fixed(m.key.clone())),
            value: known.as_ref().map(|m| Ty::fixed(m.value.clone())),
            span,
            value_span: span,
            stepped: false,
            stored: known.is_some(),
            declared,
            known,
        });
        MapId(self.entries.len() as u32 - 1)
    }

    pub fn get(&self, id: MapId) -> Option<&Entry> {
        self.entries.get(id.index())
    }

    fn get_mut(&mut self, id: MapId) -> Option<&mut Entry> {
        self.entries.get_mut(id.index())
    }

    /// Type of the value, if known.
    pub fn value(&self, id: MapId) -> Option<&Ty> {
        self.get(id)?.value.as_ref()
    }

    /// Notes that `++` or `--` is applied to a map's value.
    pub fn mark_stepped(&mut self, map: MapId) {
        if let Some(entry) = self.entries.get_mut(map.index()) {
            entry.stepped = true;
        }
    }

    /// Gives maps whose values have no type the smallest integer: those that are stepped, or, if
    /// there are none, all; what others hold may depend on those. Returns whether there were any.
    pub fn default_values(&mut self) -> bool {
        let lacks = |entry: &Entry| entry.value.is_none() && entry.keyed.is_some();
        let stepped = self.entries.iter().any(|entry| lacks(entry) && entry.stepped);
        let mut any = false;
        for entry in &mut self.entries {
            if lacks(entry) && (entry.stepped || !stepped) {
                let int = super::types::smallest_signed(0);
                entry.value = Some(Ty::fixed(Type::Int(int)));
                any = true;
            }
        }
        any
    }

    /// Warns of maps that are not used, or only read.
    pub fn report_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        for entry in self.entries.iter().filter(|e| e.keyed.is_some() && !e.stored) {
            diagnostics.push(Diagnostic::warning(
                "never-stored",
                entry.span,
                format!("nothing is ever stored in @{}", entry.name),
            ));
        }
        for declared in self.declared.iter().filter(|d| !d.used) {
            diagnostics.push(Diagnostic::warning(
                "unused-map",
                declared.span,
                format!("@{} is not used", declared.name),
            ));
        }
    }

    /// The maps as the program has them.
    pub fn finish(self) -> Vec<Map> {
        let max = self.max_entries;
        self.entries.into_iter().map(|entry| entry.finish(max)).collect()
    }
}

impl Entry {
    fn finish(self, max_entries: u32) -> Map {
        if let Some(known) = self.known {
            return known;
        }
        let keyed = self.keyed == Some(true);
        let value = self.value.map_or(Type::I64, |t| t.ty);
        // Whether a map without keys was ever set decides whether it prints. Most aggregations tell
        // by not being zero. What does not fit in a register must change as a whole.
        let by_value = match value {
            Type::Aggregate(_) if keyed => MapKind::PerCpuHash,
            Type::Aggregate(Aggregate::Sum { .. }) => MapKind::PerCpuCell,
            Type::Aggregate(_) => MapKind::PerCpuArray,
            ref scalar if scalar.is_scalar() && !keyed => MapKind::Cell,
            _ => MapKind::Hash,
        };
        let (kind, entries) = match &self.declared {
            Some(declared) => (declared.kind, declared.max_entries),
            None => (by_value, if keyed { max_entries } else { 1 }),
        };
        Map {
            name: format!("@{}", self.name),
            key: if keyed { self.key.map_or(Type::I64, |t| t.ty) } else { Type::Void },
            value,
            kind,
            max_entries: entries,
            span: self.span,
        }
    }
}

/// A type with room for later values.
fn wide(ty: Type) -> Type {
    match ty {
        Type::Int(int) => Type::Int(Int { size: 8, ..int }),
        Type::Str { size } => Type::Str { size: size.max(SESSION_TEXT) },
        Type::Tuple(members) => {
            Type::Tuple(members.into_iter().map(|(name, ty)| (name, wide(ty))).collect())
        }
        ty => ty,
    }
}

fn declared(declaration: &ast::MapDecl) -> Result<Declared, Diagnostic> {
    let written = &declaration.kind;
    let Some((_, kind, _)) = KINDS.iter().find(|(name, ..)| *name == written.name) else {
        let names: Vec<_> = KINDS.iter().map(|(name, ..)| *name).collect();
        let error = Diagnostic::error(
            "unknown-map-kind",
            written.span,
            format!("there is no kind of map `{}`", written.name),
        )
        .note(format!("the kinds are {}", names.join(", ")));
        return Err(did_you_mean(error, &written.name, names));
    };
    let entries = super::fold::int_literal(&declaration.max_entries)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n > 0);
    let Some(max_entries) = entries else {
        return Err(Diagnostic::error(
            "map-size",
            declaration.max_entries.span,
            "this is no number of entries",
        )
        .label(format!("expected a number from 1 to {}", u32::MAX)));
    };
    let name = declaration.name.name.clone();
    Ok(Declared { name, kind: *kind, max_entries, span: declaration.span, used: false })
}

impl Checker<'_> {
    /// A map used as a whole: `print(@x)`.
    pub fn whole_map(&mut self, name: &str, span: Span) -> Typed<MapId> {
        let id = self.maps.id(name, span);
        if self.maps.get(id).is_some_and(|e| e.keyed.is_some()) {
            return Ok(id);
        }
        let known = self.maps.entries.iter().filter(|e| e.keyed.is_some());
        let known: Vec<String> = known.map(|e| format!("@{}", e.name)).collect();
        Err(self.unknown(|| {
            let error = Diagnostic::error(
                "undefined-map",
                span,
                format!("nothing is ever stored in @{name}"),
            );
            did_you_mean(error, &format!("@{name}"), known.iter().map(String::as_str))
        }))
    }

    /// A map used with a key or without.
    pub fn map_use(&mut self, name: &str, keyed: bool, span: Span) -> Typed<MapId> {
        let id = self.maps.id(name, span);
        let Some(entry) = self.maps.get_mut(id) else { return Err(Stop::Reported) };
        match entry.keyed {
            None => {
                entry.keyed = Some(keyed);
                entry.span = span;
                self.changed = true;
                Ok(id)
            }
            Some(k) if k == keyed => Ok(id),
            Some(_) => {
                let first = entry.span;
                let (code, message, label) = if keyed {
                    ("map-without-key", format!("@{name} has no keys"), "used without a key here")
                } else {
                    ("map-with-key", format!("@{name} needs a key"), "used with a key here")
                };
                Err(self.error(
                    Diagnostic::error(code, span, message)
                        .also(first, label)
                        .note("a map either has keys everywhere or nowhere"),
                ))
            }
        }
    }

    /// The key of a map, converted to the type of the map's keys.
    pub fn map_key(&mut self, id: MapId, key: &ast::Expr) -> Typed<Expr> {
        let value = self.value(key)?;
        let value = self.key_value(value)?;
        self.learn_key(id, &value)?;
        let Some(ty) = self.maps.get(id).and_then(|e| e.key.clone()) else {
            return Err(Stop::Reported);
        };
        match self.convert(value.clone(), &ty.ty) {
            Some(expr) => Ok(expr),
            None => Err(self.key_mismatch(id, &value, &ty)),
        }
    }

    /// What can be a key, as a key: the context and pointers into it cannot.
    fn key_value(&mut self, value: Value) -> Typed {
        let bad = match &value.expr.ty {
            Type::Void => Some("nothing"),
            _ if matches!(value.expr.kind, crate::hir::ExprKind::TracepointRecord) => {
                Some("a record of the context")
            }
            Type::Ptr { space: crate::hir::Space::Own, .. } => Some("the context"),
            Type::Tuple(members) if members.iter().any(|(_, ty)| *ty == Type::Void) => {
                Some("nothing")
            }
            _ => None,
        };
        match bad {
            Some(what) => Err(self.error(Diagnostic::error(
                "bad-map-key",
                value.expr.span,
                format!("{what} cannot be the key of a map"),
            ))),
            None => {
                self.sized(&value.expr.ty, value.expr.span)?;
                Ok(value)
            }
        }
    }

    fn learn_key(&mut self, id: MapId, value: &Value) -> Typed<()> {
        let Some(entry) = self.maps.get(id) else { return Err(Stop::Reported) };
        let joined = match &entry.key {
            None => Some(value.ty()),
            Some(_) if entry.known.is_some() => return Ok(()),
            Some(key) if matches!((&key.ty, &value.expr.ty), (Type::Str { .. }, Type::Probe)) => {
                return Ok(());
            }
            Some(key) => promote(key, &value.ty()),
        };
        let Some(joined) = joined else {
            let ty = entry.key.clone().unwrap_or_else(|| value.ty());
            return Err(self.key_mismatch(id, value, &ty));
        };
        let joined = self.roomy(joined);
        let Some(entry) = self.maps.get_mut(id) else { return Err(Stop::Reported) };
        if entry.key.as_ref() != Some(&joined) {
            entry.key = Some(joined);
            self.changed = true;
        }
        Ok(())
    }

    fn key_mismatch(&mut self, id: MapId, value: &Value, ty: &Ty) -> Stop {
        let (expected, found) = (self.show(&ty.ty), self.show(&value.expr.ty));
        let Some(entry) = self.maps.get(id) else { return Stop::Reported };
        let (name, first) = (entry.name.clone(), entry.span);
        self.error(
            Diagnostic::error(
                "map-key-mismatch",
                value.expr.span,
                format!("the keys of @{name} are of another type"),
            )
            .label(format!("expected {expected}, found {found}"))
            .also(first, "first used here"),
        )
    }

    /// Learns that a value of this type is stored in a map. Returns the type of the map's
    /// values.
    pub fn learn_value(&mut self, id: MapId, value: &Ty, span: Span) -> Typed<Type> {
        let Some(entry) = self.maps.get(id) else { return Err(Stop::Reported) };
        let joined = match &entry.value {
            None => Some(value.clone()),
            Some(ty) if entry.known.is_some() => Some(ty.clone()),
            Some(ty) => promote(ty, value).filter(|_| !matches!(ty.ty, Type::Aggregate(_))),
        };
        let Some(joined) = joined else { return Err(self.value_mismatch(id, &value.ty, span)) };
        self.set_value(id, joined, span)
    }

    /// Learns that a map aggregates.
    pub fn learn_aggregate(&mut self, id: MapId, aggregate: Aggregate, span: Span) -> Typed<Type> {
        let Some(entry) = self.maps.get(id) else { return Err(Stop::Reported) };
        let joined = match &entry.value {
            None => Some(aggregate.clone()),
            Some(Ty { ty: Type::Aggregate(before), .. }) => {
                super::aggregate::join(before, &aggregate, entry.known.is_some())
            }
            Some(_) => None,
        };
        let Some(joined) = joined else {
            return Err(self.value_mismatch(id, &Type::Aggregate(aggregate), span));
        };
        self.set_value(id, Ty::fixed(Type::Aggregate(joined)), span)
    }

    /// A type as maps of this run keep it.
    fn roomy(&self, ty: Ty) -> Ty {
        if self.cx.options.roomy_maps { Ty { ty: wide(ty.ty), ..ty } } else { ty }
    }

    fn set_value(&mut self, id: MapId, joined: Ty, span: Span) -> Typed<Type> {
        let joined = self.roomy(joined);
        let Some(entry) = self.maps.get_mut(id) else { return Err(Stop::Reported) };
        entry.stored = true;
        if entry.value.as_ref() != Some(&joined) {
            if entry.value.is_none() {
                entry.value_span = span;
            }
            entry.value = Some(joined.clone());
            self.changed = true;
        }
        if let (Some(declared), Type::Aggregate(_)) = (&entry.declared, &joined.ty)
            && !declared.kind.is_per_cpu()
        {
            let (name, place) = (entry.name.clone(), declared.span);
            return Err(self.error(
                Diagnostic::error(
                    "map-kind-mismatch",
                    span,
                    format!("@{name} keeps a value for each CPU, which its kind does not"),
                )
                .also(place, "declared here")
                .help("declare it as percpuhash or percpulruhash"),
            ));
        }
        if let (Some(declared), ty) = (&entry.declared, &joined.ty)
            && declared.kind.is_per_cpu()
            && !matches!(ty, Type::Aggregate(_))
        {
            let (name, place) = (entry.name.clone(), declared.span);
            return Err(self.error(
                Diagnostic::error(
                    "map-kind-mismatch",
                    span,
                    format!("@{name} keeps one value, but its kind has one for each CPU"),
                )
                .also(place, "declared here")
                .help("declare it as hash or lruhash"),
            ));
        }
        Ok(joined.ty)
    }

    /// An error about a value of the wrong type.
    pub fn value_mismatch(&mut self, id: MapId, found: &Type, span: Span) -> Stop {
        let Some(entry) = self.maps.get(id) else { return Stop::Reported };
        let Some(expected) = entry.value.clone() else { return Stop::Reported };
        let (name, first, known) = (entry.name.clone(), entry.value_span, entry.known.is_some());
        let (expected, found) = (self.show(&expected.ty), self.show(found));
        let error = Diagnostic::error(
            "map-value-mismatch",
            span,
            format!("the values of @{name} are of another type"),
        )
        .label(format!("expected {expected}, found {found}"));
        let error = match known {
            true => error.note("the map exists already and cannot change its type"),
            false => error.also(first, format!("{expected} by this")),
        };
        self.error(error)
    }

    /// The value of a map is not known yet.
    pub fn unknown_map(&mut self, id: MapId, span: Span) -> Stop {
        let name = self.maps.get(id).map(|e| e.name.clone()).unwrap_or_default();
        self.unknown(|| {
            Diagnostic::error("undefined-map", span, format!("nothing is ever stored in @{name}"))
        })
    }

    /// The name of a map given as an argument, or an error.
    pub fn map_argument<'e>(&mut self, function: &str, arg: &'e ast::Expr) -> Typed<&'e str> {
        match &arg.kind {
            ast::ExprKind::Map { name, key: None } => Ok(name),
            _ => Err(self.error(
                Diagnostic::error(
                    "argument-type",
                    arg.span,
                    format!("{function}() works on a map"),
                )
                .label("expected a map without a key, such as @x"),
            )),
        }
    }
}
