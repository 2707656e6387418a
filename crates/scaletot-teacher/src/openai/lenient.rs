//! Parts of an answer that are read whatever they are, and bounded.
//!
//! Servers differ in what they leave out, set to null or give in another type. What is not needed is read leniently; what is
//! needed is of its type, or an error that names it. Nothing takes memory out of proportion to the bytes it was read from.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value};

/// The methods of a visitor for everything of no use, from `other`, a value or a function of nothing that can fail.
macro_rules! otherwise {
    ($other:expr; $($kind:ident),*) => { $(otherwise!(@ $kind $other);)* };
    (@ scalar $other:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> { Ok($other) }
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> { Ok($other) }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> { Ok($other) }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> { Ok($other) }
    };
    (@ text $other:expr) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> { Ok($other) }
    };
    (@ null $other:expr) => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> { Ok($other) }
    };
    (@ list $other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
    (@ object $other:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

/// An object, or nothing in place of anything else.
#[derive(Debug)]
pub(super) struct OrNone<T>(pub(super) Option<T>);

impl<T> Default for OrNone<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrNone<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = OrNone<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(object)).map(|found| OrNone(Some(found)))
            }
            otherwise!(OrNone(None); scalar, text, null, list);
        }
        deserializer.deserialize_any(Object(PhantomData))
    }
}

/// A list of at most so many elements; null is an empty one.
#[derive(Debug)]
pub(super) struct List<T, const MOST: usize>(pub(super) Vec<T>);

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Elements<T, MOST> {
            type Value = List<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST} elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(element) = list.next_element()? {
                    if all.len() == MOST {
                        return Err(Error::custom(format!("more than {MOST} elements")));
                    }
                    all.push(element);
                }
                Ok(List(all))
            }
            otherwise!(List(Vec::new()); null);
        }
        deserializer.deserialize_any(Elements(PhantomData))
    }
}

/// The first element of a list, of which the rest is read as `R`, at most so many.
#[derive(Debug)]
pub(super) struct First<T, R, const MOST: usize> {
    pub(super) first: Option<T>,
    pub(super) rest: Vec<R>,
}

impl<T, R, const MOST: usize> Default for First<T, R, MOST> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

impl<'de, T: Deserialize<'de>, R: Deserialize<'de>, const MOST: usize> Deserialize<'de>
    for First<T, R, MOST>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, R, const MOST: usize>(PhantomData<(T, R)>);
        impl<'de, T: Deserialize<'de>, R: Deserialize<'de>, const MOST: usize> Visitor<'de> for Elements<T, R, MOST> {
            type Value = First<T, R, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST} elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let first = list.next_element()?;
                let mut rest = Vec::new();
                while let Some(element) = list.next_element()? {
                    if rest.len() + 1 == MOST {
                        return Err(Error::custom(format!("more than {MOST} elements")));
                    }
                    // Elements of no size are counted by nobody.
                    rest.push(element);
                }
                Ok(First { first, rest })
            }
            otherwise!(First::default(); null);
        }
        deserializer.deserialize_any(Elements(PhantomData))
    }
}

/// A text, or nothing in place of anything else; parts of a message are joined.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Part {
            text: Option<String>,
        }
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text, A::Error> {
                let mut all = String::new();
                while let Some(OrNone::<Part>(part)) = parts.next_element()? {
                    all.push_str(&part.and_then(|part| part.text).unwrap_or_default());
                }
                Ok(Text(Some(all)))
            }
            otherwise!(Text(None); scalar, null, object);
        }
        deserializer.deserialize_any(Words)
    }
}

/// A number of tokens: 0 where it is none, or nonsense.
#[derive(Debug, Default)]
pub(super) struct Count(pub(super) u64);

impl Count {
    /// No context is so long.
    const MAX: u64 = 100_000_000;
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl<'de> Visitor<'de> for Number {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: Error>(self, count: u64) -> Result<Count, E> {
                Ok(Count(if count <= Count::MAX { count } else { 0 }))
            }
            fn visit_i64<E: Error>(self, count: i64) -> Result<Count, E> {
                self.visit_u64(u64::try_from(count).unwrap_or(0))
            }
            fn visit_f64<E: Error>(self, count: f64) -> Result<Count, E> {
                // What is negative or not a number becomes 0.
                self.visit_u64(count as u64)
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Count, E> {
                Ok(Count(0))
            }
            otherwise!(Count(0); text, null, list, object);
        }
        deserializer.deserialize_any(Number)
    }
}

/// Whether there is something other than null, `false` and an empty text.
#[derive(Debug, Default)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Present;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E: Error>(self, found: bool) -> Result<Present, E> {
                Ok(Present(found))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Present, E> {
                Ok(Present(true))
            }
            fn visit_u64<E: Error>(self, found: u64) -> Result<Present, E> {
                Ok(Present(found != 0))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Present, E> {
                Ok(Present(true))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Present, E> {
                Ok(Present(!text.is_empty()))
            }
            otherwise!(Present(false); null);
            otherwise!(Present(true); list, object);
        }
        deserializer.deserialize_any(Anything)
    }
}

/// The bytes of a token, or nothing in place of anything else.
#[derive(Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    /// The longest tokens have a few hundred.
    const MAX: usize = 1 << 10;
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
                let (mut bytes, mut sound) = (Vec::new(), true);
                while let Some(Count(byte)) = list.next_element()? {
                    match u8::try_from(byte) {
                        Ok(byte) if bytes.len() < Bytes::MAX => bytes.push(byte),
                        _ => sound = false,
                    }
                }
                Ok(Bytes(if sound { bytes } else { Vec::new() }))
            }
            otherwise!(Bytes(Vec::new()); scalar, text, null, object);
        }
        deserializer.deserialize_any(Numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn whatever_stands_in_the_place_of_what_is_not_needed_is_read() {
        for json in ["null", "true", "-1", "1e300", "18446744073709551615", "\"x\"", "[1,[2]]", "{\"a\":{}}"]
        {
            read::<OrNone<std::collections::BTreeMap<String, IgnoredAny>>>(json);
            read::<Text>(json);
            read::<Count>(json);
            read::<Present>(json);
            read::<Bytes>(json);
        }
        let counts = ["3", "3.0", "-3", "1e40", "18446744073709551615", "null", "\"3\""]
            .map(|json| read::<Count>(json).0);
        assert_eq!(counts, [3, 3, 0, 0, 0, 0, 0]);
        let present = ["null", "false", "\"\"", "0", "\"x\"", "{}", "[]"].map(|json| read::<Present>(json).0);
        assert_eq!(present, [false, false, false, false, true, true, true]);
        assert_eq!(read::<Text>(r#"[{"text":"a"},null,{"text":"b"}]"#).0.as_deref(), Some("ab"));
        assert_eq!(read::<Bytes>("[32,108]").0, b" l");
        assert_eq!(read::<Bytes>("[32,1000]").0, b"");
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(read::<List<u8, 3>>("[1,2,3]").0, [1, 2, 3]);
        assert!(read::<List<u8, 3>>("null").0.is_empty());
        let error = serde_json::from_str::<List<u8, 3>>("[1,2,3,4]").unwrap_err();
        assert!(error.to_string().contains("more than 3 elements"), "{error}");
        assert!(serde_json::from_str::<First<u8, u8, 3>>("[1,2,3,4]").is_err());
        let found = read::<First<u8, IgnoredAny, 3>>("[1,\"x\",{}]");
        assert_eq!((found.first, found.rest.len()), (Some(1), 2));
    }
}
