//! The tokenizer: walks over valid JSON and stops at the first byte that is not.
//!
//! Strings are nearly all of a packument, so their ends are found in bit masks of 64 bytes,
//! which several short strings share. Everything else looks at single bytes and expects
//! compact JSON: white space is the slow path. Nothing is decoded or copied.
//!
//! Positions are passed on and returned, never kept in the cursor: that leaves them in
//! registers. A step returns `None` when the text is broken; where and why is kept aside
//! until the outermost call gives it out.

use std::borrow::Cow;

use super::block::{self, BLOCK};
use super::text::decode;

/// Levels of objects and arrays a document may hold; real ones stay below 20.
///
/// The limit keeps our recursion and that of our clients' parsers small.
pub(crate) const MAX_DEPTH: usize = 250;

/// The first byte that breaks JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Offset of the byte in the text.
    pub(crate) at: usize,
    /// The rule it breaks.
    pub(crate) rule: &'static str,
}

/// A key as it stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// Its opening quote.
    start: usize,
    /// Behind its closing quote.
    end: usize,
    escaped: bool,
}

/// Walks over one text.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    depth: usize,
    broken: Broken,
    /// first byte of the classified block
    block: usize,
    stops: u64,
}

/// So far from every position that the first one asks for its own block.
const NO_BLOCK: usize = usize::MAX - (BLOCK - 1);

