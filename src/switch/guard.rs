//! Brute force, scanning and floods: who is listened to at all, and whose passwords are tried.
//!
//! An address is judged as a whole while nobody has proved a password from it. One that has is a *home*: it is never
//! silenced, whatever comes from it or claims to, and a device is always heard at its own home; only attempts on other
//! accounts are refused there. Nothing is kept over a restart but what follows from the bindings in the store.
//!
//! What is spared, `Spared`, is neither counted nor shut out.
//!
//! Memory: at most [`ADDRESSES_MAX`] addresses and as many homes of about 100 bytes each, 10 MB in all, and one
//! account per device. Addresses of IPv6 count by their /64, which is what one customer has.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;
use std::time::Instant;

use crate::model::fraud;
use crate::switch::backoff::Backoff;
use crate::switch::backoff::Bucket;
use crate::switch::bounded::Bounded;
use crate::switch::location::Aor;
use crate::switch::spared::Spared;

/// Addresses that are remembered, and homes; those silent for long are forgotten for new ones.
pub const ADDRESSES_MAX: usize = 50_000;
/// Homes of one account; the oldest is forgotten.
const HOMES_MAX: usize = 8;
/// How long an address stays a home without another proof.
const HOME_FOR: Duration = Duration::from_secs(86_400);
/// At its home an account stands so many times more wrong passwords: there they are mostly typing mistakes.
const HOME_FAILURES: u32 = 10;
/// Seconds of flooding beyond the limit after which an address is shut out.
const FLOOD_S: u32 = 5;
/// One line in the log for each address, this often.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Lines in the log per second for all addresses: a sender may claim to be at as many as he likes.
const LOG_PER_SECOND: u32 = 5;

/// Why something was dropped or refused; the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The address is shut out.
    ShutOut,
    /// A scanner by its User-Agent.
    Scanner,
    /// More requests in a second than may be.
    Flood,
    /// A wrong name or password.
    Password,
    /// The account listens to no new address for now.
    Account,
    /// A request in a dialog from somewhere else.
    Origin,
    /// The switch had too much to do.
    Overload,
}

impl Reason {
    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::ShutOut => "shut_out",
            Reason::Scanner => "scanner",
            Reason::Flood => "flood",
            Reason::Password => "password",
            Reason::Account => "account",
            Reason::Origin => "origin",
            Reason::Overload => "overload",
        }
    }
}

/// What is known of the address that a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The operator trusts it, or it is a carrier's.
    Spared,
    /// Somebody has proved a password there.
    Home,
    /// Nothing.
    Stranger,
}

/// Where an attempt on an account comes from, as seen from the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Exactly where a binding of the account is.
    Registered,
    /// The account has proved its password from this address.
    Home,
    /// Neither.
    New,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// Without an answer.
    Drop(Reason),
}

/// All that is remembered.
#[derive(Debug)]
pub(crate) struct Guard {
    settings: fraud::Guard,
    spared: Spared,
    addresses: Bounded<IpAddr, Address>,
    homes: Bounded<IpAddr, Home>,
    accounts: HashMap<Aor, Account>,
    /// Shut out, or let in again when the time is zero; for who can drop what comes before it is read.
    told: VecDeque<(IpAddr, Duration)>,
    counts: Vec<(Reason, u64)>,
    log: Bucket,
}

#[derive(Debug, Default)]
struct Address {
    backoff: Backoff,
    bucket: Bucket,
    /// Requests beyond the limit since it was last shut out.
    over: u32,
    logged: Option<Instant>,
    unlogged: u64,
}

#[derive(Debug, Default)]
struct Home {
    until: Option<Instant>,
    bucket: Bucket,
}

#[derive(Debug, Default)]
struct Account {
    /// Newest last.
    homes: Vec<IpAddr>,
    at_home: Backoff,
    away: Backoff,
}

impl Guard {
    /// Knows nobody.
    pub(crate) fn new(settings: fraud::Guard) -> Guard {
        Guard {
            settings,
            spared: Spared::default(),
            addresses: Bounded::new(ADDRESSES_MAX),
            homes: Bounded::new(ADDRESSES_MAX),
            accounts: HashMap::new(),
            told: VecDeque::new(),
            counts: Vec::new(),
            log: Bucket::default(),
        }
    }

