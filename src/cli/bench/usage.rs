//! Processor time and memory of a process, from /proc.

use std::{fs, time::Duration};

/// Clock ticks a second in /proc; 100 on every Linux this runs on.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, user and system.
    pub processor: Duration,
    /// Most resident memory so far, in bytes.
    pub peak_bytes: u64,
}

impl Usage {
    /// Of the process with this id; `None` where there is no /proc.
    #[must_use]
    pub fn of(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        Some(Self { processor: ticks(&stat, OWN)?, peak_bytes: peak(&status)? })
    }
}

/// Processor time of all children of this process that have ended.
#[must_use]
pub fn children_processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat, CHILDREN).unwrap_or_default()
}

/// Places of user time behind the name in /proc/PID/stat; system time follows.
const OWN: usize = 11;
const CHILDREN: usize = 13;

fn ticks(stat: &str, place: usize) -> Option<Duration> {
    // The name may hold spaces, so fields are counted behind its closing bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(place);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND))
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_name_holds() {
        let stat = "12 (a b) c) S 1 1 1 0 -1 4194304 1 2 3 4 150 25 4 3 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat, OWN), Some(Duration::from_millis(1_750)));
        assert_eq!(ticks(stat, CHILDREN), Some(Duration::from_millis(70)));
        assert_eq!(peak("Name:\tx\nVmHWM:\t   2048 kB\n"), Some(2 << 20));
        assert_eq!(peak("Name:\tx\n"), None);
    }
}
