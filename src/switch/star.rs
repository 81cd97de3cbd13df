//! Codes in the form that mobiles know (3GPP TS 22.030 §6.5.2): `**21*number#` sets, `##21#` ends, `*#21#` asks. They
//! are read here, carried out for whoever calls them, and answered by voice; a wrong one is told what is wrong.
//!
//! `*21*…` and `#21#` do the same as `**21*…` and `##21#`: nothing is kept of a forward that is off. The last `#` may be
//! left out, since many phones send before it. Leaves out basic services (`*10#`) behind the number.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::HangupCause;
use crate::model::id::UserId;
use crate::model::number;
use crate::model::personal::Condition;
use crate::model::personal::Rule;
use crate::model::personal::Setting;
use crate::model::personal::ShownNumber;
use crate::model::personal::Wish;
use crate::model::prompt::PromptKey;
use crate::model::server::Codes;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::say::What;
use crate::switch::wish;
use crate::switch::wish::Refusal;
use crate::time::Timestamp;

/// For a digit of the number that is asked for.
const WAIT: Duration = Duration::from_secs(8);
/// Digits of a number at most.
const DIGITS_MAX: usize = 20;

/// What a code is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Forwarding under these conditions.
    Forward(Vec<Condition>),
    /// Do not disturb.
    DoNotDisturb,
    /// The mobile rings, too.
    Mobile,
    /// Absence.
    Absence,
    /// A second call.
    CallWaiting,
    /// The own number is hidden.
    Hidden,
}

/// What a code wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Star {
    /// On, with what stands between the stars.
    On(Topic, Vec<Arc<str>>),
    /// Off.
    Off(Topic),
    /// How does it stand?
    Ask(Topic),
}

/// Reads a code; none when it is no code of this form.
pub fn read(codes: &Codes, dialled: &str) -> Option<Star> {
    let text = dialled.strip_suffix('#').unwrap_or(dialled);
    let (kind, rest) = if let Some(rest) = text.strip_prefix("*#") {
        ("ask", rest)
    } else if let Some(rest) = text.strip_prefix("**").or_else(|| text.strip_prefix('*')) {
        ("on", rest)
    } else {
        ("off", text.strip_prefix("##").or_else(|| text.strip_prefix('#'))?)
    };
    let mut parts = rest.split('*');
    let topic = topic(codes, parts.next()?)?;
    let arguments: Vec<Arc<str>> = parts.filter(|part| !part.is_empty()).map(Arc::from).collect();
    let digits = |text: &Arc<str>| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'+');
    // `*31*` with a number behind it hides the own number for one call, and is no setting.
    let more = matches!(topic, Topic::Forward(_) | Topic::Absence);
    if arguments.len() > 2 || (!more && rest.contains('*')) || !arguments.iter().all(digits) {
        return None;
    }
    Some(match kind {
        "ask" => Star::Ask(topic),
        "off" => Star::Off(topic),
        _ => Star::On(topic, arguments),
    })
}

/// Whether more keys could make a code of this form out of what was dialled.
pub fn begins(codes: &Codes, dialled: &str) -> bool {
    let digits = dialled.trim_start_matches(['*', '#']);
    let signs = &dialled[..dialled.len() - digits.len()];
    if !matches!(signs, "**" | "*#" | "##") {
        return false;
    }
    let all = codes.personal().filter_map(|code| code.as_deref()).map(inner);
    all.chain(["002", "004"]).any(|code| code.len() > digits.len() && code.starts_with(digits))
}

fn inner(code: &str) -> &str {
    code.trim_matches(['*', '#'])
}

fn topic(codes: &Codes, digits: &str) -> Option<Topic> {
    let is = |code: &Option<Arc<str>>| code.as_deref().is_some_and(|code| inner(code) == digits);
    let forward = codes.forward.iter().zip(Condition::ALL).find(|(code, _)| is(code));
    if let Some((_, when)) = forward {
        return Some(Topic::Forward(vec![when]));
    }
    let any = codes.forward.iter().any(Option::is_some);
    match digits {
        "002" if any => Some(Topic::Forward(Condition::ALL.to_vec())),
        "004" if any => Some(Topic::Forward(Condition::CONDITIONAL.to_vec())),
        _ if is(&codes.do_not_disturb) => Some(Topic::DoNotDisturb),
        _ if is(&codes.mobile) => Some(Topic::Mobile),
        _ if is(&codes.absence) => Some(Topic::Absence),
        _ if is(&codes.call_waiting) => Some(Topic::CallWaiting),
        _ if is(&codes.hide_number) => Some(Topic::Hidden),
        _ => None,
    }
}

