//! `*` in rules: any run of characters, also of none.

/// Whether the pattern stands for the whole text. Besides `*` every character stands for itself.
#[must_use]
pub fn covers(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    let Some(mut middle) = rest.strip_suffix(last) else { return false };
    // of several places the first leaves most room for what follows
    for piece in pieces {
        let Some((_, behind)) = middle.split_once(piece) else { return false };
        middle = behind;
    }
    true
}
