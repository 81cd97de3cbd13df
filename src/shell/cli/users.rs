//! `sentral users`: people and what they have set for themselves; sets it for them.

use std::sync::Arc;

use clap::ValueEnum;
use jiff::Timestamp;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::PersonView;
use crate::model::id::CompanyId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::personal::Condition;
use crate::model::personal::Rule;
use crate::model::personal::Setting;
use crate::model::personal::ShownNumber;
use crate::model::personal::Wish;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;
use crate::shell::cli::when;
use crate::shell::clock;

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sentral users --company fjord
  sentral users show fjord kari
  sentral users forward fjord kari always 203          all calls, to a colleague
  sentral users forward fjord kari no-answer +4736000391 --after 15
  sentral users forward fjord kari always off
  sentral users dnd fjord kari on --until 15:00
  sentral users absence fjord kari ferie --until \"2027-08-02 08:00\" --to user:ola
  sentral users absence fjord kari back
  sentral users mobile fjord kari on
  sentral users number fjord kari hidden"
)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    /// Only of this company
    #[arg(long, value_name = "ID")]
    company: Option<CompanyId>,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// What is in force for one user
    Show(Who),
    /// Sends calls on, or ends that
    Forward {
        #[command(flatten)]
        who: Who,
        /// When
        when: When,
        /// Number, extension or destination (`user:ola`); `off`, or `reset` for what is configured
        to: Arc<str>,
        /// Seconds to ring first, for `no-answer`
        #[arg(long, value_name = "SECONDS")]
        after: Option<u32>,
    },
    /// Do not disturb
    Dnd {
        #[command(flatten)]
        who: Who,
        /// What it shall be
        state: OnOff,
        /// Ends by itself: "16:00", "2027-05-17 10:00", RFC 3339, or a span such as 30m, 2h, 1d
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
    },
    /// Sets somebody as away, or with `back` as here again
    Absence {
        #[command(flatten)]
        who: Who,
        /// Why, as colleagues see it; `back` ends it
        reason: Arc<str>,
        /// Ends by itself: "16:00", "2027-05-17 10:00", RFC 3339, or a span such as 30m, 2h, 1d
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// Calls go there meanwhile
        #[arg(long, value_name = "DESTINATION")]
        to: Option<Arc<str>>,
    },
    /// Whether the mobile rings together with the phones
    Mobile {
        #[command(flatten)]
        who: Who,
        /// What it shall be
        state: OnOffReset,
    },
    /// Whether a second call rings somebody who talks
    CallWaiting {
        #[command(flatten)]
        who: Who,
        /// What it shall be
        state: OnOffReset,
    },
    /// Which number is shown when the user calls out
    Number {
        #[command(flatten)]
        who: Who,
        /// `hidden`, `company`, `reset`, or a number of the company
        shown: Arc<str>,
    },
}

