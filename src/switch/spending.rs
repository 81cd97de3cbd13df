//! What companies and users spend on calls to the outside, and when it is too much: bookkeeping without any call.
//!
//! Each call is counted for its company and, when one of its people makes or forwards it, for that user. Time is
//! charged as it passes, so a call that began within its limits is caught while it runs. Nothing of this is kept over
//! a restart: the day's sums begin again at nothing, while the call records themselves are in the store.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use jiff::civil::Date;

use crate::model::fraud::Caps;
use crate::model::fraud::Fraud;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::UserId;
use crate::model::id::UserKey;

/// What `calls_per_minute` counts in.
const MINUTE: Duration = Duration::from_secs(60);
/// One alarm for each limit that is reached over and over, in this long.
const ALARM_EVERY: Duration = Duration::from_secs(600);
/// Øre·milliseconds of one krone that is charged by the minute.
const KRONE: u64 = 100 * 60_000;

/// A moment as limits see it.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// For rates and durations.
    pub mono: Instant,
    /// The day in the company's zone; its sums begin with it.
    pub day: Date,
    /// Whether the night's limits hold.
    pub night: bool,
}

/// Who pays for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer {
    /// Whose.
    pub company: CompanyId,
    /// Who made or forwarded it; none when a flow did.
    pub user: Option<UserId>,
}

impl Payer {
    fn key(&self) -> Option<UserKey> {
        let user = self.user.clone()?;
        Some(UserKey { company: self.company.clone(), user })
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Calls begun in a minute.
    CallsPerMinute,
    /// Minutes in a day.
    Minutes,
    /// Kroner in a day.
    Kroner,
    /// Calls at once.
    Calls,
}

impl Limit {
    /// The key of the configuration, which is also the label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::CallsPerMinute => "calls_per_minute",
            Limit::Minutes => "minutes_per_day",
            Limit::Kroner => "kroner_per_day",
            Limit::Calls => "calls",
        }
    }
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub limit: Limit,
    /// Of the user, not of the company.
    pub of_user: bool,
    /// Nobody was told of it lately.
    pub alarm: bool,
}

/// The books.
#[derive(Debug, Default)]
pub struct Spending {
    companies: HashMap<CompanyId, Account>,
    users: HashMap<UserKey, Account>,
    running: BTreeMap<LegId, Running>,
}

/// One account; as many as there are companies and users, each as long as `calls_per_minute`.
#[derive(Debug, Default)]
struct Account {
    /// When the calls of the last minute began.
    recent: VecDeque<Instant>,
    day: Option<Date>,
    talk_ms: u64,
    /// In øre·milliseconds per minute, so that no rounding adds up.
    cost: u64,
    calls: u32,
    alarmed: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    payer: Payer,
    /// Øre per minute.
    price: u32,
    /// Charged until then; none while it rings.
    charged: Option<Instant>,
}

