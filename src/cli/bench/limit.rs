//! `--fail-if 'p99>5ms'`: a figure, a comparison and a limit.

use std::{cmp::Ordering, str::FromStr};

use crate::cli::text;

/// A measured figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name: `p99`, `versions`.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit: `ms`, `MiB/s`, `/s`, or nothing.
    pub unit: &'static str,
}

impl Figure {
    /// A figure without a unit of its own.
    #[must_use]
    pub fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit }
    }

    /// `1.9 ms`, `41220`.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(self.value, self.unit)
    }
}

fn shown(value: f64, unit: &str) -> String {
    let number = match value {
        // Rounded on purpose; what is no number is shown as such.
        100.0..1e15 => text::count(round(value)),
        _ => format!("{value:.1}").trim_end_matches(".0").to_owned(),
    };
    match unit {
        "" => number,
        "/s" => format!("{number}/s"),
        unit => format!("{number} {unit}"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "called for positive numbers below 1e15 only"
)]
fn round(value: f64) -> u64 {
    value.round() as u64
}

/// A limit of one figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    name: String,
    missed_when: Ordering,
    value: f64,
    unit: String,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = "must be FIGURE<LIMIT or FIGURE>LIMIT, like 'p99>5ms' or 'versions<500/s'";
        let at = text.find(['<', '>']).ok_or(rule)?;
        let (name, rest) = text.split_at(at);
        let missed_when = if rest.starts_with('<') { Ordering::Less } else { Ordering::Greater };
        let rest = rest.trim_start_matches(['<', '>']).trim();
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let value = number.parse().map_err(|_| rule)?;
        if name.trim().is_empty() {
            return Err(rule.into());
        }
        let name = name.trim().trim_end_matches("/s");
        Ok(Self { name: name.into(), missed_when, value, unit: unit.trim().into() })
    }
}

impl Limit {
    /// Whether the figures miss the limit, and what to say about it.
    ///
    /// # Errors
    /// When there is no such figure or its unit is another.
    pub fn judge(&self, figures: &[Figure]) -> Result<Verdict, String> {
        let figure = figures.iter().find(|figure| figure.name == self.name).ok_or_else(|| {
            let known: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
            format!("there is no figure `{}`; measured are {}", self.name, known.join(", "))
        })?;
        let factor = factor(&self.unit, figure.unit).ok_or_else(|| {
            format!("`{}` is measured in {}, not in {}", self.name, figure.unit, self.unit)
        })?;
        let limit = self.value * factor;
        let missed = figure.value.partial_cmp(&limit).is_none_or(|order| order == self.missed_when);
        let text =
            format!("{} {} (limit {})", figure.name, figure.shown(), shown(limit, figure.unit));
        Ok(Verdict { missed, text })
    }
}

/// Refuses limits of figures that are not measured, before anything is measured.
///
/// # Errors
/// The first limit without a figure.
pub fn check(limits: &[Limit], known: &[&str]) -> Result<(), String> {
    match limits.iter().find(|limit| !known.contains(&limit.name.as_str())) {
        None => Ok(()),
        Some(limit) => {
            let known = known.join(", ");
            Err(format!("there is no figure `{}`; measured are {known}", limit.name))
        }
    }
}

/// What became of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it was missed.
    pub missed: bool,
    /// `p99 1.9 ms (limit 5 ms)`.
    pub text: String,
}

fn factor(given: &str, measured: &str) -> Option<f64> {
    match (given, measured) {
        (given, measured) if given.is_empty() || given == measured => Some(1.0),
        ("s", "ms") => Some(1_000.0),
        ("us", "ms") => Some(0.001),
        ("GiB", "MiB") | ("GiB/s", "MiB/s") => Some(1_024.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Vec<Figure> {
        vec![Figure::new("p99", 1.9, "ms"), Figure::new("versions", 2_003.4, "/s")]
    }

    #[test]
    fn limits_are_read_and_judged() {
        let judge = |text: &str| Limit::from_str(text).unwrap().judge(&figures()).unwrap();
        assert!(!judge("p99>5ms").missed);
        assert!(judge("p99>1.5ms").missed);
        assert!(judge("p99 > 0.001 s").missed);
        assert!(!judge("versions/s<500").missed);
        assert!(judge("versions/s<5000").missed);
        assert_eq!(judge("p99>5ms").text, "p99 1.9 ms (limit 5 ms)");
        assert_eq!(judge("versions/s<500").text, "versions 2,003/s (limit 500/s)");
        assert!(judge("versions<2004/s").missed);
        assert!(check(&["p99>5".parse().unwrap()], &["p99"]).is_ok());
        assert!(check(&["p98>5".parse().unwrap()], &["p99"]).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "p99", "p99>", ">5", "p99=5", "p99>x"] {
            assert!(Limit::from_str(text).is_err(), "{text}");
        }
        assert!(Limit::from_str("p98>5").unwrap().judge(&figures()).is_err());
        assert!(Limit::from_str("p99>5MiB").unwrap().judge(&figures()).is_err());
    }

    #[test]
    fn a_figure_that_is_no_number_misses_every_limit() {
        let figures = [Figure::new("p99", f64::NAN, "ms")];
        assert!(Limit::from_str("p99>5").unwrap().judge(&figures).unwrap().missed);
    }
}