/// When an absence ends: `HHMM` is the next time that the clock shows it, `DDMM` with `HHMM` a moment of this year or
/// the next. None is no such time.
pub fn until(arguments: &[Arc<str>], now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let pair = |text: &str| {
        let fits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        let (first, second) = fits.then(|| text.split_at(2))?;
        Some((first.parse::<i8>().ok()?, second.parse::<i8>().ok()?))
    };
    let here = now.to_zoned(zone.clone()).datetime();
    let at = match arguments {
        [time] => {
            let (hour, minute) = pair(time)?;
            let today = here.date().to_datetime(Time::new(hour, minute, 0, 0).ok()?);
            if today > here { today } else { today.tomorrow().ok()? }
        }
        [date, time] => {
            let ((day, month), (hour, minute)) = (pair(date)?, pair(time)?);
            let time = Time::new(hour, minute, 0, 0).ok()?;
            let in_year = |year: i16| Some(Date::new(year, month, day).ok()?.to_datetime(time));
            in_year(here.year()).filter(|at| *at > here).or_else(|| in_year(here.year() + 1))?
        }
        _ => return None,
    };
    Some(at.to_zoned(zone.clone()).ok()?.timestamp())
}

/// A code being carried out.
#[derive(Clone, Debug)]
pub struct Run {
    star: Star,
    state: State,
    held: Held,
    digits: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// The number to forward to is being keyed in.
    Number,
    /// What was done is told.
    Telling,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Carries out a code for whoever calls.
    pub fn new(star: Star) -> Run {
        Run { star, state: State::Start, held: Held::default(), digits: String::new() }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        match (self.state, event) {
            (State::Start, Event::Start) => self.start(&mut stage),
            (State::Number, Event::PlayFinished) => stage.timer(WAIT),
            (State::Number, Event::Digit(key)) => self.key(&mut stage, key),
            (State::Number, Event::Timer) => self.dialled(&mut stage),
            (State::Telling, Event::PlayFinished) => self.end(&mut stage, HangupCause::Normal),
            _ => {}
        }
        let (held, actions) = stage.finish();
        self.held = held;
        actions
    }

    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.place("service");
        let Some(user) = stage.calling_user() else {
            self.state = State::Ended;
            return;
        };
        stage.answer();
        match self.star.clone() {
            Star::On(Topic::Forward(when), arguments) => match arguments.as_slice() {
                [] => {
                    stage.tell("asks where to forward to");
                    self.state = State::Number;
                    stage.play(vec![stage.system("fwd/enter")], 1);
                }
                [to, after @ ..] => {
                    let after_s = after.first().map(|after| after.parse().unwrap_or(u32::MAX));
                    self.wish(stage, &user, &Wish::Forward { when, to: to.clone(), after_s });
                }
            },
            Star::On(Topic::Absence, arguments) => {
                let zone = TimeZone::get(&stage.ctx.company.zone).unwrap_or(TimeZone::UTC);
                let ends = until(&arguments, stage.ctx.now, &zone);
                if !arguments.is_empty() && ends.is_none() {
                    return self.refuse(stage, &Refusal::Past);
                }
                let reason = word(stage, "fravær", "away");
                self.wish(stage, &user, &Wish::Absent { reason, until: ends, to: None });
            }
            Star::On(topic, _) => match on_off(&topic, true) {
                Some(setting) => self.wish(stage, &user, &Wish::Plain(setting)),
                None => self.say(stage, vec![stage.system("menu/invalid")]),
            },
            Star::Off(Topic::Forward(when)) => self.wish(stage, &user, &Wish::ForwardOff { when }),
            Star::Off(topic) => match on_off(&topic, false) {
                Some(setting) => self.wish(stage, &user, &Wish::Plain(setting)),
                None => self.say(stage, vec![stage.system("menu/invalid")]),
            },
            Star::Ask(topic) => {
                stage.tell("reads a setting back");
                let prompts = stands(stage, &user, &topic);
                self.say(stage, prompts);
            }
        }
    }

    fn key(&mut self, stage: &mut Stage<'_>, key: char) {
        stage.stop_play();
        if key == '#' {
            return self.dialled(stage);
        }
        if self.digits.len() < DIGITS_MAX {
            self.digits.push(key);
        }
        stage.timer(WAIT);
    }

    fn dialled(&mut self, stage: &mut Stage<'_>) {
        stage.clear_timer();
        let (Some(user), Star::On(Topic::Forward(when), _)) = (&stage.ctx.caller.user, &self.star) else {
            return;
        };
        let to = std::mem::take(&mut self.digits).into();
        let wish = Wish::Forward { when: when.clone(), to, after_s: None };
        self.wish(stage, user, &wish);
    }

    /// Does it and says so, or says why not.
    fn wish(&mut self, stage: &mut Stage<'_>, user: &UserId, wish: &Wish) {
        let ctx = stage.ctx;
        match wish::settle(ctx.config, ctx.company, ctx.world.people, ctx.now, user, wish) {
            Ok(settings) => {
                stage.tell("sets what was dialled");
                let prompts = done(stage, &settings);
                for setting in settings {
                    stage.add(Action::SetPersonal(setting));
                }
                self.say(stage, prompts);
            }
            Err(refused) => self.refuse(stage, &refused),
        }
    }

    fn refuse(&mut self, stage: &mut Stage<'_>, refused: &Refusal) {
        stage.tell(format!("{}: nothing is changed", refused.code()));
        self.say(stage, vec![stage.system(refused.prompt())]);
    }

    fn say(&mut self, stage: &mut Stage<'_>, prompts: Vec<PromptKey>) {
        self.state = State::Telling;
        stage.play(prompts, 1);
    }

    fn end(&mut self, stage: &mut Stage<'_>, cause: HangupCause) {
        self.state = State::Ended;
        stage.leave();
        stage.add(Action::HangUp(cause));
    }
}

