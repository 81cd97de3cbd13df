//! Calls to the outside and what they may cost: rights by class, limits by rate, time and money, and alarms.
//!
//! A call that may not be made is refused with 403 (no right) or 603 (a limit), with the reason, and its caller
//! hears that it is barred. A call that runs when the day is spent is ended. Emergency calls pass untouched.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::model::cdr::CallResult;
use crate::model::change::Change;
use crate::model::class::PriceClass;
use crate::model::fraud::Fraud;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::UserKey;
use crate::model::trunk::Via;
use crate::sip::Extra;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::bridge::Ending;
use crate::switch::dial::Purpose;
use crate::switch::outgoing::Outbound;
use crate::switch::route;
use crate::switch::route::Target;
use crate::switch::spending::Exceeded;
use crate::switch::spending::Payer;
use crate::switch::spending::When;
use crate::time::Now;

/// Alarms that `sentral status` shows.
const ALARMS_MAX: usize = 5;

impl Switch {
    /// What becomes of a call that somebody of ours makes: where it leads, or to words that say why not.
    pub(crate) fn within_limits(&mut self, now: Now, admitted: &Admitted, target: Target) -> Target {
        let (Admitted::Device { company, user }, Target::Outside { number, .. }) = (admitted, &target) else {
            if let Target::Barred { company, why, .. } = &target {
                self.decide(now, &company.clone(), None, "call.barred", why);
            }
            return target;
        };
        let payer = Payer { company: company.clone(), user: Some(user.clone()) };
        match self.may_spend(now, None, &payer, number) {
            Ok(()) => target,
            Err(exceeded) => {
                Target::Barred { company: company.clone(), status: 603, why: exceeded.limit.as_str() }
            }
        }
    }

    /// Whether the reason of a refusal is said as well: while half of the RTP ports are free, so that a phone gone
    /// wild cannot fill them with announcements.
    pub(crate) fn may_announce(&self) -> bool {
        self.ports.free() * 2 > self.ports.total()
    }

    /// The trunks to a number that a call is sent on to. Of a user it obeys the rights and limits of that user,
    /// whoever calls; of a flow those of the company.
    pub(crate) fn trunks_to(
        &mut self,
        now: Now,
        call: CallId,
        number: &Number,
        user: Option<&UserKey>,
    ) -> Option<Via> {
        let company = match user {
            Some(user) => user.company.clone(),
            None => self.calls.get(&call)?.company.clone(),
        };
        let of = self.config.companies.get(&company)?;
        let user = user.map(|user| user.user.clone());
        let rights = route::rights(of, user.as_ref());
        let trunks = match route::outside(&self.config, &company, number, rights) {
            Ok(trunks) => trunks,
            Err(refused) => {
                self.decide(now, &company, Some(call), "call.barred", &refused.to_string());
                return None;
            }
        };
        let payer = Payer { company, user };
        self.may_spend(now, Some(call), &payer, number).ok().map(|()| trunks)
    }

    /// A leg to a number outside has begun to ring: who pays is noted.
    pub(crate) fn rings_out(&mut self, leg: LegId, out: &Outbound) {
        let class = self.config.server.tariff.class(&out.number);
        if class == PriceClass::Emergency {
            return;
        }
        let Some(of) = self.legs.get(&leg) else { return };
        let Some(call) = self.calls.get(&of.call) else { return };
        let attempt = of.attempt.and_then(|id| call.attempts.get(&id));
        let dialled = attempt.is_some_and(|attempt| attempt.purpose == Purpose::Outbound);
        let user =
            out.user.clone().or_else(|| call.sender()).or_else(|| call.caller_user().filter(|_| dialled));
        let payer = match user {
            Some(user) => Payer { company: user.company, user: Some(user.user) },
            None => Payer { company: call.company.clone(), user: None },
        };
        self.spending.ring(leg, payer, self.config.server.tariff.price(class));
    }

