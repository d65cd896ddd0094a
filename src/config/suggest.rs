//! Did-you-mean: the known word nearest to a mistyped one.

/// The nearest of `known`, when it is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = |text: &'a str| text.rsplit('.').next().unwrap_or(text);
    let word_last = word.rsplit('.').next().unwrap_or(word);
    known
        .map(|candidate| {
            let whole = distance(word, candidate);
            // `mode` for `sync.mode`: the right name without its section.
            let part = if last(candidate) == word_last { 1 } else { usize::MAX };
            (whole.min(part), candidate)
        })
        .min()
        .filter(|(distance, _)| *distance <= 2.max(word.len() / 4))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance: inserts, deletes and replacements that turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, left) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            *cell = replaced.min(*cell + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}