#[derive(Debug, clap::Args)]
struct Who {
    /// Company
    company: CompanyId,
    /// User
    user: UserId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Always,
    Busy,
    NoAnswer,
    Unavailable,
    /// Busy, no answer and unavailable
    Otherwise,
    /// Under every condition
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOffReset {
    On,
    Off,
    /// As configured
    Reset,
}

impl OnOffReset {
    fn set(self) -> Option<bool> {
        match self {
            OnOffReset::On => Some(true),
            OnOffReset::Off => Some(false),
            OnOffReset::Reset => None,
        }
    }
}

impl When {
    fn conditions(self) -> Vec<Condition> {
        match self {
            When::Always => vec![Condition::Always],
            When::Busy => vec![Condition::Busy],
            When::NoAnswer => vec![Condition::NoAnswer],
            When::Unavailable => vec![Condition::Unavailable],
            When::Otherwise => Condition::CONDITIONAL.to_vec(),
            When::All => Condition::ALL.to_vec(),
        }
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let ends = |until: Option<String>| -> Result<Option<Timestamp>, Failure> {
        let now = clock::now().utc;
        Ok(until.map(|text| when::until(&text, &context.client.zone, now)).transpose()?)
    };
    let (who, wishes) = match args.order {
        None => return list(args.company, None, context),
        Some(Order::Show(Who { company, user })) => return list(Some(company), Some(&user), context),
        Some(Order::Forward { who, when, to, after }) => (who, forward(when, &to, after)),
        Some(Order::Dnd { who, state, until }) => {
            let setting = Setting::DoNotDisturb { on: state == OnOff::On, until: ends(until)? };
            (who, vec![Wish::Plain(setting)])
        }
        Some(Order::Absence { who, reason, .. }) if &*reason == "back" => {
            (who, vec![Wish::Plain(Setting::Absence { absence: None })])
        }
        Some(Order::Absence { who, reason, until, to }) => {
            (who, vec![Wish::Absent { reason, until: ends(until)?, to }])
        }
        Some(Order::Mobile { who, state }) => {
            (who, vec![Wish::Plain(Setting::Mobile { rings: state.set() })])
        }
        Some(Order::CallWaiting { who, state }) => {
            (who, vec![Wish::Plain(Setting::CallWaiting { on: state.set() })])
        }
        Some(Order::Number { who, shown }) => {
            let shown = match &*shown {
                "hidden" => ShownNumber::Hidden,
                "company" => ShownNumber::Company,
                "reset" => ShownNumber::Configured,
                number => ShownNumber::Number(Number::new(number)),
            };
            (who, vec![Wish::Plain(Setting::Shown { shown })])
        }
    };
    let mut answer = Answer::Done;
    for wish in wishes {
        let (company, user) = (who.company.clone(), who.user.clone());
        answer = context.client.ask(&Command::Personal { company, user, wish })?;
    }
    context.done(&answer, &format!("{}/{} is set", who.company, who.user))
}

/// One order to set or end a forward, or one for each condition that goes back to what is configured.
fn forward(when: When, to: &Arc<str>, after_s: Option<u32>) -> Vec<Wish> {
    let when = when.conditions();
    match &**to {
        "off" => vec![Wish::ForwardOff { when }],
        "reset" => {
            let reset = |when| Wish::Plain(Setting::Forward { when, rule: Rule::Configured });
            when.into_iter().map(reset).collect()
        }
        _ => vec![Wish::Forward { when, to: Arc::clone(to), after_s }],
    }
}

fn list(company: Option<CompanyId>, user: Option<&UserId>, context: &Context) -> Result<(), Failure> {
    let mut answer = context.client.ask(&Command::Users { company: company.clone() })?;
    if let (Answer::Users { users }, Some(only)) = (&mut answer, user) {
        users.retain(|view| view.user == *only);
        if users.is_empty() {
            let company = company.map_or_else(String::new, |company| company.to_string());
            return Err(Failure::NotFound(format!(
                "company \"{company}\" has no user \"{only}\"; `sentral users --company {company}` lists them"
            )));
        }
    }
    context.show(&answer, |answer| match answer {
        Answer::Users { users } => Some(text(users)),
        _ => None,
    })
}

fn text(users: &[PersonView]) -> String {
    let rows: Vec<_> = users
        .iter()
        .map(|view| {
            let forwards: Vec<_> =
                view.forwards.iter().map(|(when, to)| format!("{}: {to}", when.as_str())).collect();
            let shown = match (&view.shows, view.hides_number) {
                (_, true) => "hidden".to_owned(),
                (Some(number), false) => number.to_string(),
                (None, false) => String::new(),
            };
            let on_off = |on: bool| if on { "on" } else { "off" };
            [
                view.company.to_string(),
                view.user.to_string(),
                print::or_dash(&view.ext.as_ref().map(ToString::to_string).unwrap_or_default()),
                standing(view),
                print::or_dash(&forwards.join(", ")),
                on_off(view.mobile_rings).to_owned(),
                on_off(view.call_waiting).to_owned(),
                print::or_dash(&shown),
            ]
        })
        .collect();
    let heads = ["COMPANY", "USER", "EXT", "STATE", "FORWARDS", "MOBILE", "WAITING", "SHOWS"];
    print::table(heads, &rows, "no users")
}

/// Why calls do not reach somebody, and until when.
fn standing(view: &PersonView) -> String {
    let until = |until: Option<Timestamp>| until.map_or_else(String::new, |until| format!(" until {until}"));
    match (&view.standing.absent, view.standing.do_not_disturb) {
        (Some(absence), _) => format!("away ({}){}", absence.reason, until(absence.until)),
        (None, true) => format!("do not disturb{}", until(view.standing.dnd_until)),
        (None, false) if view.standing.forwarded.is_some() => "forwarded".to_owned(),
        (None, false) => "available".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_one_order_for_each_condition() {
        assert_eq!(forward(When::All, &"reset".into(), None).len(), 4);
        assert_eq!(
            forward(When::Always, &"off".into(), None),
            [Wish::ForwardOff { when: vec![Condition::Always] }]
        );
        let to = Wish::Forward { when: vec![Condition::NoAnswer], to: "203".into(), after_s: Some(15) };
        assert_eq!(forward(When::NoAnswer, &"203".into(), Some(15)), [to]);
    }
}
