//! Which of the two documents a client gets.

/// One of the two documents of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackumentForm {
    /// Everything upstream has.
    Full,
    /// What installing needs.
    Abbreviated,
}

impl PackumentForm {
    /// `full` or `abbreviated`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Abbreviated => "abbreviated",
        }
    }

    /// The content type; pnpm takes anything but the vendor type for a full document.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Abbreviated => "application/vnd.npm.install-v1+json",
        }
    }

    /// The form an `Accept` header prefers, by the rules of HTTP.
    ///
    /// Each form takes the quality of the most specific range that covers it; the higher
    /// quality wins, then the more specific range, then the earlier one. Without a header,
    /// on a tie (`*/*`), and when neither is acceptable, it is the full form.
    #[must_use]
    pub fn from_accept(accept: Option<&str>) -> Self {
        let Some(accept) = accept else { return Self::Full };
        let full = Preference::of(accept, Self::Full);
        let abbreviated = Preference::of(accept, Self::Abbreviated);
        match (full, abbreviated) {
            (None, Some(_)) => Self::Abbreviated,
            (Some(full), Some(abbreviated)) if abbreviated > full => Self::Abbreviated,
            _ => Self::Full,
        }
    }
}

/// How much a form is wanted; compared field by field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    /// in thousandths
    quality: u16,
    specificity: u8,
    /// the earlier in the header, the greater
    place: std::cmp::Reverse<usize>,
}

impl Preference {
    /// `None` when the form is not acceptable.
    fn of(accept: &str, form: PackumentForm) -> Option<Self> {
        let ranges = accept.split(',').enumerate().filter_map(|(place, range)| {
            let mut parts = range.split(';');
            let specificity = specificity(parts.next()?.trim(), form)?;
            let quality = parts.find_map(quality).unwrap_or(1_000);
            Some(Self { quality, specificity, place: std::cmp::Reverse(place) })
        });
        let most_specific = ranges.max_by_key(|range| (range.specificity, range.place))?;
        (most_specific.quality > 0).then_some(most_specific)
    }
}

fn specificity(range: &str, form: PackumentForm) -> Option<u8> {
    if range.eq_ignore_ascii_case(form.content_type()) {
        return Some(2);
    }
    match range {
        "*/*" | "*" => Some(0),
        _ => range.eq_ignore_ascii_case("application/*").then_some(1),
    }
}

/// The value of a `q` parameter in thousandths; a malformed one counts as absent.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 && !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{:0<3}", fraction.get(..3).unwrap_or(fraction)).parse().ok()?;
    match whole {
        "0" | "" => Some(thousandths),
        "1" => Some(1_000),
        _ => None,
    }
}