impl<'a> Cursor<'a> {
    /// For the whole of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        let broken = Broken { at: 0, rule: "" };
        Self { text, depth: 0, broken, block: NO_BLOCK, stops: 0 }
    }

    /// Reads the text as one object with nothing behind it.
    ///
    /// `value` is called with each key and the position behind its colon; it reads the value
    /// and returns the position behind that.
    ///
    /// # Errors
    /// [`Broken`] at the first byte that is wrong.
    pub(crate) fn document(
        mut self,
        value: impl FnMut(&mut Self, Key, usize) -> Option<usize>,
    ) -> Result<(), Broken> {
        let start = self.skip_space(0);
        if self.byte(start) != Some(b'{') {
            return Err(Broken { at: start, rule: "it is not an object" });
        }
        let Some(end) = self.members(start, value) else { return Err(self.broken) };
        let end = self.skip_space(end);
        match self.byte(end) {
            None => Ok(()),
            Some(_) => Err(Broken { at: end, rule: "something follows the document" }),
        }
    }

    /// Reads any value: its slice, and the position behind it.
    #[inline]
    pub(crate) fn value(&mut self, at: usize) -> Option<(&'a str, usize)> {
        let start = self.skip_space(at);
        let end = self.skip_value(start)?;
        Some((self.text.get(start..end)?, end))
    }

    /// The same for an object whose members are wanted; any other value has none.
    pub(crate) fn value_with_members(
        &mut self,
        at: usize,
        member: impl FnMut(&mut Self, Key, usize) -> Option<usize>,
    ) -> Option<(&'a str, usize)> {
        let start = self.skip_space(at);
        if self.byte(start) != Some(b'{') {
            return self.value(start);
        }
        let end = self.members(start, member)?;
        Some((self.text.get(start..end)?, end))
    }

    /// The text of a key, borrowed unless it holds an escape.
    #[inline]
    pub(crate) fn decode(&self, key: Key) -> Cow<'a, str> {
        if key.escaped {
            return decode(self.text.get(key.start..key.end).unwrap_or_default());
        }
        Cow::Borrowed(self.text.get(key.start + 1..key.end - 1).unwrap_or_default())
    }

    fn skip_value(&mut self, at: usize) -> Option<usize> {
        match self.byte(at) {
            Some(b'"') => self.string(at).map(|(end, _)| end),
            Some(b'{') => self.members(at, |cursor, _, at| {
                let at = cursor.skip_space(at);
                cursor.skip_value(at)
            }),
            Some(b'[') => self.elements(at),
            Some(b't') => self.literal(at, "true"),
            Some(b'f') => self.literal(at, "false"),
            Some(b'n') => self.literal(at, "null"),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(_) => self.broken(at, "a value is expected"),
            None => self.broken(at, "it ends where a value is expected"),
        }
    }

    /// Reads an object, standing on its brace.
    #[inline]
    fn members(
        &mut self,
        at: usize,
        mut value: impl FnMut(&mut Self, Key, usize) -> Option<usize>,
    ) -> Option<usize> {
        let mut at = self.enter(at)?;
        if self.byte(at) == Some(b'}') {
            return Some(self.leave(at));
        }
        loop {
            if self.byte(at) != Some(b'"') {
                return self.broken(at, "a key is expected");
            }
            let (end, escaped) = self.string(at)?;
            let key = Key { start: at, end, escaped };
            at = self.skip_space(end);
            if self.byte(at) != Some(b':') {
                return self.broken(at, "a colon is expected behind a key");
            }
            at = value(self, key, at + 1)?;
            at = self.skip_space(at);
            match self.byte(at) {
                Some(b',') => at = self.skip_space(at + 1),
                Some(b'}') => return Some(self.leave(at)),
                _ => return self.broken(at, "a comma or } is expected in an object"),
            }
        }
    }

    /// Reads an array, standing on its bracket.
    fn elements(&mut self, at: usize) -> Option<usize> {
        let mut at = self.enter(at)?;
        if self.byte(at) == Some(b']') {
            return Some(self.leave(at));
        }
        loop {
            at = self.skip_value(at)?;
            at = self.skip_space(at);
            match self.byte(at) {
                Some(b',') => at = self.skip_space(at + 1),
                Some(b']') => return Some(self.leave(at)),
                _ => return self.broken(at, "a comma or ] is expected in an array"),
            }
        }
    }

    #[inline]
    fn enter(&mut self, at: usize) -> Option<usize> {
        if self.depth == MAX_DEPTH {
            return self.broken(at, "it is nested deeper than 250 levels");
        }
        self.depth += 1;
        Some(self.skip_space(at + 1))
    }

    #[inline]
    fn leave(&mut self, at: usize) -> usize {
        self.depth -= 1;
        at + 1
    }

    /// Reads a string, standing on its quote; tells whether it holds an escape.
    #[inline]
    fn string(&mut self, at: usize) -> Option<(usize, bool)> {
        let from = at + 1;
        if from.wrapping_sub(self.block) < BLOCK {
            let stops = self.stops >> (from % BLOCK);
            let stop = from + trailing_zeros(stops);
            if stops != 0 && self.byte(stop) == Some(b'"') {
                return Some((stop + 1, false));
            }
        }
        self.string_from(from)
    }

    /// The same when it leaves the block or holds an escape.
    #[inline(never)]
    fn string_from(&mut self, mut at: usize) -> Option<(usize, bool)> {
        let mut escaped = false;
        loop {
            at = self.next_stop(at)?;
            match self.byte(at) {
                Some(b'"') => return Some((at + 1, escaped)),
                Some(b'\\') => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                _ => return self.broken(at, "a string holds a control character"),
            }
        }
    }

    /// The next byte of a string that is no plain character.
    #[inline]
    fn next_stop(&mut self, mut at: usize) -> Option<usize> {
        loop {
            if at.wrapping_sub(self.block) >= BLOCK {
                self.classify(at)?;
            }
            let stops = self.stops >> (at % BLOCK);
            if stops != 0 {
                return Some(at + trailing_zeros(stops));
            }
            at = self.block + BLOCK;
        }
    }

    /// Classifies the block of a position.
    #[inline]
    fn classify(&mut self, at: usize) -> Option<()> {
        let block = at - at % BLOCK;
        let rest = self.text.as_bytes().get(block..).unwrap_or_default();
        self.stops = match rest.first_chunk::<BLOCK>() {
            Some(bytes) => block::stops(bytes),
            None if at < self.text.len() => last_stops(rest),
            None => return self.broken(self.text.len(), "it ends inside a string"),
        };
        self.block = block;
        Some(())
    }

    /// Checks an escape and returns the position behind it.
    fn escape(&mut self, at: usize) -> Option<usize> {
        let digits = |from: usize| {
            let digits = self.text.as_bytes().get(from..from + 4);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        match self.byte(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Some(at + 2),
            Some(b'u') if digits(at + 2) => Some(at + 6),
            _ => self.broken(at, "a string holds an unknown escape"),
        }
    }

    fn literal(&mut self, at: usize, word: &str) -> Option<usize> {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.broken(at, "a value is expected");
        }
        Some(at + word.len())
    }

    /// `-`? (`0` | digits) (`.` digits)? (`e` sign? digits)?
    fn number(&mut self, mut at: usize) -> Option<usize> {
        at += usize::from(self.byte(at) == Some(b'-'));
        at = if self.byte(at) == Some(b'0') { at + 1 } else { self.digits(at)? };
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            let has_sign = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            at = self.digits(at + 1 + usize::from(has_sign))?;
        }
        Some(at)
    }

    fn digits(&mut self, start: usize) -> Option<usize> {
        let mut at = start;
        while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            at += 1;
        }
        if at == start { self.broken(at, "a number lacks a digit") } else { Some(at) }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The next position that is no white space, perhaps the end.
    #[inline]
    fn skip_space(&self, at: usize) -> usize {
        match self.byte(at) {
            Some(byte) if byte <= b' ' => self.skip_some_space(at),
            _ => at,
        }
    }

    #[cold]
    fn skip_some_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            at += 1;
        }
        at
    }

    #[cold]
    fn broken<T>(&mut self, at: usize, rule: &'static str) -> Option<T> {
        self.broken = Broken { at, rule };
        None
    }
}

/// At most 64, so it fits everywhere.
#[inline]
fn trailing_zeros(stops: u64) -> usize {
    usize::try_from(stops.trailing_zeros()).unwrap_or_default()
}

/// The stops of the rest of the text, filled up with bytes that stop nothing.
#[cold]
fn last_stops(rest: &[u8]) -> u64 {
    let mut block = [b' '; BLOCK];
    for (to, from) in block.iter_mut().zip(rest) {
        *to = *from;
    }
    block::stops(&block)
}
