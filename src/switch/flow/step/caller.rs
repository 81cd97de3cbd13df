//! `caller`: asks who calls. A hidden number matches `hidden` and nothing else.

use crate::model::company::Company;
use crate::model::flow::CallerMatch;
use crate::model::flow::Exit;
use crate::model::id::Number;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;

/// Takes `match` when any condition holds, else `else`.
pub fn enter(stage: &mut Stage<'_>, matches: &[CallerMatch], matched: Exit, otherwise: Exit) -> Turn {
    let caller = stage.ctx.caller;
    let number = caller.number.as_ref().filter(|number| !caller.hidden && !number.is_empty());
    match matches.iter().find(|condition| holds(stage.ctx.company, condition, number)) {
        Some(CallerMatch::Prefix(_)) => stage.tell("the caller's number is listed"),
        Some(CallerMatch::Hidden) => stage.tell("the caller's number is hidden"),
        Some(CallerMatch::Contacts(list)) => stage.tell(format!("the caller is in contacts:{list}")),
        None => {
            stage.tell("the caller is not listed");
            return Turn::Go(otherwise);
        }
    }
    Turn::Go(matched)
}

fn holds(company: &Company, condition: &CallerMatch, number: Option<&Number>) -> bool {
    match (condition, number) {
        (CallerMatch::Hidden, number) => number.is_none(),
        (CallerMatch::Prefix(prefix), Some(number)) => number.as_str().starts_with(prefix.as_str()),
        (CallerMatch::Contacts(list), Some(number)) => {
            company.contacts.get(list).is_some_and(|numbers| numbers.contains(number))
        }
        (CallerMatch::Prefix(_) | CallerMatch::Contacts(_), None) => false,
    }
}
