//! `dial`: rings users and phones; also what a call to one user does, with that user's own forwarding and
//! voicemail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::flow::Show;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::queue::Confirm;
use crate::model::user::User;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::leads_to;
use crate::switch::flow::place;
use crate::switch::flow::stage::Stage;
use crate::switch::mailbox;

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
}

/// Rings, or follows the only user's unconditional forwarding.
pub fn enter(stage: &mut Stage<'_>, ringing: Ringing, ring: Duration, confirm: Confirm, show: Show) -> Turn {
    let company = stage.ctx.company;
    let always = ringing.only_user(company).and_then(|user| user.forward_always.as_ref());
    if let Some(forward) = always {
        stage.tell(format!("the user forwards all calls to {}", place(&forward.to)));
        return Turn::Forward(forward.to.clone());
    }
    let mut to: Vec<Destination> = Vec::new();
    for named in &ringing.to {
        let reached = if ringing.forwarding { reached(company, named) } else { Some(named) };
        match reached {
            Some(reached) if !to.contains(reached) => to.push(reached.clone()),
            Some(_) | None => {}
        }
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

/// A call to one user.
pub fn user(stage: &mut Stage<'_>, id: &UserId) -> Turn {
    let Some(user) = stage.ctx.company.users.get(id) else {
        stage.tell(format!("user:{id} does not exist"));
        return last_word(stage, Outcome::Unavailable);
    };
    let ring = user.no_answer.as_ref().and_then(|forward| forward.after).unwrap_or(user.ring);
    let to = vec![Destination::User(id.clone())];
    let ringing = Ringing { to, forwarding: true, exits: BTreeMap::new() };
    enter(stage, ringing, ring, Confirm::Auto, Show::Caller)
}

/// A call to one device of a user, which forwards to nothing: it was not the user who was called.
pub fn one_phone(stage: &mut Stage<'_>, id: &UserId) -> Turn {
    let Some(user) = stage.ctx.company.users.get(id) else { return last_word(stage, Outcome::Unavailable) };
    let ringing =
        Ringing { to: vec![Destination::User(id.clone())], forwarding: false, exits: BTreeMap::new() };
    enter(stage, ringing, user.ring, Confirm::Never, Show::Caller)
}

/// A call to one phone.
pub fn phone(stage: &mut Stage<'_>, number: &Number) -> Turn {
    let to = vec![Destination::Phone(number.clone())];
    let ringing = Ringing { to, forwarding: false, exits: BTreeMap::new() };
    enter(stage, ringing, PHONE_RING, Confirm::Never, Show::Caller)
}

/// Who rings for `named` when users who forward all calls to a user or phone are followed; none for those who
/// forward to something that cannot ring together with others.
fn reached<'a>(company: &'a Company, named: &'a Destination) -> Option<&'a Destination> {
    let mut at = named;
    for _ in 0..=HOPS_MAX {
        let Destination::User(id) = at else {
            return matches!(at, Destination::Phone(_)).then_some(at);
        };
        match company.users.get(id).and_then(|user| user.forward_always.as_ref()) {
            Some(forward) => at = &forward.to,
            None => return Some(at),
        }
    }
    None
}

impl Ringing {
    /// The user, when the call is for one user whose own forwarding holds.
    fn only_user<'a>(&self, company: &'a Company) -> Option<&'a User> {
        match self.to.as_slice() {
            [Destination::User(id)] if self.forwarding => company.users.get(id),
            _ => None,
        }
    }

    /// Follows the step's exit, else the only user's own forwarding, else that user's voicemail, else ends.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        let Event::Dialled(outcome) = event else { return Turn::Stay };
        let name = match outcome {
            Outcome::NoAnswer => "no_answer",
            Outcome::Busy | Outcome::Refused(486 | 600 | 603) => "busy",
            Outcome::Unavailable | Outcome::Nobody | Outcome::Refused(_) => "unavailable",
        };
        if let Some(exit) = self.exits.get(name).or_else(|| self.exits.get("no_answer")) {
            stage.tell(format!("{name}: {}", leads_to(exit)));
            stage.takes(name);
            return Turn::Go(exit.clone());
        }
        let company = stage.ctx.company;
        let Some(user) = self.only_user(company) else {
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
            return Turn::Forward(forward.to.clone());
        }
        match self.to.first() {
            Some(Destination::User(id)) if user.voicemail.is_some() => {
                stage.tell(format!("{name}: the user's voicemail"));
                Turn::Go(Exit::To(Destination::Voicemail(mailbox::of_user(id))))
            }
            _ => {
                stage.tell(format!("{name}: ends"));
                last_word(stage, outcome)
            }
        }
    }
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
