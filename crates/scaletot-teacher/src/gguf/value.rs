//! Metadata values of a GGUF file.

use std::collections::BTreeMap;
use std::fmt;

use scaletot_core::text::printable;

/// The type of a metadata value, as numbered in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    pub(super) fn from_code(code: u32) -> Result<Self, String> {
        const ALL: [Kind; 13] = [
            Kind::U8,
            Kind::I8,
            Kind::U16,
            Kind::I16,
            Kind::U32,
            Kind::I32,
            Kind::F32,
            Kind::Bool,
            Kind::Text,
            Kind::Array,
            Kind::U64,
            Kind::I64,
            Kind::F64,
        ];
        ALL.get(code as usize)
            .copied()
            .ok_or_else(|| format!("expected a value type of 0 to 12, found {code}"))
    }

    /// Bytes of one value; 0 for those whose length is in the file.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text | Self::Array => 0,
        }
    }

    /// Decodes [`size`](Self::size) little-endian bytes.
    pub(super) fn decode(self, bytes: &[u8]) -> Value {
        let mut raw = [0_u8; 8];
        for (to, from) in raw.iter_mut().zip(bytes) {
            *to = *from;
        }
        let bits = u64::from_le_bytes(raw);
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => Value::Int(bits.into()),
            Self::I8 => Value::Int((bits as i8).into()),
            Self::I16 => Value::Int((bits as i16).into()),
            Self::I32 => Value::Int((bits as i32).into()),
            Self::I64 => Value::Int((bits as i64).into()),
            Self::F32 => Value::Float(f32::from_bits(bits as u32).into()),
            Self::F64 => Value::Float(f64::from_bits(bits)),
            Self::Bool => Value::Bool(bits != 0),
            Self::Text | Self::Array => Value::Unread,
        }
    }
}

/// A metadata value, in as few shapes as the readers of this crate need.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Any integer type.
    Int(i128),
    /// Either float type.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// An array of integers.
    Ints(Vec<i128>),
    /// An array of another type, which nothing here uses.
    Unread,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Text(v) => write!(f, "{v:?}"),
            Self::Texts(v) => write!(f, "an array of {} strings", v.len()),
            Self::Ints(v) => write!(f, "an array of {} integers", v.len()),
            Self::Unread => write!(f, "an array of another type"),
        }
    }
}

/// Metadata with errors that name the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metadata<'a>(pub(super) &'a BTreeMap<String, Value>);

impl<'a> Metadata<'a> {
    fn wrong<T>(key: &str, expected: &str, found: Option<&Value>) -> Result<T, String> {
        let found = found.map_or_else(|| "nothing".to_owned(), |value| printable(&value.to_string(), 100));
        Err(format!("metadata `{key}`: expected {expected}, found {found}"))
    }

    /// All entries, in the order of their keys.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key)
    }

    pub(super) fn text(self, key: &str) -> Result<&'a str, String> {
        match self.get(key) {
            Some(Value::Text(text)) => Ok(text),
            other => Self::wrong(key, "a string", other),
        }
    }

    pub(super) fn texts(self, key: &str) -> Result<&'a [String], String> {
        match self.get(key) {
            Some(Value::Texts(texts)) => Ok(texts),
            other => Self::wrong(key, "an array of strings", other),
        }
    }

    /// An integer from 1 to 2³¹ − 1: sizes and counts.
    pub(super) fn count(self, key: &str) -> Result<usize, String> {
        match self.get(key) {
            Some(Value::Int(n)) if (1..=i128::from(i32::MAX)).contains(n) => Ok(*n as usize),
            other => Self::wrong(key, "an integer of at least 1", other),
        }
    }

    /// Like [`count`](Self::count), with a default.
    pub(super) fn count_or(self, key: &str, default: usize) -> Result<usize, String> {
        self.get(key).map_or(Ok(default), |_| self.count(key))
    }

    /// A finite number above 0.
    pub(super) fn positive(self, key: &str) -> Result<f64, String> {
        match self.get(key) {
            Some(Value::Float(v)) if v.is_finite() && *v > 0.0 => Ok(*v),
            other => Self::wrong(key, "a number above 0", other),
        }
    }

    /// A truth value, false if absent.
    pub(super) fn flag(self, key: &str) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(v)) => Ok(*v),
            other => Self::wrong(key, "true or false", other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_their_sign() {
        assert_eq!(Kind::I8.decode(&[0xff]), Value::Int(-1));
        assert_eq!(Kind::U8.decode(&[0xff]), Value::Int(255));
        assert_eq!(Kind::I32.decode(&(-7_i32).to_le_bytes()), Value::Int(-7));
        assert_eq!(Kind::U64.decode(&u64::MAX.to_le_bytes()), Value::Int(u64::MAX.into()));
        assert_eq!(Kind::F32.decode(&1.5_f32.to_le_bytes()), Value::Float(1.5));
        assert_eq!(Kind::F64.decode(&(-2.25_f64).to_le_bytes()), Value::Float(-2.25));
    }

    #[test]
    fn wrong_values_are_named() {
        let map = BTreeMap::from([
            ("a".to_owned(), Value::Int(0)),
            ("b".to_owned(), Value::Texts(vec!["x".to_owned()])),
        ]);
        let metadata = Metadata(&map);
        assert_eq!(
            metadata.count("a").unwrap_err(),
            "metadata `a`: expected an integer of at least 1, found 0"
        );
        assert!(metadata.text("b").unwrap_err().contains("an array of 1 strings"));
        assert!(metadata.positive("c").unwrap_err().contains("found nothing"));
        assert_eq!(metadata.count_or("c", 7), Ok(7));
        assert_eq!(metadata.flag("c"), Ok(false));
    }
}