fn word(stage: &Stage<'_>, nb: &str, en: &str) -> Arc<str> {
    match stage.language() {
        crate::model::server::Language::Nb => nb.into(),
        crate::model::server::Language::En => en.into(),
    }
}

/// The setting of a topic that is on or off; none for those that need to know more.
fn on_off(topic: &Topic, on: bool) -> Option<Setting> {
    match topic {
        Topic::DoNotDisturb => Some(Setting::DoNotDisturb { on, until: None }),
        Topic::Mobile => Some(Setting::Mobile { rings: Some(on) }),
        Topic::CallWaiting => Some(Setting::CallWaiting { on: Some(on) }),
        Topic::Hidden => {
            let shown = if on { ShownNumber::Hidden } else { ShownNumber::Configured };
            Some(Setting::Shown { shown })
        }
        Topic::Absence => (!on).then_some(Setting::Absence { absence: None }),
        Topic::Forward(_) => None,
    }
}

/// What was set, in words; several conditions with one target are told once.
fn done(stage: &Stage<'_>, settings: &[Setting]) -> Vec<PromptKey> {
    let several = settings.len() > 1;
    match settings.first() {
        Some(Setting::Forward { when, rule }) => {
            let when = Some(*when).filter(|_| !several);
            match rule {
                Rule::To { to, after_s } => forwarded(stage, when, to, *after_s),
                Rule::Off | Rule::Configured => not_forwarded(stage, when),
            }
        }
        Some(Setting::DoNotDisturb { on, .. }) => vec![stage.system(if *on { "dnd/on" } else { "dnd/off" })],
        Some(Setting::Absence { absence: Some(absence) }) => absent(stage, absence.until),
        Some(Setting::Absence { absence: None }) => vec![stage.system("absence/off")],
        Some(Setting::Mobile { rings }) => {
            vec![stage.system(if *rings == Some(true) { "mobile/on" } else { "mobile/off" })]
        }
        Some(Setting::CallWaiting { on }) => {
            vec![stage.system(if *on == Some(true) { "waiting/on" } else { "waiting/off" })]
        }
        Some(Setting::Shown { shown }) => {
            vec![stage.system(if *shown == ShownNumber::Hidden { "number/hidden" } else { "number/shown" })]
        }
        None => vec![stage.system("menu/invalid")],
    }
}