    /// Takes new settings; `exists` tells which accounts there still are.
    pub(crate) fn adopt(&mut self, settings: fraud::Guard, exists: impl Fn(&Aor) -> bool) {
        self.settings = settings;
        self.accounts.retain(|aor, _| exists(aor));
    }

    /// Takes the addresses that are spared from here on, and lets in those of them that are shut out.
    pub(crate) fn spare(&mut self, now: Instant, spared: Spared) {
        self.spared = spared;
        let spared = &self.spared;
        let shut = self.addresses.iter().filter(|(ip, of)| of.backoff.shut(now) && spared.contains(*ip));
        let freed: Vec<IpAddr> = shut.map(|(ip, _)| ip).collect();
        for ip in freed {
            self.addresses.entry(ip).backoff = Backoff::default();
            self.told.push_back((ip, Duration::ZERO));
        }
    }

    /// What is known of an address.
    pub(crate) fn place(&self, now: Instant, ip: IpAddr) -> Place {
        let home = || self.homes.peek(network(ip)).and_then(|home| home.until).is_some_and(|at| now < at);
        match () {
            () if self.spared.contains(ip) => Place::Spared,
            () if home() => Place::Home,
            () => Place::Stranger,
        }
    }

    /// Whether a request is heard at all. Called before anything is made or answered because of it.
    pub(crate) fn look(&mut self, now: Instant, ip: IpAddr, place: Place, agent: Option<&str>) -> Verdict {
        let key = network(ip);
        match place {
            Place::Spared => return Verdict::Pass,
            Place::Home => {
                let rate = self.settings.requests_per_second_known;
                let taken = self.homes.entry(key).bucket.take(now, rate);
                return if taken { Verdict::Pass } else { Verdict::Drop(Reason::Flood) };
            }
            Place::Stranger => {}
        }
        let scanners = &self.settings.scanners;
        let scanner = agent.is_some_and(|agent| scanners.iter().any(|name| names(agent, name)));
        let rate = self.settings.requests_per_second;
        let address = self.addresses.entry(key);
        if address.backoff.shut(now) {
            return Verdict::Drop(Reason::ShutOut);
        }
        if scanner {
            let long = address.backoff.shut_out(now, &self.settings);
            self.told.push_back((key, long));
            return Verdict::Drop(Reason::Scanner);
        }
        if address.bucket.take(now, rate) {
            return Verdict::Pass;
        }
        address.over += 1;
        if address.over >= rate.saturating_mul(FLOOD_S) {
            address.over = 0;
            let long = address.backoff.shut_out(now, &self.settings);
            self.told.push_back((key, long));
        }
        Verdict::Drop(Reason::Flood)
    }

    /// How an account sees an address; `registered` when a binding of its is exactly there.
    pub(crate) fn standing(&self, aor: &Aor, ip: IpAddr, registered: bool) -> Standing {
        let home = || self.accounts.get(aor).is_some_and(|account| account.homes.contains(&network(ip)));
        match () {
            () if registered => Standing::Registered,
            () if home() => Standing::Home,
            () => Standing::New,
        }
    }

    /// Whether a password may be tried. When not, the answer must be as to a wrong one.
    pub(crate) fn may_try(&self, now: Instant, ip: IpAddr, aor: &Aor, standing: Standing) -> bool {
        let account = self.accounts.get(aor);
        match standing {
            Standing::Registered => true,
            Standing::Home => !account.is_some_and(|account| account.at_home.shut(now)),
            Standing::New => {
                let shut = |address: &Address| address.backoff.shut(now);
                !account.is_some_and(|account| account.away.shut(now))
                    && !self.addresses.peek(network(ip)).is_some_and(shut)
            }
        }
    }

