//! Calendar months in UTC.

use std::fmt;
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;

/// One month of one year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    year: i64,
    /// 1 to 12.
    month: i64,
}

impl Month {
    /// The month of a moment in unix milliseconds.
    #[must_use]
    pub fn of(now_ms: i64) -> Self {
        // Howard Hinnant, "chrono-compatible low-level date algorithms": civil_from_days
        let days = now_ms.div_euclid(DAY_MS) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153; // 0 is March
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month }
    }

    /// Its first moment.
    fn start_ms(self) -> i64 {
        // the same source: days_from_civil, of the first day
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * shifted + 2) / 5;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * DAY_MS
    }

    fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    /// How long it is.
    pub(super) fn length(self) -> Duration {
        span(self.start_ms(), self.next().start_ms())
    }

    /// The time from a moment of it to its end.
    pub(super) fn rest(self, now_ms: i64) -> Duration {
        span(now_ms, self.next().start_ms())
    }

    /// The part of it that is over, 0 to 1.
    pub(super) fn elapsed(self, now_ms: i64) -> f64 {
        let passed = span(self.start_ms(), now_ms);
        (passed.as_secs_f64() / self.length().as_secs_f64()).min(1.0)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}", self.year, self.month)
    }
}

fn span(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(date: &str) -> i64 {
        let date = httpdate::parse_http_date(date).unwrap();
        date.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
    }

    #[test]
    fn months_begin_and_end_where_the_calendar_says() {
        for (date, name, days) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", "1970-01", 31),
            ("Tue, 29 Feb 2000 12:00:00 GMT", "2000-02", 29),
            ("Wed, 31 Dec 2025 23:59:59 GMT", "2025-12", 31),
            ("Thu, 01 Jan 2026 00:00:00 GMT", "2026-01", 31),
            ("Sat, 28 Feb 2026 23:59:59 GMT", "2026-02", 28),
            ("Sun, 01 Mar 2026 00:00:00 GMT", "2026-03", 31),
            ("Mon, 30 Nov 2026 23:59:59 GMT", "2026-11", 30),
            ("Fri, 29 Feb 2104 00:00:00 GMT", "2104-02", 29),
        ] {
            let month = Month::of(ms(date));
            assert_eq!(month.to_string(), name);
            assert_eq!(month.length(), Duration::from_secs(days * 86_400), "{name}");
            assert!(month.elapsed(ms(date)) >= 0.0 && month.elapsed(ms(date)) < 1.0);
        }
        let middle = ms("Mon, 16 Nov 2026 00:00:00 GMT");
        assert!((Month::of(middle).elapsed(middle) - 0.5).abs() < 1e-9);
        assert_eq!(Month::of(middle).rest(middle), Duration::from_secs(15 * 86_400));
    }
}
