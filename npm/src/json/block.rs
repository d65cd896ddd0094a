//! Which of 64 bytes can end a string: a quote, a backslash, a control character.

/// Bytes classified at a time, one bit each.
pub(super) const BLOCK: usize = 64;

/// One bit for each byte that ends, escapes or breaks a string.
///
/// In two steps, so that the compiler makes vector instructions of the first one: a mark for
/// each byte, then eight marks moved side by side at once by a multiplication.
#[inline]
pub(super) fn stops(block: &[u8; BLOCK]) -> u64 {
    let marks = block.map(|byte| u8::from((byte == b'"') | (byte == b'\\') | (byte < b' ')));
    let (words, _) = marks.as_chunks::<8>();
    words.iter().zip((0..BLOCK).step_by(8)).fold(0, |stops, (word, place)| {
        let bits = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080);
        // masked in place: shifting down and up again becomes a much slower double shift
        stops | ((bits >> (BLOCK - 8 - place)) & (0xff << place))
    })
}