    /// A wrong name or password. `known` when there is such an account. Tells for how long the address was shut out
    /// because of it.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        ip: IpAddr,
        place: Place,
        known: Option<&Aor>,
        standing: Standing,
    ) -> Option<Duration> {
        let most = self.settings.failures;
        if let Some(aor) = known {
            let account = self.accounts.entry(aor.clone()).or_default();
            match standing {
                Standing::Registered => {}
                Standing::Home => {
                    account.at_home.fail(now, most.saturating_mul(HOME_FAILURES), &self.settings);
                }
                Standing::New => {
                    account.away.fail(now, most, &self.settings);
                }
            }
        }
        if standing != Standing::New || place == Place::Spared {
            return None;
        }
        let key = network(ip);
        let long = self.addresses.entry(key).backoff.fail(now, most, &self.settings)?;
        if place == Place::Stranger {
            self.told.push_back((key, long));
        }
        Some(long)
    }

    /// An account has proved its password from here.
    pub(crate) fn proved(&mut self, now: Instant, ip: IpAddr, aor: &Aor) {
        let key = network(ip);
        self.homes.entry(key).until = Some(now + HOME_FOR);
        if !self.accounts.contains_key(aor) {
            self.accounts.insert(aor.clone(), Account::default());
        }
        let Some(account) = self.accounts.get_mut(aor) else { return };
        if account.homes.last() != Some(&key) {
            account.homes.retain(|home| *home != key);
            if account.homes.len() == HOMES_MAX {
                account.homes.remove(0);
            }
            account.homes.push(key);
        }
    }

    /// Counts what happened. Tells how often it did at this address when a line in the log is due.
    pub(crate) fn note(&mut self, now: Instant, ip: IpAddr, reason: Reason) -> Option<u64> {
        match self.counts.iter_mut().find(|(counted, _)| *counted == reason) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((reason, 1)),
        }
        let address = self.addresses.entry(network(ip));
        address.unlogged += 1;
        if address.logged.is_some_and(|at| now.saturating_duration_since(at) < LOG_EVERY) {
            return None;
        }
        if !self.log.take(now, LOG_PER_SECOND) {
            return None;
        }
        address.logged = Some(now);
        Some(std::mem::take(&mut address.unlogged))
    }

    /// What was counted since the last time.
    pub(crate) fn take_counts(&mut self) -> Vec<(Reason, u64)> {
        std::mem::take(&mut self.counts)
    }

    /// The next address that is shut out for so long, or let in again when the time is zero.
    pub(crate) fn poll_told(&mut self) -> Option<(IpAddr, Duration)> {
        self.told.pop_front()
    }

    /// Addresses shut out now.
    pub(crate) fn shut_out(&self, now: Instant) -> usize {
        self.addresses.iter().filter(|(_, address)| address.backoff.shut(now)).count()
    }

    /// Addresses remembered.
    #[cfg(test)]
    fn addresses(&self) -> usize {
        self.addresses.len()
    }
}

/// Whether a User-Agent contains a scanner's name, which is in small letters.
fn names(agent: &str, scanner: &str) -> bool {
    agent.as_bytes().windows(scanner.len().max(1)).any(|part| part.eq_ignore_ascii_case(scanner.as_bytes()))
}

