//! `dial`: rings users and phones; also what a call to one user does, with that user's own forwarding and
//! voicemail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::flow::Show;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::prompt::PromptKey;
use crate::model::queue::Confirm;
use crate::switch::diversion::Why;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::leads_to;
use crate::switch::flow::place;
use crate::switch::flow::stage::Stage;
use crate::switch::mailbox;
use crate::switch::star;
use crate::time::Timestamp;

/// Of a call that is sent on to a phone outside, whose own voicemail may still answer it.
const PHONE_RING: Duration = Duration::from_secs(60);
/// Users who forward to users who forward …
const HOPS_MAX: usize = 5;

/// Users and phones being rung.
#[derive(Clone, Debug)]
pub struct Ringing {
    /// Whom the step names, before their forwarding.
    pub to: Vec<Destination>,
    /// The users' own forwarding holds.
    pub forwarding: bool,
    /// By name: `no_answer busy unavailable`.
    pub exits: BTreeMap<Arc<str>, Exit>,
    /// Steps of the user's search that have rung.
    found: usize,
    /// One of them has rung in vain.
    rang: bool,
    /// Nothing is rung: the user takes no calls.
    last: bool,
}

/// Rings, or does what the only user wants done with calls now.
pub fn enter(
    stage: &mut Stage<'_>,
    mut ringing: Ringing,
    ring: Duration,
    confirm: Confirm,
    show: Show,
) -> Turn {
    if let Some(id) = ringing.only_user().cloned() {
        if let Some(turn) = not_rung(stage, &mut ringing, &id) {
            return turn;
        }
        if let Some(turn) = ringing.find(stage) {
            stage.add(Action::Ring);
            return turn;
        }
    }
    let mut to: Vec<Destination> = Vec::new();
    for named in &ringing.to {
        let reached = if ringing.forwarding { reached(stage, named) } else { Some(named.clone()) };
        to.extend(reached.filter(|reached| !to.contains(reached)));
    }
    // Numbers stay out of the log: a phone is only counted.
    let users: Vec<String> =
        to.iter().filter(|to| matches!(to, Destination::User(_))).map(|user| user.to_string()).collect();
    let phones = to.len() - users.len();
    stage.tell(match (users.is_empty(), phones) {
        (false, 0) => format!("rings {}", users.join(", ")),
        (false, _) => format!("rings {} and {phones} phone(s)", users.join(", ")),
        (true, _) => format!("rings {phones} phone(s)"),
    });
    stage.add(Action::Ring);
    stage.add(Action::Dial { to, ring, confirm, show });
    Turn::Wait(State::Dial(ringing))
}

/// What becomes of a call to a user who takes none now; none when the user is rung.
fn not_rung(stage: &mut Stage<'_>, ringing: &mut Ringing, id: &UserId) -> Option<Turn> {
    let standing = stage.standing(id);
    if let Some(to) = standing.forwarded {
        stage.tell(format!("the user forwards all calls to {}", place(&to)));
        let why = if standing.absent.is_some() { Why::Away } else { Why::Unconditional };
        stage.because(why);
        stage.add(Action::SentOn { by: id.clone(), why: Some(why) });
        return Some(Turn::Forward(to));
    }
    let (why, outcome, what) = match (&standing.absent, standing.do_not_disturb) {
        (Some(_), _) => (Why::Away, Outcome::Unavailable, "absent: the user is away"),
        (None, true) => (Why::DoNotDisturb, Outcome::Busy, "dnd: the user is not to be disturbed"),
        (None, false) => return None,
    };
    stage.tell(what);
    stage.because(why);
    ringing.last = true;
    Some(ringing.on(stage, Event::Dialled(outcome)))
}

/// A call to one user.
pub fn user(stage: &mut Stage<'_>, id: &UserId) -> Turn {
    let Some(user) = stage.person(id) else {
        stage.tell(format!("user:{id} does not exist"));
        return last_word(stage, Outcome::Unavailable);
    };
    let ring = user.no_answer.as_ref().and_then(|forward| forward.after).unwrap_or(user.ring);
    let ringing = Ringing::new(vec![Destination::User(id.clone())], true, BTreeMap::new());
    enter(stage, ringing, ring, Confirm::Auto, Show::Caller)
}

/// A call to one device of a user, which forwards to nothing: it was not the user who was called.
pub fn one_phone(stage: &mut Stage<'_>, id: &UserId) -> Turn {
    let Some(user) = stage.ctx.company.users.get(id) else { return last_word(stage, Outcome::Unavailable) };
    let ringing = Ringing::new(vec![Destination::User(id.clone())], false, BTreeMap::new());
    enter(stage, ringing, user.ring, Confirm::Never, Show::Caller)
}

/// A call to one phone.
pub fn phone(stage: &mut Stage<'_>, number: &Number) -> Turn {
    let ringing = Ringing::new(vec![Destination::Phone(number.clone())], false, BTreeMap::new());
    enter(stage, ringing, PHONE_RING, Confirm::Never, Show::Caller)
}

