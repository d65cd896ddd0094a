//! Numbers with units, as the messages write them.

use std::time::Duration;

/// `21,480`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 package`, `3 packages`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// `31.4 MiB`; `12 B` below a KiB.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    // Two more bits of precision than are shown are enough.
    let mut tenths = u128::from(number) * 10 / 1024;
    let mut unit = UNITS.iter().peekable();
    while tenths >= 10_240 && unit.len() > 1 {
        tenths /= 1024;
        unit.next();
    }
    let name = unit.peek().copied().unwrap_or(&"EiB");
    if tenths >= 1000 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// `84 ms`, `5.2 s`, `31 min 8 s`, `3 d 4 h`.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// An age in whole units: `9 s`, `3 d 4 h`.
#[must_use]
pub fn age(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        seconds @ 0..60 => format!("{seconds} s"),
        _ => span(Duration::from_millis(milliseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(21_480), "21,480");
        assert_eq!(count(3_104_882), "3,104,882");
        assert_eq!(counted(1, "package"), "1 package");
        assert_eq!(counted(0, "version"), "0 versions");
    }

    #[test]
    fn bytes_are_shown_in_the_largest_fitting_unit() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(14 * 1024 * 1024 + 200 * 1024), "14.1 MiB");
        assert_eq!(bytes(500 << 20), "500 MiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn times_are_shown_with_two_units_at_most() {
        assert_eq!(span(Duration::from_millis(84)), "84 ms");
        assert_eq!(span(Duration::from_millis(5_240)), "5.2 s");
        assert_eq!(span(Duration::from_secs(1_868)), "31 min 8 s");
        assert_eq!(span(Duration::from_secs(3 * 86_400 + 4 * 3_600)), "3 d 4 h");
        assert_eq!(age(9_400), "9 s");
    }
}
