//! Limits against fraud and abuse: what a company and a user may spend, and how strangers are treated.

use std::sync::Arc;
use std::time::Duration;

use crate::model::trunk::Trusted;

/// What somebody may spend on calls to the outside. Emergency calls are never limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Calls begun in any 60 seconds.
    pub calls_per_minute: u32,
    /// Minutes of talk in a day.
    pub minutes_per_day: u32,
    /// Kroner in a day, by the price classes.
    pub kroner_per_day: u32,
    /// Calls at once, ringing ones included.
    pub calls: u32,
}

/// `[fraud]`, of the server or of a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraud {
    /// Of the whole company.
    pub company: Caps,
    /// Of each of its users.
    pub user: Caps,
    /// Percent of the day's caps on calls begun from 20:00 to 06:00 and at weekends; 100 makes no difference.
    pub night_percent: u32,
}

impl Default for Fraud {
    fn default() -> Fraud {
        Fraud {
            company: Caps {
                calls_per_minute: 300,
                minutes_per_day: 50_000,
                kroner_per_day: 5_000,
                calls: 500,
            },
            user: Caps { calls_per_minute: 30, minutes_per_day: 960, kroner_per_day: 500, calls: 10 },
            night_percent: 100,
        }
    }
}

/// `[guard]`: brute force, scanning, floods and overload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Wrong passwords within `within` after which an address, or an account for new addresses, is shut out.
    pub failures: u32,
    /// The time that `failures` counts in.
    pub within: Duration,
    /// How long the first time; each further time twice as long.
    pub shut_out: Duration,
    /// How long at most.
    pub shut_out_max: Duration,
    /// Requests per second of an address that has never proved a password; twice as many at once.
    pub requests_per_second: u32,
    /// The same for addresses of phones that have. Trunks are not counted.
    pub requests_per_second_known: u32,
    /// User-Agents of scanners, in small letters; part of the header is enough.
    pub scanners: Vec<Arc<str>>,
    /// Addresses that are never shut out or counted.
    pub never: Vec<Trusted>,
    /// How long messages may have waited before new calls are turned away.
    pub lag: Duration,
}

impl Default for Guard {
    fn default() -> Guard {
        let scanners = [
            "friendly-scanner",
            "sipvicious",
            "sipcli",
            "sundayddr",
            "sip-scan",
            "pplsip",
            "vaxsipuseragent",
            "vaxasip",
            "iwar",
            "smap",
            "csipsimple-scan",
        ];
        Guard {
            failures: 10,
            within: Duration::from_secs(300),
            shut_out: Duration::from_secs(60),
            shut_out_max: Duration::from_secs(3_600),
            requests_per_second: 200,
            requests_per_second_known: 5_000,
            scanners: scanners.into_iter().map(Arc::from).collect(),
            never: Vec::new(),
            lag: Duration::from_millis(100),
        }
    }
}