/// How a topic stands, in words.
fn stands(stage: &Stage<'_>, user: &UserId, topic: &Topic) -> Vec<PromptKey> {
    let Some(person) = stage.person(user) else { return vec![stage.system("menu/invalid")] };
    let standing = stage.standing(user);
    let flag =
        |on: bool, name: &str| vec![stage.system(&format!("{name}/{}", if on { "on" } else { "off" }))];
    match topic {
        Topic::Forward(when) => {
            let mut prompts = Vec::new();
            for when in when {
                let forward = match when {
                    Condition::Always => &person.forward_always,
                    Condition::NoAnswer => &person.no_answer,
                    Condition::Unavailable => &person.unavailable,
                    Condition::Busy => &person.busy,
                };
                let after = forward.as_ref().and_then(|forward| forward.after);
                let after_s = after.and_then(|after| u32::try_from(after.as_secs()).ok());
                prompts.extend(match forward {
                    Some(forward) => forwarded(stage, Some(*when), &forward.to, after_s),
                    None => not_forwarded(stage, Some(*when)),
                });
            }
            prompts
        }
        Topic::DoNotDisturb => flag(standing.do_not_disturb, "dnd"),
        Topic::Mobile => flag(person.is_rung_at(crate::model::user::Rings::Mobile), "mobile"),
        Topic::CallWaiting => flag(person.call_waiting, "waiting"),
        Topic::Hidden => vec![stage.system(if person.hide { "number/hidden" } else { "number/shown" })],
        Topic::Absence => match standing.absent {
            Some(absence) => absent(stage, absence.until),
            None => vec![stage.system("absence/off")],
        },
    }
}

fn condition(stage: &Stage<'_>, when: Option<Condition>) -> Option<PromptKey> {
    match when? {
        Condition::Always => None,
        Condition::NoAnswer => Some(stage.system("fwd/no-answer")),
        Condition::Unavailable => Some(stage.system("fwd/unavailable")),
        Condition::Busy => Some(stage.system("fwd/busy")),
    }
}

fn not_forwarded(stage: &Stage<'_>, when: Option<Condition>) -> Vec<PromptKey> {
    condition(stage, when).into_iter().chain([stage.system("fwd/off")]).collect()
}

fn forwarded(
    stage: &Stage<'_>,
    when: Option<Condition>,
    to: &Destination,
    after_s: Option<u32>,
) -> Vec<PromptKey> {
    let mut prompts: Vec<PromptKey> = condition(stage, when).into_iter().collect();
    prompts.push(stage.system("fwd/on"));
    prompts.extend(destination(stage, to));
    if let Some(after) = after_s {
        prompts.push(stage.system("fwd/after"));
        prompts.extend(stage.said(&What::Duration { seconds: after.into() }));
    }
    prompts
}

/// A destination by its number, or by its kind when it has none.
fn destination(stage: &Stage<'_>, to: &Destination) -> Vec<PromptKey> {
    let company: &Company = stage.ctx.company;
    if let Destination::Phone(number) = to {
        return stage.said(&What::Phone(&number::read(number.as_str()).unwrap_or_else(|| number.clone())));
    }
    if matches!(to, Destination::Voicemail(_)) {
        return vec![stage.system("fwd/voicemail")];
    }
    let leads = crate::model::company::Extension::To(to.clone());
    let mut extensions: Vec<_> = company.extensions.iter().filter(|(_, at)| **at == leads).collect();
    extensions.sort_by_key(|(ext, _)| *ext);
    match extensions.first() {
        Some((ext, _)) => stage.said(&What::Digits(ext.as_str())),
        None => vec![stage.system("fwd/elsewhere")],
    }
}

/// "You are set as away", and until when.
fn absent(stage: &Stage<'_>, until: Option<Timestamp>) -> Vec<PromptKey> {
    let mut prompts = vec![stage.system("absence/on")];
    if let Some(until) = until {
        prompts.push(stage.system("absence/until"));
        prompts.extend(moment(stage, until));
    }
    prompts
}