impl Spending {
    /// Whether a call may begin; if so it is counted. The user's limits are looked at first.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn begin(&mut self, when: When, payer: &Payer, limits: &Fraud) -> Result<(), Exceeded> {
        let percent = if when.night { limits.night_percent } else { 100 };
        let key = payer.key();
        if let Some(key) = &key {
            let account = self.users.entry(key.clone()).or_default();
            account
                .allows(when, &limits.user, percent)
                .map_err(|limit| account.exceeded(when, limit, true))?;
        }
        let account = self.companies.entry(payer.company.clone()).or_default();
        account
            .allows(when, &limits.company, percent)
            .map_err(|limit| account.exceeded(when, limit, false))?;
        for account in self.accounts(payer) {
            account.recent.push_back(when.mono);
        }
        Ok(())
    }

    /// A leg rings out.
    pub fn ring(&mut self, leg: LegId, payer: Payer, price: u32) {
        for account in self.accounts(&payer) {
            account.calls += 1;
        }
        self.running.insert(leg, Running { payer, price, charged: None });
    }

    /// A leg was answered: its time counts from here.
    pub fn answered(&mut self, leg: LegId, now: Instant) {
        if let Some(running) = self.running.get_mut(&leg) {
            running.charged.get_or_insert(now);
        }
    }

    /// A leg is over.
    pub fn end(&mut self, leg: LegId, now: Instant) {
        self.charge(leg, now);
        let Some(gone) = self.running.remove(&leg) else { return };
        for account in self.accounts(&gone.payer) {
            account.calls = account.calls.saturating_sub(1);
        }
    }

    /// Charges what has passed, and tells the legs of those whose day is spent. `of` tells the moment and the limits
    /// of a company; none when it is gone. What passes at midnight is charged to the day that begins.
    pub fn charge_all(
        &mut self,
        now: Instant,
        mut of: impl FnMut(&CompanyId) -> Option<(When, Fraud)>,
    ) -> Vec<(LegId, Payer, Exceeded)> {
        let legs: Vec<LegId> = self.running.keys().copied().collect();
        let mut spent = Vec::new();
        for leg in legs {
            let Some(payer) = self.running.get(&leg).map(|running| running.payer.clone()) else { continue };
            let Some((when, limits)) = of(&payer.company) else { continue };
            for account in self.accounts(&payer) {
                account.turn(when.day);
            }
            self.charge(leg, now);
            if let Some(exceeded) = self.spent(when, &payer, &limits) {
                spent.push((leg, payer, exceeded));
            }
        }
        spent
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Milliseconds and øre of the day, of the company or of the user.
    pub fn sums(&self, payer: &Payer) -> (u64, u64) {
        let account = match payer.key() {
            Some(key) => self.users.get(&key),
            None => self.companies.get(&payer.company),
        };
        account.map_or((0, 0), |account| (account.talk_ms, account.cost / 60_000))
    }

    /// The daily limit that a payer has reached; a running call is not cut for any other.
    fn spent(&mut self, when: When, payer: &Payer, limits: &Fraud) -> Option<Exceeded> {
        if let Some(key) = payer.key()
            && let Some(account) = self.users.get_mut(&key)
            && let Err(limit) = account.day_allows(&limits.user, 100)
        {
            return Some(account.exceeded(when, limit, true));
        }
        let account = self.companies.get_mut(&payer.company)?;
        let limit = account.day_allows(&limits.company, 100).err()?;
        Some(account.exceeded(when, limit, false))
    }

    fn charge(&mut self, leg: LegId, now: Instant) {
        let Some(running) = self.running.get_mut(&leg) else { return };
        let Some(until) = running.charged else { return };
        let passed = u64::try_from(now.saturating_duration_since(until).as_millis()).unwrap_or(u64::MAX);
        // Whole milliseconds are charged; the rest waits for the next time.
        running.charged = Some(until + Duration::from_millis(passed));
        let (payer, price) = (running.payer.clone(), u64::from(running.price));
        for account in self.accounts(&payer) {
            account.talk_ms = account.talk_ms.saturating_add(passed);
            account.cost = account.cost.saturating_add(passed.saturating_mul(price));
        }
    }

    /// The accounts that a payer's calls are counted in.
    fn accounts(&mut self, payer: &Payer) -> impl Iterator<Item = &mut Account> {
        let user = payer.key().map(|key| self.users.entry(key).or_default());
        let company = self.companies.entry(payer.company.clone()).or_default();
        user.into_iter().chain([company])
    }
}

impl Account {
    /// Begins the day, if it is another one.
    fn turn(&mut self, day: Date) {
        if self.day != Some(day) {
            self.day = Some(day);
            (self.talk_ms, self.cost) = (0, 0);
        }
    }

    fn allows(&mut self, when: When, caps: &Caps, percent: u32) -> Result<(), Limit> {
        self.turn(when.day);
        while self.recent.front().is_some_and(|at| when.mono.saturating_duration_since(*at) >= MINUTE) {
            self.recent.pop_front();
        }
        if self.calls >= scaled(caps.calls, percent) {
            return Err(Limit::Calls);
        }
        if self.recent.len() >= scaled(caps.calls_per_minute, percent) as usize {
            return Err(Limit::CallsPerMinute);
        }
        self.day_allows(caps, percent)
    }