/// Who rings for `named` when users who forward all calls to a user or phone are followed; none for those who
/// forward to something that cannot ring together with others, and for those who take no calls.
fn reached(stage: &Stage<'_>, named: &Destination) -> Option<Destination> {
    let mut at = named.clone();
    for _ in 0..=HOPS_MAX {
        let Destination::User(id) = &at else {
            return matches!(at, Destination::Phone(_)).then_some(at);
        };
        let standing = stage.standing(id);
        match standing.forwarded {
            Some(to) => at = to,
            None if standing.is_free() => return Some(at),
            None => return None,
        }
    }
    None
}

impl Ringing {
    /// Nobody rung yet.
    pub fn new(to: Vec<Destination>, forwarding: bool, exits: BTreeMap<Arc<str>, Exit>) -> Ringing {
        Ringing { to, forwarding, exits, found: 0, rang: false, last: false }
    }

    /// The user, when the call is for one user whose own forwarding holds.
    fn only_user(&self) -> Option<&UserId> {
        match self.to.as_slice() {
            [Destination::User(id)] if self.forwarding => Some(id),
            _ => None,
        }
    }

    /// Rings the next step of the only user's search; none when there is no further one.
    fn find(&mut self, stage: &mut Stage<'_>) -> Option<Turn> {
        let id = self.only_user()?.clone();
        let person = stage.person(&id).filter(|_| !self.last)?;
        let step = person.find.get(self.found)?;
        self.found += 1;
        stage.tell(format!("rings {id}, step {} of {} of the search", self.found, person.find.len()));
        stage.add(Action::Find { user: id, rings: step.rings.clone(), long: step.long });
        Some(Turn::Wait(State::Dial(self.clone())))
    }

    /// Follows the next step of a search, else the step's exit, else the only user's own forwarding, else that user's
    /// voicemail, else ends.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        let Event::Dialled(outcome) = event else { return Turn::Stay };
        self.rang |= outcome == Outcome::NoAnswer;
        if let Some(turn) = self.find(stage) {
            return turn;
        }
        // Who rang at one step of a search has not answered, whatever came of the others.
        let outcome = if self.rang { Outcome::NoAnswer } else { outcome };
        let (name, why) = match outcome {
            Outcome::NoAnswer => ("no_answer", Why::NoAnswer),
            Outcome::Busy | Outcome::Refused(486 | 600 | 603) => ("busy", Why::Busy),
            Outcome::Unavailable | Outcome::Nobody | Outcome::Refused(_) => ("unavailable", Why::Unavailable),
        };
        if !self.last {
            stage.because(why);
        }
        if let Some(exit) = self.exits.get(name).or_else(|| self.exits.get("no_answer")) {
            stage.tell(format!("{name}: {}", leads_to(exit)));
            stage.takes(name);
            return Turn::Go(exit.clone());
        }
        let Some((id, user)) = self.only_user().and_then(|id| Some((id.clone(), stage.person(id)?))) else {
            stage.tell(format!("{name}: ends"));
            return last_word(stage, outcome);
        };
        let forward = match name {
            "no_answer" => &user.no_answer,
            "busy" => &user.busy,
            _ => &user.unavailable,
        };
        if let Some(forward) = forward {
            stage.tell(format!("{name}: the user forwards to {}", place(&forward.to)));
            stage.add(Action::SentOn { by: id, why: self.last.then(|| stage.why()) });
            return Turn::Forward(forward.to.clone());
        }
        if user.voicemail.is_some() {
            stage.tell(format!("{name}: the user's voicemail"));
            return Turn::Go(Exit::To(Destination::Voicemail(mailbox::of_user(&id))));
        }
        stage.tell(format!("{name}: ends"));
        match stage.standing(&id).absent {
            Some(absence) if stage.why() == Why::Away => {
                Turn::Say(away(stage, absence.until), HangupCause::Status(480))
            }
            Some(_) | None => last_word(stage, outcome),
        }
    }
}

/// "The person you are calling is away", and when they are back.
fn away(stage: &Stage<'_>, until: Option<Timestamp>) -> Vec<PromptKey> {
    let mut prompts = vec![stage.system("absence/away")];
    if let Some(until) = until {
        prompts.push(stage.system("absence/back"));
        prompts.extend(star::moment(stage, until));
    }
    prompts
}

/// Nobody took the call and nothing follows: the final status, or words to a caller who is answered.
pub fn last_word(stage: &mut Stage<'_>, outcome: Outcome) -> Turn {
    let (prompt, cause) = match outcome {
        Outcome::Busy => ("call/busy", HangupCause::Busy),
        Outcome::NoAnswer | Outcome::Unavailable | Outcome::Nobody => {
            ("call/no-answer", HangupCause::Status(480))
        }
        Outcome::Refused(status @ (486 | 600)) => ("call/busy", HangupCause::Status(status)),
        // A redirection is not followed: to the caller it is somebody who cannot be reached.
        Outcome::Refused(status @ 400..=699) => ("call/no-answer", HangupCause::Status(status)),
        Outcome::Refused(_) => ("call/no-answer", HangupCause::Status(480)),
    };
    if stage.answered() { Turn::Say(vec![stage.system(prompt)], cause) } else { Turn::End(cause) }
}
