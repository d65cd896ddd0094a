//! What an operator can say about deliveries.

use std::time::Duration;

use ipnet::IpNet;

/// How deliveries to hooks are made.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Ranges that endpoints may lead to although they are not public (`hooks.allow_private`).
    pub allow_private: Vec<IpNet>,
    /// Longest time of one try, from connecting to the end of the answer (`hooks.timeout`).
    pub timeout: Duration,
    /// Tries before a delivery is parked (`hooks.attempts`).
    pub attempts: u32,
    /// Wait before the second try; three times as long before each further one, up to an hour.
    pub first_retry: Duration,
    /// A hook that failed for so long without one success is paused (`hooks.pause_after`).
    pub pause_after: Duration,
    /// How long ended deliveries are shown (`hooks.keep_history`).
    pub keep_history: Duration,
    /// How long deliveries wait for a hook that is paused (`hooks.keep_paused`).
    pub keep_paused: Duration,
    /// Certificates in PEM form that are believed beside the system's (`upstream.ca`).
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            timeout: Duration::from_secs(10),
            attempts: 8,
            first_retry: Duration::from_secs(10),
            pause_after: Duration::from_secs(24 * 3600),
            keep_history: Duration::from_secs(7 * 24 * 3600),
            keep_paused: Duration::from_secs(7 * 24 * 3600),
            ca_pem: None,
        }
    }
}
