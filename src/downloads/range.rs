//! Ranges of days as npm's service of counts has them: `last-week`, `2026-11-01:2026-11-29`.

use super::calendar;
use crate::error::ApiError;

/// Days from one to another, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DayRange {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl DayRange {
    /// Reads a range; those with a name end yesterday.
    ///
    /// # Errors
    /// [`ApiError::Unprocessable`] when it is none, or longer than a year.
    pub fn parse(text: &str, today: i64) -> Result<Self, ApiError> {
        let before = |days: i64| Self { first: today - days, last: today - 1 };
        match text {
            "last-day" => return Ok(before(1)),
            "last-week" => return Ok(before(7)),
            "last-month" => return Ok(before(30)),
            "last-year" => return Ok(before(365)),
            _ => {}
        }
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let (Some(from), Some(to)) = (calendar::parse(from), calendar::parse(to)) else {
            return Err(ApiError::Unprocessable(format!(
                "range({text}) format invalid, must be \"last-day\", \"last-week\", \
                 \"last-month\", \"last-year\", \"YYYY-MM-DD\" or \"YYYY-MM-DD:YYYY-MM-DD\" style"
            )));
        };
        let (first, last) = if from <= to { (from, to) } else { (to, from) };
        let longest = calendar::a_year_later(first);
        if last > longest {
            return Err(ApiError::Unprocessable(format!(
                "range({text}) beyond the processable range, max up to \"{}\"",
                calendar::text(longest)
            )));
        }
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dates(text: &str) -> (String, String) {
        let today = calendar::parse("2026-11-29").unwrap();
        let range = DayRange::parse(text, today).unwrap();
        (calendar::text(range.first), calendar::text(range.last))
    }

    #[test]
    fn ranges_have_names_or_days_in_any_order() {
        for (text, first, last) in [
            ("last-day", "2026-11-28", "2026-11-28"),
            ("last-week", "2026-11-22", "2026-11-28"),
            ("last-month", "2026-10-30", "2026-11-28"),
            ("last-year", "2025-11-29", "2026-11-28"),
            ("2026-11-01", "2026-11-01", "2026-11-01"),
            ("2026-11-01:2026-11-03", "2026-11-01", "2026-11-03"),
            ("2026-11-03:2026-11-01", "2026-11-01", "2026-11-03"),
            ("2025-11-01:2026-11-01", "2025-11-01", "2026-11-01"),
        ] {
            assert_eq!(dates(text), (first.to_owned(), last.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_range_or_too_long_a_one_is_refused_in_the_words_of_the_contract() {
        let today = 20_000;
        for text in ["", "last", "2026-11", "2026-11-31", "a:b", "2026-11-01:", "last-day:last-day"]
        {
            let refused = DayRange::parse(text, today).unwrap_err().to_string();
            assert!(refused.contains("format invalid, must be \"last-day\""), "{text}: {refused}");
        }
        let refused = DayRange::parse("2026-11-02:2025-11-01", today).unwrap_err().to_string();
        assert!(
            refused.ends_with(
                "range(2026-11-02:2025-11-01) beyond the processable range, max up to \
                 \"2026-11-01\""
            ),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn no_text_is_a_range_backwards(text in "\\PC{0,24}|[0-9:-]{8,22}") {
            if let Ok(range) = DayRange::parse(&text, 20_000) {
                prop_assert!(range.first <= range.last && range.last - range.first <= 366);
            }
        }
    }
}
