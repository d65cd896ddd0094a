//! Reading JSON objects member by member, values left as raw slices of the input.
//!
//! serde_json's `RawValue` visitor does the same at half the speed; a mirror spends much of its
//! time here, so the tokenizer is our own and gives the same answers (property tests compare
//! them). Text that came through [`Cursor`] once is valid JSON for good, so its slices can
//! be spliced into an answer.

mod block;
mod cursor;
mod raw;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

pub(crate) use cursor::{Broken, Cursor};
pub(crate) use raw::borrow_raw;
pub(crate) use text::{string, write_string};

/// Calls `each` with every member in document order, duplicates included.
///
/// # Errors
/// When the text is not one object.
pub(crate) fn each_member<'a>(
    object: &'a str,
    mut each: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), Broken> {
    Cursor::new(object).document(|cursor, key, at| {
        let (value, end) = cursor.value(at)?;
        each(cursor.decode(key), value);
        Some(end)
    })
}

/// Whether a raw value is an object.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Where a slice lies inside the text it was cut from.
pub(crate) fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
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
