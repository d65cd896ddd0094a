//! Words of names and texts, cut the same way when they are indexed and when they are asked for.

/// Longest word; beyond, texts hold data and no words.
pub const LONGEST: usize = 40;
/// Shortest and longest beginning of a name that is found by it.
const BEGINNINGS: std::ops::RangeInclusive<usize> = 1..=20;

/// The words of a text in lower case: runs of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|sign: char| !sign.is_alphanumeric())
        .filter(|word| !word.is_empty() && word.len() <= LONGEST)
        .map(str::to_lowercase)
}

/// The beginnings of each word of a name, and of the name without what stands between its words,
/// separated by spaces.
pub fn beginnings(name: &str) -> String {
    let base = name.rsplit('/').next().unwrap_or(name);
    let together: String = words(base).collect();
    let mut found: Vec<String> = Vec::new();
    for word in words(name).chain([together]) {
        let ends = word.char_indices().map(|(at, sign)| at + sign.len_utf8());
        let ends = ends.filter(|end| BEGINNINGS.contains(end));
        found.extend(ends.filter_map(|end| word.get(..end)).map(str::to_owned));
        // asked for in one piece it is found, too
        found.push(word);
    }
    found.sort_unstable();
    found.dedup();
    found.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_they_are_written_together() {
        assert_eq!(words("@garden/UI-kit2").collect::<Vec<_>>(), ["garden", "ui", "kit2"]);
        assert_eq!(beginnings("@a/ui-kit"), "a k ki kit u ui uik uiki uikit");
        assert_eq!(words("schöne Lampe, 5 €").collect::<Vec<_>>(), ["schöne", "lampe", "5"]);
        assert!(beginnings(&"x".repeat(214)).is_empty());
    }
}