    /// Charges running calls, and ends those that have spent their day.
    pub(crate) fn charge_running(&mut self, now: Now) {
        let config = std::sync::Arc::clone(&self.config);
        let of = |company: &CompanyId| {
            let of = config.companies.get(company)?;
            Some((when(now, &of.zone), of.fraud))
        };
        for (leg, payer, exceeded) in self.spending.charge_all(now.mono, of) {
            let Some(call) = self.legs.get(&leg).map(|of| of.call) else { continue };
            self.too_much(now, Some(call), &payer, exceeded);
            let why = reason(exceeded.limit.as_str());
            self.end_call(now, call, Ending { extra: why, ..Ending::refused(603, CallResult::Rejected) });
        }
    }

    /// Whether somebody may begin a call to the outside; if so it counts. The price class decides nothing here but
    /// that an emergency call is never asked about.
    fn may_spend(
        &mut self,
        now: Now,
        call: Option<CallId>,
        payer: &Payer,
        number: &Number,
    ) -> Result<(), Exceeded> {
        if self.config.server.tariff.class(number) == PriceClass::Emergency {
            return Ok(());
        }
        let of = self.config.companies.get(&payer.company);
        let (zone, limits) = of.map_or(("UTC".into(), Fraud::default()), |of| (of.zone.clone(), of.fraud));
        // What runs is charged first: a limit is one of this moment.
        let begun = self.spending.begin(when(now, &zone), payer, &limits);
        if let Err(exceeded) = begun {
            self.too_much(now, call, payer, exceeded);
        }
        begun
    }

    /// A limit is reached: a decision each time, an alarm now and then.
    fn too_much(&mut self, now: Now, call: Option<CallId>, payer: &Payer, exceeded: Exceeded) {
        let limit = exceeded.limit.as_str();
        let whose = match (&payer.user, exceeded.of_user) {
            (Some(user), true) => format!("user {user}"),
            _ => "the company".to_owned(),
        };
        let why = format!("{whose} has reached {limit}");
        self.decide(now, &payer.company, call, "fraud.limit", &why);
        if !exceeded.alarm {
            return;
        }
        tracing::warn!(company = %payer.company, limit, whose, "calls to the outside are refused: limit reached");
        let text = format!("{}: {why}", payer.company);
        self.alarms.push_back((now.utc, text));
        while self.alarms.len() > ALARMS_MAX {
            self.alarms.pop_front();
        }
        self.tell(Change::Alarm {
            company: payer.company.clone(),
            reason: limit.into(),
            why: why.into(),
            at: now.utc,
        });
    }

    /// The alarms that are remembered, oldest first.
    pub(crate) fn alarm_lines(&self) -> Vec<String> {
        self.alarms.iter().map(|(at, text)| format!("{at:.0} {text}")).collect()
    }
}

/// Why a call is refused or ended (RFC 3326; in responses RFC 6432): 21 is "call rejected".
pub(crate) fn reason(why: &str) -> Extra {
    vec![("Reason", format!("Q.850;cause=21;text=\"{why}\""))]
}

/// A moment as limits see it: nights are from 20:00 to 06:00 and at weekends.
fn when(now: Now, zone: &str) -> When {
    // A configuration with an unknown zone is refused at load.
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let local = zone.to_datetime(now.utc);
    let weekend = matches!(local.date().weekday(), Weekday::Saturday | Weekday::Sunday);
    When { mono: now.mono, day: local.date(), night: weekend || !(6..20).contains(&local.hour()) }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use super::*;

    #[test]
    fn days_and_nights_are_those_of_the_company() {
        let rows = [
            ("2026-11-23T11:00:00Z", "2026-11-23", false),
            ("2026-11-23T04:59:00Z", "2026-11-23", true),
            ("2026-11-23T05:00:00Z", "2026-11-23", false),
            ("2026-11-23T19:00:00Z", "2026-11-23", true),
            ("2026-11-23T23:00:00Z", "2026-11-24", true),
            // A Saturday.
            ("2026-11-28T11:00:00Z", "2026-11-28", true),
        ];
        for (utc, day, night) in rows {
            let now = Now { mono: std::time::Instant::now(), utc: utc.parse().unwrap() };
            let when = when(now, "Europe/Oslo");
            assert_eq!((when.day.to_string().as_str(), when.night), (day, night), "{utc}");
        }
    }
}
