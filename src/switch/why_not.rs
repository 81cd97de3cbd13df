//! Why a user is not rung: eleven questions, each answered by the code that decides when a call comes, with what mends
//! it. What blocks comes first, in the order in which dispatch looks; then what may keep calls away; then what is fine.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::model::change::Source;
use crate::model::command::Answer;
use crate::model::company::Company;
use crate::model::id::AgentKey;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::UserKey;
use crate::model::personal::Standing;
use crate::model::report::Finding;
use crate::model::report::Weight;
use crate::model::report::WhyNot;
use crate::model::report::WhyNotAsk;
use crate::model::server::Language;
use crate::model::user::Rings;
use crate::model::user::User;
use crate::switch::Switch;
use crate::switch::queue::AgentState;
use crate::switch::queue::inspect::Inspected;
use crate::switch::reaches;
use crate::switch::recent::By;
use crate::switch::recent::Recent;
use crate::switch::why::reason;
use crate::time::Now;
use crate::time::Timestamp;

/// The ring time that customers are told to use, in seconds: six Norwegian rings.
const RING_USUAL_S: u64 = 30;
/// Without a call for so long in opening hours, somebody should look at the trunk.
const QUIET_S: i64 = 3_600;

impl Switch {
    /// Why a user is not rung, by each queue and ring group that lists them or by the one asked for.
    pub(crate) fn why_not(&mut self, now: Now, ask: &WhyNotAsk) -> Answer {
        let refused = |why: String| Answer::Refused { why, not_found: true };
        let config = Arc::clone(&self.config);
        let having: Vec<&Arc<Company>> = config
            .companies
            .values()
            .filter(|of| ask.company.as_ref().is_none_or(|id| *id == of.id))
            .filter(|of| of.users.contains_key(&ask.user))
            .collect();
        let company = match having[..] {
            [one] => one,
            [] => return refused(format!("there is no user \"{}\"; `sentral agents` lists them", ask.user)),
            _ => {
                return refused(format!(
                    "several companies have a user \"{}\": say which with --company",
                    ask.user
                ));
            }
        };
        if let Some(line) = &ask.line {
            let there = match line {
                LineId::Queue(id) => company.queues.contains_key(id),
                LineId::Group(id) => company.groups.contains_key(id),
            };
            if !there {
                return refused(format!(
                    "company \"{}\" has no {line}; `sentral queues` lists them",
                    company.id
                ));
            }
        }
        let agent = AgentKey { company: company.id.clone(), user: ask.user.clone() };
        let lines = match &ask.line {
            Some(line) => vec![Some(line.clone())],
            None => {
                let listed = self.queues.lines_of(&agent).into_iter().map(|key| Some(key.line));
                let listed: Vec<Option<LineId>> = listed.collect();
                if listed.is_empty() { vec![None] } else { listed }
            }
        };
        let lines = lines.into_iter().map(|line| self.examine(now, company, &agent, line, ask.language));
        Answer::WhyNot { lines: lines.collect() }
    }

    fn examine(
        &self,
        now: Now,
        company: &Arc<Company>,
        agent: &AgentKey,
        line: Option<LineId>,
        language: Language,
    ) -> WhyNot {
        let key = line.clone().map(|line| LineKey { company: company.id.clone(), line });
        let inspected = key.as_ref().and_then(|key| self.queues.inspect(now, agent, key));
        let mut check = Check {
            language,
            company,
            agent,
            line: line.as_ref(),
            zone: TimeZone::get(&company.zone).unwrap_or(TimeZone::UTC),
            now,
            findings: Vec::new(),
        };
        check.member(inspected.is_some());
        let recent = self.ledger.recent(&company.id);
        if let Some(of) = &inspected {
            check.login(of, recent);
            check.pause(of, recent);
        }
        if let Some(user) = company.users.get(&agent.user) {
            let device = self.devices_of(agent).iter().any(|aor| !self.location.of(aor).is_empty());
            let phones = self.devices_of(agent).len();
            let app = self.has_sleeping_app(agent);
            check.phones(user, Phones { registered: device, app, devices: phones }, inspected.as_ref());
            let standing = self.people.standing(company, &agent.user, now.utc);
            check.personal(&standing, inspected.as_ref());
        }
        check.busy(inspected.as_ref(), self.in_call.contains_key(agent));
        if let Some(of) = &inspected {
            check.ring_time(of);
            check.ahead(of);
        }
        if let Some(line) = &line {
            let numbers = self.dry_world(now, Some(&company.id), |world| {
                reaches::reaching(&self.config, company, world, line, now.utc)
            });
            check.flow(numbers.len());
        }
        let trunks_down: Vec<String> = self
            .trunk_views(now)
            .into_iter()
            .filter(|trunk| matches!(trunk.state.as_str(), "unregistered" | "down"))
            .map(|trunk| trunk.id)
            .collect();
        check.trunks(&trunks_down, recent.and_then(|of| of.last_in));
        check.offers(recent);
        check.verdict(line.clone(), inspected.as_ref())
    }
}

