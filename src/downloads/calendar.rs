//! Days since 1970 and the text that people write for them, `2026-11-29`, always UTC.

use std::time::{Duration, UNIX_EPOCH};

use store::downloads::{day_of, start_of};

/// The text of a day.
#[must_use]
pub fn text(day: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(start_of(day.max(0)).unsigned_abs());
    humantime::format_rfc3339_seconds(at).to_string().chars().take(DATE_CHARACTERS).collect()
}

/// `YYYY-MM-DD`.
const DATE_CHARACTERS: usize = 10;

/// The day of a text; `None` when there is no such day.
#[must_use]
pub fn parse(date: &str) -> Option<i64> {
    if date.len() != DATE_CHARACTERS {
        return None;
    }
    let at = humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    Some(day_of(i64::try_from(since.as_millis()).ok()?))
}

/// The same day of the next year, of 29 February the day before.
#[must_use]
pub fn a_year_later(day: i64) -> i64 {
    let date = text(day);
    let year = date.get(..4).and_then(|year| year.parse::<i64>().ok()).unwrap_or_default() + 1;
    let rest = date.get(4..).unwrap_or_default();
    parse(&format!("{year:04}{rest}"))
        .or_else(|| parse(&format!("{year:04}-02-28")))
        .unwrap_or_else(|| day.saturating_add(365))
}

/// The Sunday on which the week of a day begins.
#[must_use]
pub fn week_start(day: i64) -> i64 {
    // day 0 was a Thursday
    day - (day + 4).rem_euclid(7)
}

/// The first day of the month of a day.
#[must_use]
pub fn month_start(day: i64) -> i64 {
    first_of(day, 7, "-01")
}

/// The first day of the year of a day.
#[must_use]
pub fn year_start(day: i64) -> i64 {
    first_of(day, 4, "-01-01")
}

fn first_of(day: i64, kept: usize, rest: &str) -> i64 {
    let date = text(day);
    parse(&format!("{}{rest}", date.get(..kept).unwrap_or_default())).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(date: &str) -> i64 {
        parse(date).unwrap()
    }

    #[test]
    fn days_are_read_and_written_alike() {
        for date in ["1970-01-01", "2000-02-29", "2026-11-29", "2099-12-31"] {
            assert_eq!(text(day(date)), date);
        }
        assert_eq!((day("1970-01-02"), day("1971-01-01")), (1, 365));
        for date in ["2026-02-29", "2026-13-01", "2026-1-1", "26-11-29", "", "2026-11-29T", "a"] {
            assert_eq!(parse(date), None, "{date}");
        }
    }

    #[test]
    fn weeks_begin_on_sunday_months_and_years_on_their_first() {
        assert_eq!(text(week_start(day("2026-11-29"))), "2026-11-29");
        assert_eq!(text(week_start(day("2026-11-28"))), "2026-11-22");
        assert_eq!(text(week_start(day("1970-01-05"))), "1970-01-04");
        assert_eq!(text(month_start(day("2026-11-29"))), "2026-11-01");
        assert_eq!(text(year_start(day("2026-11-29"))), "2026-01-01");
        assert_eq!(text(a_year_later(day("2026-11-29"))), "2027-11-29");
        assert_eq!(text(a_year_later(day("2028-02-29"))), "2029-02-28");
    }
}