/// What an address counts as: itself, or the /64 of IPv6.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn ip(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last))
    }

    fn aor(name: &str) -> Aor {
        Aor { domain: "d".into(), device: name.into() }
    }

    fn guard() -> Guard {
        Guard::new(fraud::Guard::default())
    }

    /// Tries a wrong password until the address is shut out; tells after how many and for how long.
    fn force(guard: &mut Guard, now: Instant, ip: IpAddr, name: Option<&Aor>) -> (u32, Duration) {
        for tries in 1..1_000 {
            let place = guard.place(now, ip);
            if let Some(long) = guard.failed(now, ip, place, name, Standing::New) {
                return (tries, long);
            }
        }
        panic!("never shut out");
    }

    #[test]
    fn ten_wrong_passwords_shut_an_address_out_for_a_minute_then_two_up_to_an_hour() {
        let (mut guard, mut now) = (guard(), Instant::now());
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(force(&mut guard, now, ip(1), None), (10, minutes * 60 * S));
            assert_eq!(guard.look(now, ip(1), Place::Stranger, None), Verdict::Drop(Reason::ShutOut));
            assert_eq!(guard.look(now, ip(2), Place::Stranger, None), Verdict::Pass);
            assert_eq!(guard.poll_told(), Some((ip(1), minutes * 60 * S)));
            now += minutes * 60 * S;
            assert_eq!(guard.look(now, ip(1), Place::Stranger, None), Verdict::Pass);
        }
        // An hour of quiet.
        now += 3_600 * S;
        assert_eq!(force(&mut guard, now, ip(1), None), (10, 60 * S));
    }

    #[test]
    fn failures_far_apart_are_typing_mistakes() {
        let (mut guard, now) = (guard(), Instant::now());
        for hour in 0..100 {
            let at = now + hour * 40 * S;
            assert_eq!(guard.failed(at, ip(1), Place::Stranger, None, Standing::New), None);
        }
    }

    #[test]
    fn an_attacked_account_closes_to_new_addresses_and_stays_open_where_its_phone_is() {
        let (mut guard, now) = (guard(), Instant::now());
        let kari = aor("kari");
        guard.proved(now, ip(1), &kari);
        for attacker in 100..200 {
            guard.failed(now, ip(attacker), Place::Stranger, Some(&kari), Standing::New);
        }
        let may = |guard: &Guard, ip, registered| {
            guard.may_try(now, ip, &kari, guard.standing(&kari, ip, registered))
        };
        assert!(!may(&guard, ip(300), false), "an address that it has never been at");
        assert!(may(&guard, ip(1), false), "its home, another port");
        assert!(may(&guard, ip(1), true));
        assert!(guard.may_try(now, ip(300), &aor("ola"), Standing::New), "another account");
        // Somebody at its home, or who pretends to be there, guesses too.
        for _ in 0..100 {
            guard.failed(now, ip(1), Place::Home, Some(&kari), Standing::Home);
        }
        assert!(!may(&guard, ip(1), false));
        assert!(may(&guard, ip(1), true), "the phone itself is heard all the time");
    }

    #[test]
    fn a_home_is_never_silenced_but_others_accounts_are_closed_to_it() {
        let (mut guard, now) = (guard(), Instant::now());
        guard.proved(now, ip(1), &aor("kari"));
        let ola = aor("ola");
        assert_eq!(guard.place(now, ip(1)), Place::Home);
        assert_eq!(force(&mut guard, now, ip(1), None).0, 10);
        assert_eq!(guard.poll_told(), None);
        assert_eq!(guard.look(now, ip(1), Place::Home, Some("friendly-scanner")), Verdict::Pass);
        assert!(!guard.may_try(now, ip(1), &ola, Standing::New));
        assert!(guard.may_try(now, ip(1), &aor("kari"), Standing::Home));
        // A day later nothing is known of it.
        assert_eq!(guard.place(now + HOME_FOR, ip(1)), Place::Stranger);
    }

    #[test]
    fn scanners_are_known_by_their_names_and_shut_out_at_once() {
        let rows = [
            ("friendly-scanner", true),
            ("Friendly-Scanner/1.0", true),
            ("sipcli/v1.8", true),
            ("VaxSIPUserAgent/3.5", true),
            ("pplsip", true),
            ("sundayddr", true),
            ("snomD785/10.1", false),
            ("Yealink SIP-T46S 66.85", false),
            ("", false),
        ];
        for (at, (agent, scanner)) in rows.into_iter().enumerate() {
            let (mut guard, now) = (guard(), Instant::now());
            let address = ip(at as u32);
            let expect = if scanner { Verdict::Drop(Reason::Scanner) } else { Verdict::Pass };
            assert_eq!(guard.look(now, address, Place::Stranger, Some(agent)), expect, "{agent}");
            assert_eq!(guard.shut_out(now), usize::from(scanner), "{agent}");
        }
    }

    #[test]
    fn a_stranger_s_flood_is_cut_to_its_rate_a_home_s_to_a_higher_one_and_a_trunk_s_is_not() {
        let (mut guard, now) = (guard(), Instant::now());
        let mut passed = |place, per_second: u32| {
            let all = (0..per_second * 4).map(|at| now + S * at / per_second);
            all.filter(|at| guard.look(*at, ip(9), place, None) == Verdict::Pass).count()
        };
        // Four seconds: 200 each, and 400 at once. Then the address is shut out for going on.
        assert_eq!(passed(Place::Stranger, 250), 1_000);
        assert_eq!(passed(Place::Home, 4_000), 16_000);
        assert!(passed(Place::Home, 10_000) < 31_000);
        assert_eq!(passed(Place::Spared, 50_000), 200_000);
        assert!(passed(Place::Stranger, 2_000) < 1_300);
        assert_eq!(guard.shut_out(now + 4 * S), 1);
    }

    #[test]
    fn spared_addresses_are_let_in_at_once_and_never_touched() {
        let mut spared = Spared::default();
        spared.add(&crate::model::trunk::Trusted { address: ip(0), prefix: 8, port: None });
        let (mut guard, now) = (guard(), Instant::now());
        force(&mut guard, now, ip(1), None);
        guard.poll_told();
        guard.spare(now, spared);
        assert_eq!(guard.poll_told(), Some((ip(1), Duration::ZERO)));
        assert_eq!(guard.place(now, ip(1)), Place::Spared);
        assert_eq!(guard.look(now, ip(1), Place::Spared, Some("sipvicious")), Verdict::Pass);
        assert_eq!(guard.failed(now, ip(1), Place::Spared, None, Standing::New), None);
    }

    #[test]
    fn a_line_is_written_once_a_minute_with_what_was_left_out() {
        let (mut guard, now) = (guard(), Instant::now());
        let lines: Vec<u64> =
            (0..150).filter_map(|at| guard.note(now + at * S, ip(1), Reason::Flood)).collect();
        assert_eq!(lines, [1, 60, 60]);
        assert_eq!(guard.take_counts(), [(Reason::Flood, 150)]);
        assert_eq!(guard.take_counts(), []);
        // As many addresses as a sender likes to claim.
        let all = (0..10_000).filter(|at| guard.note(now + 200 * S, ip(1_000 + at), Reason::Flood).is_some());
        assert!(all.count() <= 20);
    }

    #[test]
    fn the_table_is_bounded_and_a_flood_of_addresses_drives_out_no_home() {
        let (mut guard, now) = (guard(), Instant::now());
        guard.proved(now, ip(1), &aor("kari"));
        for address in 0..ADDRESSES_MAX as u32 + 1_000 {
            guard.look(now, ip(1_000 + address), Place::Stranger, None);
        }
        assert!((ADDRESSES_MAX / 2..=ADDRESSES_MAX).contains(&guard.addresses()));
        assert_eq!(guard.place(now, ip(1)), Place::Home);
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let a: IpAddr = "2001:db8:1:2:3::4".parse().unwrap();
        let b: IpAddr = "2001:db8:1:2:ffff::".parse().unwrap();
        let c: IpAddr = "2001:db8:1:3::".parse().unwrap();
        assert_eq!(network(a), network(b));
        assert_ne!(network(a), network(c));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), ip(1));
    }

    proptest! {
        /// Whatever attackers do, and wherever they say they are, the phone at its binding may try its password, and
        /// its address is heard unless it floods by itself.
        #[test]
        fn no_attack_locks_out_a_registered_phone(
            attempts in prop::collection::vec((0u32..4, 0u64..200, 0u8..3, any::<bool>()), 1..400),
        ) {
            let (mut guard, mut now) = (guard(), Instant::now());
            let kari = aor("kari");
            guard.proved(now, ip(1), &kari);
            for (from, gap, kind, scanner) in attempts {
                now += Duration::from_millis(gap);
                let (from, agent) = (ip(from), scanner.then_some("sipvicious"));
                let place = guard.place(now, from);
                match kind {
                    0 => {
                        guard.look(now, from, place, agent);
                    }
                    1 => {
                        let standing = guard.standing(&kari, from, false);
                        guard.failed(now, from, place, Some(&kari), standing);
                    }
                    _ => {
                        guard.failed(now, from, place, None, Standing::New);
                    }
                }
                let place = guard.place(now, ip(1));
                prop_assert_eq!(place, Place::Home);
                prop_assert_eq!(guard.look(now, ip(1), place, None), Verdict::Pass);
                prop_assert!(guard.may_try(now, ip(1), &kari, guard.standing(&kari, ip(1), true)));
            }
        }
    }
}
