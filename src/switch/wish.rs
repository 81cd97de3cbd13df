//! May somebody have what they wish: where a forward may lead, and what is said when it may not. Pure functions, the
//! same for star codes, the command line and whatever comes later.

use std::collections::BTreeSet;

use crate::model::Config;
use crate::model::company::Company;
use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::number;
use crate::model::personal::Absence;
use crate::model::personal::Condition;
use crate::model::personal::Rule;
use crate::model::personal::Setting;
use crate::model::personal::ShownNumber;
use crate::model::personal::Wish;
use crate::switch::personal::People;
use crate::switch::route;
use crate::switch::route::NoRoute;
use crate::time::Timestamp;

/// Seconds that somebody may ring before a call is sent on.
pub const AFTER_S: std::ops::RangeInclusive<u32> = 5..=300;
/// Characters of a reason.
const REASON_MAX: usize = 60;

/// Why a wish is not fulfilled; nothing is changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// To the very same person.
    #[error("calls cannot be forwarded to the person themselves: choose somebody else, or voicemail")]
    Self_,
    /// Who is forwarded to sends calls back here.
    #[error("the forward would go in a ring: {0} forwards back; choose somebody else")]
    Ring(UserId),
    /// The user may not call such numbers.
    #[error(
        "the user may not call this number ({0}), so calls are not forwarded there: choose another, or allow the class"
    )]
    Barred(&'static str),
    /// 110, 112, 113 …
    #[error("calls are not forwarded to an emergency number")]
    Emergency,
    /// Nobody has it.
    #[error(
        "\"{0}\" is no number, extension or destination that calls can go to: write for example 201, +4736000300 or user:maja"
    )]
    Unknown(String),
    /// Too short or too long.
    #[error("calls are forwarded after 5 to 300 seconds")]
    After,
    /// It is over already.
    #[error("it would end before it begins: give a time to come")]
    Past,
    /// A reason nobody could read.
    #[error("a reason is 1 to 60 characters in one line")]
    Reason,
    /// Nothing to ring.
    #[error("the user has no mobile number: write `mobile` in the company's file")]
    NoMobile,
    /// Somebody else's.
    #[error("{0} is not a number of the company: only its own can be shown")]
    NotOurs(Number),
}

impl Refusal {
    /// The prompt that says it.
    pub fn prompt(&self) -> &'static str {
        match self {
            Refusal::Self_ => "fwd/self",
            Refusal::Ring(_) => "fwd/ring",
            Refusal::Barred(_) => "fwd/barred",
            Refusal::Emergency => "fwd/emergency",
            Refusal::Unknown(_) | Refusal::NotOurs(_) => "fwd/unknown",
            Refusal::After => "fwd/after-range",
            Refusal::Past => "absence/past",
            Refusal::Reason => "menu/invalid",
            Refusal::NoMobile => "mobile/none",
        }
    }

    /// One word, for the event log.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Self_ => "forward_to_self",
            Refusal::Ring(_) => "forward_ring",
            Refusal::Barred(_) => "forward_barred",
            Refusal::Emergency => "forward_emergency",
            Refusal::Unknown(_) => "forward_unknown",
            Refusal::After => "forward_after",
            Refusal::Past => "ends_before_it_begins",
            Refusal::Reason => "no_reason",
            Refusal::NoMobile => "no_mobile",
            Refusal::NotOurs(_) => "number_not_ours",
        }
    }
}

/// What is to be set for `user` at `now`.
///
/// # Errors
/// When any of it may not be: nothing is to be changed.
pub fn settle(
    config: &Config,
    company: &Company,
    people: &People,
    now: Timestamp,
    user: &UserId,
    wish: &Wish,
) -> Result<Vec<Setting>, Refusal> {
    let asking = Asking { config, company, people, now, user };
    match wish {
        Wish::Forward { when, to, after_s } => {
            if after_s.is_some_and(|after| !AFTER_S.contains(&after)) {
                return Err(Refusal::After);
            }
            let to = asking.target(to)?;
            for when in when {
                asking.may_lead(&to, *when)?;
            }
            let one = |when: &Condition| {
                let after_s = after_s.filter(|_| *when == Condition::NoAnswer);
                Setting::Forward { when: *when, rule: Rule::To { to: to.clone(), after_s } }
            };
            Ok(when.iter().map(one).collect())
        }
        Wish::ForwardOff { when } => {
            Ok(when.iter().map(|when| Setting::Forward { when: *when, rule: Rule::Off }).collect())
        }
        Wish::Absent { reason, until, to } => {
            if until.is_some_and(|until| until <= now) {
                return Err(Refusal::Past);
            }
            let fits = (1..=REASON_MAX).contains(&reason.chars().count());
            if !fits || reason.chars().any(char::is_control) {
                return Err(Refusal::Reason);
            }
            let to = to.as_deref().map(|to| asking.target(to)).transpose()?;
            if let Some(to) = &to {
                asking.may_lead(to, Condition::Always)?;
            }
            Ok(vec![Setting::Absence {
                absence: Some(Absence { reason: reason.clone(), until: *until, to }),
            }])
        }
        Wish::Plain(setting) => asking.plain(setting).map(|()| vec![setting.clone()]),
    }
}

/// Who wishes, and when.
struct Asking<'a> {
    config: &'a Config,
    company: &'a Company,
    people: &'a People,
    now: Timestamp,
    user: &'a UserId,
}

