//! Reading JSON objects member by member, values left as raw slices of the input.
//!
//! The tokenizer is serde_json's; here is only what a packument needs on top: keys that
//! cannot fail to decode, no tree, no copy. Text that came through here once is valid JSON
//! for good, so its slices can be spliced into an answer.

mod depth;
mod raw;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use depth::{MAX_DEPTH, is_too_deep};
pub(crate) use raw::borrow_raw;
pub(crate) use text::{decode, string, write_string};

/// Calls `each` with every member in document order, duplicates included.
///
/// # Errors
/// When the text is not one object.
pub(crate) fn each_member<'a>(
    object: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    Members(each).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Folds duplicate keys: the last value, at the first position.
///
/// That is what JavaScript makes of such an object, and so what every client sees.
pub(crate) fn fold_duplicates<T>(list: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    let mut positions: HashMap<String, usize> = HashMap::with_capacity(list.len());
    for item in list.drain(..) {
        let at = *positions.entry(key(&item).to_owned()).or_insert(kept.len());
        match kept.get_mut(at) {
            Some(earlier) => *earlier = item,
            None => kept.push(item),
        }
    }
    *list = kept;
}

/// Whether a raw value is an object.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Where a slice lies inside the text it was cut from.
pub(crate) fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> DeserializeSeed<'de> for Members<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        // keys are read raw too: decoding one with a lone surrogate would refuse the document
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            (self.0)(decode(key.get()), value);
        }
        Ok(())
    }
}