/// The questions, as they are asked.
struct Check<'a> {
    language: Language,
    company: &'a Company,
    agent: &'a UserKey,
    line: Option<&'a LineId>,
    zone: TimeZone,
    now: Now,
    findings: Vec<Finding>,
}

/// What of a user can be rung, but for the mobile.
#[derive(Clone, Copy, Debug)]
struct Phones {
    registered: bool,
    /// An app sleeps and would be woken.
    app: bool,
    devices: usize,
}

impl Check<'_> {
    fn find(
        &mut self,
        question: u8,
        weight: Weight,
        code: &str,
        nb: String,
        en: String,
        mend: Option<String>,
    ) {
        let text = match self.language {
            Language::Nb => nb,
            Language::En => en,
        };
        self.findings.push(Finding { question, weight, code: code.into(), text, mend });
    }

    /// `sentral agents <order> fjord kari queue:salg`.
    fn order(&self, order: &str, with_line: bool) -> Option<String> {
        let line = self.line.filter(|_| with_line).map(|line| format!(" {line}")).unwrap_or_default();
        Some(format!("sentral agents {order} {} {}{line}", self.agent.company, self.agent.user))
    }

    fn file(&self) -> String {
        format!("companies/{}.toml", self.company.id)
    }

    /// 1: is the user listed?
    fn member(&mut self, listed: bool) {
        let line = self.line.map_or_else(|| "queue or group".to_owned(), ToString::to_string);
        if listed {
            return self.find(
                1,
                Weight::Fine,
                "member",
                format!("Står oppført i {line}"),
                format!("Listed in {line}"),
                None,
            );
        }
        let key = match self.line {
            Some(LineId::Group(id)) => format!("members of [groups.{id}]"),
            Some(LineId::Queue(id)) => format!("agents of [queues.{id}]"),
            None => "agents of a queue".to_owned(),
        };
        let mend = format!("{}: add \"{}\" to {key}", self.file(), self.agent.user);
        let place = self.line.map_or_else(|| "noen kø eller gruppe".to_owned(), ToString::to_string);
        let en = self.line.map_or_else(|| "any queue or group".to_owned(), ToString::to_string);
        self.find(
            1,
            Weight::Blocks,
            "not_a_member",
            format!("Står ikke oppført i {place}"),
            format!("Not listed in {en}"),
            Some(mend),
        );
    }

    /// 2: logged in?
    fn login(&mut self, of: &Inspected, recent: Option<&Recent>) {
        let by = self.line.and_then(|line| recent?.login(&self.agent.user, line)).cloned();
        let (nb, en) = self.by_whom(by.as_ref());
        if of.logged_in {
            return self.find(
                2,
                Weight::Fine,
                "logged_in",
                format!("Pålogget{nb}"),
                format!("Logged in{en}"),
                None,
            );
        }
        let mend = self.order("login", true);
        self.find(
            2,
            Weight::Blocks,
            "logged_out",
            format!("Ikke pålogget{nb}"),
            format!("Logged out{en}"),
            mend,
        );
    }

    /// 3: on pause?
    fn pause(&mut self, of: &Inspected, recent: Option<&Recent>) {
        let Some(why) = &of.paused else {
            return self.find(
                3,
                Weight::Fine,
                "not_paused",
                "Ikke på pause".to_owned(),
                "Not on pause".to_owned(),
                None,
            );
        };
        let by = recent.and_then(|recent| recent.pause(&self.agent.user)).cloned();
        let (nb, en) = self.by_whom(by.as_ref());
        let why = reason(why, self.language);
        let mend = self.order("unpause", false);
        self.find(
            3,
            Weight::Blocks,
            "paused",
            format!("På pause ({why}){nb}"),
            format!("On pause ({why}){en}"),
            mend,
        );
    }

    /// 4: a phone that can be rung?
    fn phones(&mut self, user: &User, phones: Phones, of: Option<&Inspected>) {
        let mobile = user.mobile.as_ref().filter(|_| user.is_rung_at(Rings::Mobile));
        if let Some((_, left)) = of.and_then(|of| of.backoff).filter(|(why, _)| *why == "unreachable") {
            let s = left.as_secs() + 1;
            return self.find(
                4,
                Weight::Blocks,
                "unreachable",
                format!("Telefonen svarte ikke nettet sist; den prøves igjen om {s} s"),
                format!("The phone could not be reached last time; it is tried again in {s} s"),
                Some("sentral devices".to_owned()),
            );
        }
        match of.and_then(|of| of.own_contacts) {
            Some(false) => {
                return self.find(
                    4,
                    Weight::Blocks,
                    "contacts_unreachable",
                    "Køen ringer bare det som står under contacts, og ingenting av det kan ringes nå"
                        .to_owned(),
                    "The queue rings only what its contacts name, and none of it can be rung now".to_owned(),
                    Some(format!("{}: contacts of agent \"{}\" in the queue", self.file(), self.agent.user)),
                );
            }
            Some(true) => {
                let (nb, en) = ("Det som køen ringer, kan ringes", "What the queue rings can be rung");
                return self.find(4, Weight::Fine, "contacts", nb.to_owned(), en.to_owned(), None);
            }
            None => {}
        }
        if phones.app && !phones.registered {
            let (nb, en) =
                ("Appen sover: den vekkes når noen ringer", "The app sleeps: it is woken by a call");
            return self.find(4, Weight::Fine, "app_asleep", nb.to_owned(), en.to_owned(), None);
        }
        let devices = phones.devices;
        match (phones.registered, mobile) {
            (true, _) => self.find(
                4,
                Weight::Fine,
                "registered",
                "En telefon er pålogget nettet".to_owned(),
                "A phone is registered".to_owned(),
                None,
            ),
            (false, Some(_)) => self.find(
                4,
                Weight::Fine,
                "mobile",
                "Mobilen ringer gjennom linjen".to_owned(),
                "The mobile rings through the trunk".to_owned(),
                None,
            ),
            (false, None) if devices == 0 => self.find(
                4,
                Weight::Blocks,
                "unreachable",
                "Har ingen telefon, og ingen mobil som ringer".to_owned(),
                "Has no phone, and no mobile that rings".to_owned(),
                Some(format!(
                    "{}: give [users.{}] a mobile and rings = [\"devices\", \"mobile\"], or a device",
                    self.file(),
                    self.agent.user
                )),
            ),
            (false, None) => self.find(
                4,
                Weight::Blocks,
                "unreachable",
                "Telefonen er ikke pålogget nettet".to_owned(),
                "No phone is registered".to_owned(),
                Some("sentral devices: switch the phone on, look at its password and network".to_owned()),
            ),
        }
    }

    /// 5: do not disturb, absence, forwarding?
    fn personal(&mut self, standing: &Standing, of: Option<&Inspected>) {
        let (company, user) = (&self.company.id, &self.agent.user);
        let until = |at: Option<Timestamp>, word: &str| match at {
            Some(at) => format!(" {word} {}", at.to_zoned(self.zone.clone()).strftime("%d.%m. %H:%M")),
            None => String::new(),
        };
        let (code, nb, en, mend) = match standing {
            Standing { do_not_disturb: true, dnd_until, .. } => (
                "do_not_disturb",
                format!("Ikke forstyrr er på{}", until(*dnd_until, "til")),
                format!("Do not disturb is on{}", until(*dnd_until, "until")),
                format!("sentral users dnd {company} {user} off"),
            ),
            Standing { absent: Some(absence), .. } => (
                "absent",
                format!("Borte: {}{}", absence.reason, until(absence.until, "til")),
                format!("Away: {}{}", absence.reason, until(absence.until, "until")),
                format!("sentral users absence {company} {user} back"),
            ),
            Standing { forwarded: Some(to), .. } => (
                "forwarded",
                format!("Alle anrop er viderekoblet til {to}"),
                format!("All calls are forwarded to {to}"),
                format!("sentral users forward {company} {user} always off"),
            ),
            Standing { forwarded: None, .. } => {
                let (nb, en) = ("Ikke borte, ikke viderekoblet", "Neither away nor forwarded");
                return self.find(5, Weight::Fine, "not_absent", nb.to_owned(), en.to_owned(), None);
            }
        };
        // A queue may ring people all the same (`ignore_dnd`, `follow_forward`).
        let blocks = of.is_none_or(|of| matches!(of.state, AgentState::Absent(_)));
        let weight = if blocks { Weight::Blocks } else { Weight::May };
        self.find(5, weight, code, nb, en, Some(mend));
    }

    /// 6: busy, or in wrap-up?
    fn busy(&mut self, of: Option<&Inspected>, in_call: bool) {
        let wrap_up = of.and_then(|of| of.wrap_up);
        if let Some(left) = wrap_up {
            let s = left.as_secs() + 1;
            return self.find(
                6,
                Weight::Blocks,
                "wrap_up",
                format!("Etterbehandling i {s} s til"),
                format!("Wraps up for another {s} s"),
                Some(format!("dial {}", self.company.codes.wrap_up_end.as_deref().unwrap_or("the code"))),
            );
        }
        let backoff = of.and_then(|of| of.backoff).filter(|(why, _)| *why == "busy");
        let state = of.map(|of| &of.state);
        let in_call = of.map_or(in_call, |of| of.in_call);
        let (code, nb, en) = if let Some((_, left)) = backoff {
            let s = left.as_secs() + 1;
            let nb = format!("Telefonen sa opptatt; den prøves igjen om {s} s");
            ("phone_busy", nb, format!("The phone said busy; it is tried again in {s} s"))
        } else if in_call || matches!(state, Some(AgentState::Busy(_))) {
            ("busy", "I en samtale".to_owned(), "In a call".to_owned())
        } else if matches!(state, Some(AgentState::Ringing(_))) {
            ("ringing", "Ringes akkurat nå".to_owned(), "Being rung right now".to_owned())
        } else {
            return self.find(6, Weight::Fine, "idle", "Ledig".to_owned(), "Idle".to_owned(), None);
        };
        self.find(6, Weight::Blocks, code, nb, en, Some("sentral calls".to_owned()));
    }

    /// 7: does it ring long enough?
    fn ring_time(&mut self, of: &Inspected) {
        let s = of.ring.as_secs();
        if s >= RING_USUAL_S {
            let (nb, en) = (format!("Ringer i {s} s"), format!("Rings for {s} s"));
            return self.find(7, Weight::Fine, "ring_time", nb, en, None);
        }
        let key = match self.line {
            Some(LineId::Group(id)) => format!("[groups.{id}]"),
            Some(LineId::Queue(id)) => format!("[queues.{id}]"),
            None => "the queue".to_owned(),
        };
        let mend = format!("{}: ring = \"{RING_USUAL_S}s\" in {key}", self.file());
        self.find(
            7,
            Weight::May,
            "short_ring",
            format!("Ringer bare i {s} s, anbefalt er {RING_USUAL_S} s: anropet går videre før noen rekker å svare"),
            format!("Rings for {s} s only, {RING_USUAL_S} s is advised: the call moves on before anybody can answer"),
            Some(mend),
        );
    }

    /// 8: do others always go first?
    fn ahead(&mut self, of: &Inspected) {
        if of.ahead.is_empty() {
            return self.find(
                8,
                Weight::Fine,
                "nobody_ahead",
                "Ingen andre ledige går foran".to_owned(),
                "Nobody else who is free goes first".to_owned(),
                None,
            );
        }
        let names: Vec<String> = of.ahead.iter().map(ToString::to_string).collect();
        let (names, tier) = (names.join(", "), of.tier);
        let mend = format!("{}: tier and order of the agents", self.file());
        self.find(
            8,
            Weight::May,
            "others_first",
            format!("Trinn {tier}: {names} ringes først når de er ledige"),
            format!("Tier {tier}: {names} go first while they are free"),
            Some(mend),
        );
    }

    /// 9: does any number lead to the line at this hour?
    fn flow(&mut self, numbers: usize) {
        let Some(line) = self.line else { return };
        if numbers > 0 {
            let (nb, en) =
                (format!("{numbers} nummer fører hit nå"), format!("{numbers} numbers lead here now"));
            return self.find(9, Weight::Fine, "reached", nb, en, None);
        }
        let example = self.company.numbers.keys().next().map(ToString::to_string).unwrap_or_default();
        self.find(
            9,
            Weight::Blocks,
            "not_reached",
            format!("Ingen av bedriftens numre fører til {line} på denne tiden"),
            format!("No number of the company leads to {line} at this hour"),
            Some(format!("sentral simulate {example}")),
        );
    }

    /// 10: do calls come in at all?
    fn trunks(&mut self, down: &[String], last_in: Option<Timestamp>) {
        let mend = Some("sentral trunks".to_owned());
        if !down.is_empty() {
            let names = down.join(", ");
            return self.find(
                10,
                Weight::May,
                "trunk_down",
                format!("Linjen er nede: {names}"),
                format!("The trunk is down: {names}"),
                mend,
            );
        }
        let quiet = last_in.is_none_or(|at| self.now.utc.duration_since(at).as_secs() > QUIET_S);
        let (nb, en) = match last_in {
            Some(at) => {
                let at = self.clock(at);
                (format!("Siste anrop utenfra kom {at}"), format!("The last call from outside came {at}"))
            }
            None => {
                ("Ingen anrop utenfra det siste døgnet".into(), "No call from outside in the last day".into())
            }
        };
        let (weight, code) = if quiet { (Weight::May, "quiet") } else { (Weight::Fine, "delivering") };
        self.find(10, weight, code, nb, en, mend.filter(|_| quiet));
    }

    /// 11: what became of the last offers?
    fn offers(&mut self, recent: Option<&Recent>) {
        let told = |(nb, en): (&str, &str)| match self.language {
            Language::Nb => nb.to_owned(),
            Language::En => en.to_owned(),
        };
        let offers: Vec<_> = recent.into_iter().flat_map(|recent| recent.offers(&self.agent.user)).collect();
        let judged = offers.iter().filter(|offer| offer.result.is_some()).count();
        let missed = offers.iter().filter(|offer| offer.result.as_deref() == Some("no_answer")).count();
        let words: Vec<String> = offers
            .iter()
            .map(|offer| {
                let line = offer.line.as_ref().map(ToString::to_string).unwrap_or_default();
                let result = match (&offer.result, offer.ring_ms) {
                    (Some(code), Some(ms)) => {
                        format!("{} ({} s)", reason(code, self.language), ms / 1_000)
                    }
                    (Some(code), None) => reason(code, self.language).to_owned(),
                    (None, _) => told(("ringer, eller tatt tilbake", "rings, or taken back")),
                };
                format!("{} {line}: {result}", self.clock(offer.at))
            })
            .collect();
        let (weight, code) = match (words.is_empty(), missed * 2 > judged) {
            (true, _) => (Weight::May, "never_offered"),
            (false, true) => (Weight::May, "mostly_missed"),
            (false, false) => (Weight::Fine, "offers"),
        };
        let list = words.join("; ");
        let (nb, en) = if list.is_empty() {
            ("Ingen tilbud det siste døgnet".to_owned(), "Not offered a caller in the last day".to_owned())
        } else {
            (format!("Siste tilbud: {list}"), format!("Last offers: {list}"))
        };
        let mend = (code == "mostly_missed")
            .then(|| "let it ring on another phone, or have somebody log them out".to_owned());
        self.find(11, weight, code, nb, en, mend);
    }

    /// Since when and by whom, after a comma.
    fn by_whom(&self, by: Option<&By>) -> (String, String) {
        let Some(By { source, at }) = by else {
            return (", etter oppsettet".to_owned(), ", by the configuration".to_owned());
        };
        let at = self.clock(*at);
        let (nb, en) = match source {
            Source::Code => ("fra telefonen".to_owned(), "from the phone".to_owned()),
            Source::Cli => ("av en administrator".to_owned(), "by an administrator".to_owned()),
            Source::Auto(why) => (format!("av sentralen ({why})"), format!("by the exchange ({why})")),
            Source::Config => ("etter oppsettet".to_owned(), "by the configuration".to_owned()),
        };
        (format!(", {at} {nb}"), format!(", {at} {en}"))
    }

    /// A time as the company reads it.
    fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%d.%m. %H:%M").to_string()
    }

    /// Puts what blocks first and says the first of it.
    fn verdict(mut self, line: Option<LineId>, of: Option<&Inspected>) -> WhyNot {
        self.findings.sort_by_key(|finding| (finding.weight, finding.question));
        let user = &self.agent.user;
        let ready = of.is_some_and(|of| matches!(of.state, AgentState::Ready(_)));
        let first = self.findings.first().filter(|first| first.weight == Weight::Blocks);
        debug_assert!(ready || first.is_some(), "whoever is not ready has a reason: {of:?}");
        let verdict = match (first, self.language) {
            (Some(first), Language::Nb) => format!("{user} ringes ikke: {}", first.text),
            (Some(first), Language::En) => format!("{user} is not rung: {}", first.text),
            (None, Language::Nb) => format!("{user} er klar og ringes når det er hens tur"),
            (None, Language::En) => format!("{user} is ready and is rung when it is their turn"),
        };
        WhyNot {
            company: self.agent.company.clone(),
            user: user.clone(),
            line,
            verdict,
            findings: self.findings,
        }
    }
}
