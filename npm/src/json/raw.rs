//! A [`RawValue`] from a slice that is known to be one JSON value, without scanning it again.

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapDeserializer};
use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

/// Wraps a slice the scanner has already been over.
///
/// The only public way from text to `RawValue` parses the text, which would double the cost
/// of a scan for the one member (`versions`) that is nearly the whole body. The type's own
/// `Deserialize` takes it unparsed from a deserializer that offers it as one map entry under
/// the name it asks for; that is what serde_json does itself.
///
/// # Errors
/// Only if serde_json changes that exchange.
pub(crate) fn borrow_raw(value: &str) -> Result<&RawValue, serde_json::Error> {
    <&RawValue>::deserialize(Slice(value))
}

struct Slice<'a>(&'a str);

impl<'de> Deserializer<'de> for Slice<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let value = BorrowedStrDeserializer::new(self.0);
        visitor.visit_map(MapDeserializer::new(std::iter::once((name, value))))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