impl Asking<'_> {
    /// Where a text leads: `kind:id`, an extension, a public number, a number outside.
    fn target(&self, text: &str) -> Result<Destination, Refusal> {
        let unknown = || Refusal::Unknown(text.to_owned());
        let text = text.trim();
        let dialled = text.strip_prefix("phone:").unwrap_or(text);
        if dialled.contains(':') {
            let to = Destination::try_from(dialled.to_owned()).map_err(|_| unknown())?;
            return if self.exists(&to) { Ok(to) } else { Err(unknown()) };
        }
        if number::is_emergency(dialled) {
            return Err(Refusal::Emergency);
        }
        match self.company.extensions.get(dialled) {
            Some(Extension::To(to)) => return Ok(to.clone()),
            Some(Extension::Toggle(_)) => return Err(unknown()),
            None => {}
        }
        if let Some(id) = self.company.users.get_key_value(dialled).map(|(id, _)| id.clone()) {
            return Ok(Destination::User(id));
        }
        let number = number::read(dialled).ok_or_else(unknown)?;
        match self.config.numbers.get(&number) {
            Some((company, to)) if *company == self.company.id => Ok(to.clone()),
            Some(_) | None => Ok(Destination::Phone(number)),
        }
    }

    fn exists(&self, to: &Destination) -> bool {
        let of = self.company;
        match to {
            Destination::User(id) => of.users.contains_key(id),
            Destination::Group(id) => of.groups.contains_key(id),
            Destination::Queue(id) => of.queues.contains_key(id),
            Destination::Flow(id) => of.flows.contains_key(id),
            Destination::Voicemail(id) => of.mailboxes.contains_key(id),
            Destination::Room(id) => of.rooms.contains_key(id),
            Destination::Phone(_) | Destination::Hangup => true,
        }
    }

    /// Not to oneself, not in a ring, not where the user may not call.
    fn may_lead(&self, to: &Destination, when: Condition) -> Result<(), Refusal> {
        match to {
            Destination::User(id) if id == self.user => Err(Refusal::Self_),
            Destination::User(id) => self.no_ring(id, when),
            Destination::Phone(number) => self.may_call(number),
            Destination::Group(_)
            | Destination::Queue(_)
            | Destination::Flow(_)
            | Destination::Voicemail(_)
            | Destination::Room(_)
            | Destination::Hangup => Ok(()),
        }
    }

    /// A call that is sent on under `when` must not come back by forwards that hold always or under the same
    /// condition. Two who stand in for each other when the other is busy, one by `busy` and one by `no_answer`, are no
    /// ring; what goes round all the same is stopped by the number of times that one call is sent on.
    fn no_ring(&self, first: &UserId, when: Condition) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        let mut open = vec![first.clone()];
        while let Some(at) = open.pop() {
            if !seen.insert(at.clone()) {
                continue;
            }
            let Some(person) = self.people.person(self.company, &at, self.now) else { continue };
            let same = match when {
                Condition::Always => &None,
                Condition::NoAnswer => &person.no_answer,
                Condition::Unavailable => &person.unavailable,
                Condition::Busy => &person.busy,
            };
            for forward in [&person.forward_always, same].into_iter().flatten() {
                match &forward.to {
                    Destination::User(id) if id == self.user => return Err(Refusal::Ring(at)),
                    Destination::User(id) => open.push(id.clone()),
                    Destination::Phone(_)
                    | Destination::Group(_)
                    | Destination::Queue(_)
                    | Destination::Flow(_)
                    | Destination::Voicemail(_)
                    | Destination::Room(_)
                    | Destination::Hangup => {}
                }
            }
        }
        Ok(())
    }

    fn may_call(&self, number: &Number) -> Result<(), Refusal> {
        if number::is_emergency(number.as_str()) {
            return Err(Refusal::Emergency);
        }
        // A number of another company is reached inside.
        if self.config.numbers.contains_key(number) {
            return Ok(());
        }
        let rights = route::rights(self.company, Some(self.user));
        match route::outside(self.config, &self.company.id, number, rights) {
            Ok(_) => Ok(()),
            Err(NoRoute::NotAllowed { class }) => Err(Refusal::Barred(class.as_str())),
            Err(NoRoute::Barred { .. }) => Err(Refusal::Barred("a route bars it")),
            Err(NoRoute::Unknown | NoRoute::Incomplete) => Err(Refusal::Unknown(number.to_string())),
        }
    }

    fn plain(&self, setting: &Setting) -> Result<(), Refusal> {
        match setting {
            Setting::Forward { when, rule: Rule::To { to, .. } } => self.may_lead(to, *when),
            Setting::DoNotDisturb { on: true, until: Some(until) } if *until <= self.now => {
                Err(Refusal::Past)
            }
            Setting::Absence { absence: Some(absence) } => match (&absence.until, &absence.to) {
                (Some(until), _) if *until <= self.now => Err(Refusal::Past),
                (_, Some(to)) => self.may_lead(to, Condition::Always),
                (_, None) => Ok(()),
            },
            Setting::Mobile { rings: Some(true) } => {
                let has = self.company.users.get(self.user).is_some_and(|user| user.mobile.is_some());
                if has { Ok(()) } else { Err(Refusal::NoMobile) }
            }
            Setting::Shown { shown: ShownNumber::Number(number) } => {
                if self.company.owns(number) {
                    Ok(())
                } else {
                    Err(Refusal::NotOurs(number.clone()))
                }
            }
            Setting::Forward { rule: Rule::Off | Rule::Configured, .. }
            | Setting::DoNotDisturb { .. }
            | Setting::Absence { absence: None }
            | Setting::Mobile { .. }
            | Setting::CallWaiting { .. }
            | Setting::Shown { .. } => Ok(()),
        }
    }
}