/// A moment as the company's clocks show it.
pub fn moment(stage: &Stage<'_>, at: Timestamp) -> Vec<PromptKey> {
    let zone = TimeZone::get(&stage.ctx.company.zone).unwrap_or(TimeZone::UTC);
    let at: DateTime = at.to_zoned(zone.clone()).datetime();
    let today = stage.ctx.now.to_zoned(zone).date();
    let (hour, minute) = (at.hour().unsigned_abs(), at.minute().unsigned_abs());
    let mut prompts = stage.said(&What::Date { date: at.date(), today });
    prompts.extend(stage.said(&What::Time { hour, minute }));
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_on_a_mobile() {
        let codes = Codes::default();
        let on = |when: &[Condition], arguments: &[&str]| {
            let arguments = arguments.iter().map(|text| Arc::from(*text)).collect();
            Some(Star::On(Topic::Forward(when.to_vec()), arguments))
        };
        let always = [Condition::Always];
        for (dialled, expect) in [
            ("**21*36000102#", on(&always, &["36000102"])),
            // One star, and no square at the end.
            ("*21*36000102", on(&always, &["36000102"])),
            ("**21*+4736000102#", on(&always, &["+4736000102"])),
            // With a time, in the two ways in which people write it.
            ("**61*36000102*15#", on(&[Condition::NoAnswer], &["36000102", "15"])),
            ("**61*36000102**15#", on(&[Condition::NoAnswer], &["36000102", "15"])),
            ("**62*102#", on(&[Condition::Unavailable], &["102"])),
            ("**67*102#", on(&[Condition::Busy], &["102"])),
            ("**004*102#", on(&Condition::CONDITIONAL, &["102"])),
            // The number is asked for.
            ("**21#", on(&always, &[])),
            ("##21#", Some(Star::Off(Topic::Forward(always.to_vec())))),
            ("#21#", Some(Star::Off(Topic::Forward(always.to_vec())))),
            ("##002#", Some(Star::Off(Topic::Forward(Condition::ALL.to_vec())))),
            ("*#21#", Some(Star::Ask(Topic::Forward(always.to_vec())))),
            ("*#61", Some(Star::Ask(Topic::Forward(vec![Condition::NoAnswer])))),
            ("*26#", Some(Star::On(Topic::DoNotDisturb, vec![]))),
            ("#26#", Some(Star::Off(Topic::DoNotDisturb))),
            ("*28*1500#", Some(Star::On(Topic::Absence, vec!["1500".into()]))),
            ("*31*112", None),
            ("*26*1#", None),
            ("*31#", Some(Star::On(Topic::Hidden, vec![]))),
            // Other codes, and no codes at all.
            ("*40", None),
            ("*40601", None),
            ("*99", None),
            ("**99#", None),
            ("**21*1*2*3#", None),
            ("**21*a#", None),
            ("21", None),
            ("", None),
            ("#", None),
        ] {
            assert_eq!(read(&codes, dialled), expect, "{dialled}");
        }
        let off = Codes { forward: Default::default(), ..Codes::default() };
        assert_eq!(read(&off, "**21*102#"), None);
        assert_eq!(read(&off, "##002#"), None);
        assert!(begins(&codes, "**2") && begins(&codes, "*#") && begins(&codes, "##00"));
        assert!(!begins(&codes, "**9") && !begins(&codes, "*2") && !begins(&codes, "2"));
    }

    #[test]
    fn an_absence_ends_at_the_next_such_time() {
        let zone = TimeZone::get("Europe/Oslo").unwrap();
        let now: Timestamp = "2026-11-23T12:00:00+01:00".parse().unwrap();
        for (arguments, expect) in [
            (&["1500"][..], Some("2026-11-23T15:00:00+01:00")),
            // Past today: tomorrow.
            (&["0800"], Some("2026-11-24T08:00:00+01:00")),
            (&["1200"], Some("2026-11-24T12:00:00+01:00")),
            (&["2412", "0800"], Some("2026-12-24T08:00:00+01:00")),
            // Past this year: the next.
            (&["0101", "0800"], Some("2027-01-01T08:00:00+01:00")),
            // No such times.
            (&["2400"], None),
            (&["15"], None),
            (&["3102", "0800"], None),
            (&["1500", "1"], None),
            (&[], None),
        ] {
            let given: Vec<Arc<str>> = arguments.iter().map(|text| Arc::from(*text)).collect();
            let expect = expect.map(|text| text.parse().unwrap());
            assert_eq!(until(&given, now, &zone), expect, "{arguments:?}");
        }
    }
}
