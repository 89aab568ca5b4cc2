//! Values, and how JSON output shows them.

use rbtrace_lang::hir::{Int, Type};
use serde_json::{Map, Value as Json, json};

/// A value of the script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A scalar, extended from its type to 64 bits.
    Int(i64),
    /// Text without its NUL.
    Text(Vec<u8>),
    /// Members of a tuple, elements of an array.
    Many(Vec<Value>),
}

impl Value {
    /// What memory that was never written holds.
    pub fn zero(ty: &Type) -> Value {
        match ty {
            Type::Str { .. } => Value::Text(Vec::new()),
            Type::Tuple(members) => {
                Value::Many(members.iter().map(|(_, ty)| Value::zero(ty)).collect())
            }
            Type::Array { elem, len } => {
                Value::Many((0..*len).map(|_| Value::zero(elem)).collect())
            }
            _ => Value::Int(0),
        }
    }

    /// The number that a scalar is; 0 for anything else.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(n) => *n,
            _ => 0,
        }
    }

    /// The text that a string is.
    pub fn text(&self) -> &[u8] {
        match self {
            Value::Text(text) => text,
            _ => &[],
        }
    }

    /// Members or elements.
    pub fn many(&self) -> &[Value] {
        match self {
            Value::Many(many) => many,
            _ => &[],
        }
    }

    /// As JSON output shows it.
    pub fn json(&self, ty: &Type) -> Json {
        match (self, ty) {
            (Value::Int(n), Type::Bool) => json!(*n != 0),
            (Value::Int(n), Type::Int(Int { signed: true, .. })) => json!(n),
            (Value::Int(n), _) => json!(*n as u64),
            (Value::Text(text), _) => json!(String::from_utf8_lossy(text)),
            (Value::Many(values), Type::Tuple(members)) => {
                let shown = values.iter().zip(members).map(|(value, (_, ty))| value.json(ty));
                if members.iter().all(|(name, _)| name.is_empty()) {
                    return shown.collect();
                }
                let names = members.iter().map(|(name, _)| name.clone());
                Json::Object(names.zip(shown).collect::<Map<_, _>>())
            }
            (Value::Many(values), Type::Array { elem, .. }) => {
                values.iter().map(|value| value.json(elem)).collect()
            }
            (Value::Many(_), _) => Json::Null,
        }
    }

    /// As the key of a map in JSON output: members of a tuple side by side.
    pub fn key(&self, ty: &Type) -> String {
        match (self, ty) {
            (Value::Many(values), Type::Tuple(members)) => {
                let inner = |(value, (_, ty)): (&Value, &(String, Type))| match value {
                    Value::Many(_) => format!("({})", value.key(ty)),
                    _ => value.key(ty),
                };
                values.iter().zip(members).map(inner).collect::<Vec<_>>().join(",")
            }
            _ => match self.json(ty) {
                Json::String(text) => text,
                other => other.to_string(),
            },
        }
    }
}

/// Cuts a number to an integer type and extends it again.
pub fn fit(n: i64, int: Int) -> i64 {
    let shift = 64 - 8 * u32::from(int.size.clamp(1, 8));
    if int.signed { (n << shift) >> shift } else { ((n as u64) << shift >> shift) as i64 }
}