    fn day_allows(&self, caps: &Caps, percent: u32) -> Result<(), Limit> {
        if self.talk_ms >= u64::from(scaled(caps.minutes_per_day, percent)) * 60_000 {
            return Err(Limit::Minutes);
        }
        if self.cost >= u64::from(scaled(caps.kroner_per_day, percent)) * KRONE {
            return Err(Limit::Kroner);
        }
        Ok(())
    }

    fn exceeded(&mut self, when: When, limit: Limit, of_user: bool) -> Exceeded {
        let alarm = self.alarmed.is_none_or(|at| when.mono.saturating_duration_since(at) >= ALARM_EVERY);
        if alarm {
            self.alarmed = Some(when.mono);
        }
        Exceeded { limit, of_user, alarm }
    }
}

/// A part of a cap; at least one.
fn scaled(cap: u32, percent: u32) -> u32 {
    u32::try_from(u64::from(cap) * u64::from(percent) / 100).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPS: Caps = Caps { calls_per_minute: 3, minutes_per_day: 10, kroner_per_day: 5, calls: 2 };
    const WIDE: Caps = Caps { calls_per_minute: 900, minutes_per_day: 900, kroner_per_day: 900, calls: 900 };

    fn limits(company: Caps, user: Caps) -> Fraud {
        Fraud { company, user, night_percent: 50 }
    }

    fn payer(user: Option<&str>) -> Payer {
        Payer { company: "c".into(), user: user.map(UserId::from) }
    }

    fn when(start: Instant, seconds: u64) -> When {
        let day = Date::constant(2026, 11, 23);
        When { mono: start + Duration::from_secs(seconds), day, night: false }
    }

    fn limit(result: Result<(), Exceeded>) -> Option<(Limit, bool)> {
        result.err().map(|exceeded| (exceeded.limit, exceeded.of_user))
    }

    #[test]
    fn calls_of_a_minute_are_counted_for_the_user_and_for_the_company() {
        let (start, mut books) = (Instant::now(), Spending::default());
        let both = limits(Caps { calls_per_minute: 4, ..CAPS }, CAPS);
        let kari = payer(Some("kari"));
        for second in 0..3 {
            assert_eq!(books.begin(when(start, second), &kari, &both), Ok(()));
        }
        assert_eq!(limit(books.begin(when(start, 3), &kari, &both)), Some((Limit::CallsPerMinute, true)));
        // A colleague has the company's fourth.
        let ola = payer(Some("ola"));
        assert_eq!(books.begin(when(start, 4), &ola, &both), Ok(()));
        assert_eq!(limit(books.begin(when(start, 5), &ola, &both)), Some((Limit::CallsPerMinute, false)));
        // The first is a minute ago.
        assert_eq!(books.begin(when(start, 60), &kari, &both), Ok(()));
        assert_eq!(limit(books.begin(when(start, 60), &kari, &both)), Some((Limit::CallsPerMinute, true)));
    }

    #[test]
    fn calls_at_once_minutes_and_kroner_each_end_a_day_s_calls() {
        let start = Instant::now();
        let kari = payer(Some("kari"));
        let narrow = limits(WIDE, CAPS);
        let mut books = Spending::default();
        books.ring(LegId(1), kari.clone(), 50);
        books.ring(LegId(2), kari.clone(), 50);
        assert_eq!(limit(books.begin(when(start, 0), &kari, &narrow)), Some((Limit::Calls, true)));
        books.end(LegId(2), start);
        assert_eq!(books.begin(when(start, 0), &kari, &narrow), Ok(()));
        // Ten minutes at 50 øre are ten minutes and five kroner: minutes are looked at first.
        books.answered(LegId(1), start);
        let of = |seconds| move |_: &CompanyId| Some((when(start, seconds), narrow));
        assert_eq!(books.charge_all(start + 599 * Duration::from_secs(1), of(599)), []);
        let spent = books.charge_all(start + 600 * Duration::from_secs(1), of(600));
        assert_eq!(spent.len(), 1);
        assert_eq!((spent[0].0, spent[0].2.limit), (LegId(1), Limit::Minutes));
        books.end(LegId(1), start + 600 * Duration::from_secs(1));
        assert_eq!(books.sums(&kari), (600_000, 500));
        assert_eq!(limit(books.begin(when(start, 700), &kari, &narrow)), Some((Limit::Minutes, true)));
        // Dear minutes.
        let mut books = Spending::default();
        books.ring(LegId(1), kari.clone(), 3_000);
        books.answered(LegId(1), start);
        let spent = books.charge_all(start + Duration::from_secs(10), of(10));
        assert_eq!(spent[0].2.limit, Limit::Kroner);
        // The next day begins with nothing.
        let tomorrow = When { day: Date::constant(2026, 11, 24), ..when(start, 20) };
        books.end(LegId(1), start + Duration::from_secs(10));
        assert_eq!(books.begin(tomorrow, &kari, &narrow), Ok(()));
        assert!(books.is_idle());
    }

    #[test]
    fn at_night_the_caps_are_a_part_and_never_nothing() {
        let (start, mut books) = (Instant::now(), Spending::default());
        let night = When { night: true, ..when(start, 0) };
        let kari = payer(Some("kari"));
        assert_eq!(books.begin(night, &kari, &limits(WIDE, CAPS)), Ok(()));
        assert_eq!(
            limit(books.begin(night, &kari, &limits(WIDE, CAPS))),
            Some((Limit::CallsPerMinute, true))
        );
        assert_eq!(scaled(1, 1), 1);
    }

    #[test]
    fn a_limit_that_is_reached_again_and_again_alarms_once_in_ten_minutes() {
        let (start, mut books) = (Instant::now(), Spending::default());
        let kari = payer(Some("kari"));
        let mut alarms = 0;
        for second in 0..1_200 {
            if let Err(exceeded) = books.begin(when(start, second), &kari, &limits(WIDE, CAPS)) {
                alarms += u32::from(exceeded.alarm);
            }
        }
        assert_eq!(alarms, 2);
    }

    proptest! {
        /// What a call costs does not depend on how often it is looked at.
        #[test]
        fn charging_often_and_once_come_to_the_same(
            steps in prop::collection::vec(0u64..100_000, 1..40), price in 0u32..10_000,
        ) {
            let start = Instant::now();
            let (mut often, mut once) = (Spending::default(), Spending::default());
            let kari = payer(Some("kari"));
            for books in [&mut often, &mut once] {
                books.ring(LegId(1), kari.clone(), price);
                books.answered(LegId(1), start);
            }
            let (mut at, wide) = (start, limits(WIDE, WIDE));
            for step in &steps {
                at += Duration::from_micros(*step);
                often.charge_all(at, |_| Some((when(start, 0), wide)));
            }
            once.charge_all(at, |_| Some((when(start, 0), wide)));
            often.end(LegId(1), at);
            once.end(LegId(1), at);
            prop_assert_eq!(often.sums(&kari), once.sums(&kari));
            prop_assert_eq!(often.sums(&payer(None)), once.sums(&kari));
        }

        /// In no minute do more calls begin than may.
        #[test]
        fn no_minute_has_more_calls_than_its_cap(gaps in prop::collection::vec(0u64..40, 1..100)) {
            let (start, mut books) = (Instant::now(), Spending::default());
            let (mut second, mut begun) = (0, Vec::new());
            for gap in gaps {
                second += gap;
                if books.begin(when(start, second), &payer(None), &limits(CAPS, WIDE)).is_ok() {
                    begun.push(second);
                }
            }
            for first in &begun {
                let within = begun.iter().filter(|at| (*first..first + 60).contains(*at)).count();
                prop_assert!(within <= 3, "{begun:?}");
            }
        }
    }
}
