//! `caller`: asks who calls. A hidden number matches `hidden` and nothing else.

use crate::model::flow::CallerMatch;
use crate::model::flow::Exit;
use crate::model::id::Number;
use crate::model::number;
use crate::model::number::Class;
use crate::switch::flow::Turn;
use crate::switch::flow::stage::Stage;

/// Takes `match` when any condition holds, else `else`.
pub fn enter(stage: &mut Stage<'_>, matches: &[CallerMatch], matched: Exit, otherwise: Exit) -> Turn {
    let caller = stage.ctx.caller;
    let number = caller.number.as_ref().filter(|number| !caller.hidden && !number.is_empty());
    match matches.iter().find(|condition| holds(stage, condition, number)) {
        Some(CallerMatch::Prefix(_)) => stage.tell("the caller's number is listed"),
        Some(CallerMatch::Abroad) => stage.tell("the caller's number is of another country"),
        Some(CallerMatch::Mobile) => stage.tell("the caller's number is a mobile"),
        Some(CallerMatch::Language(language)) => {
            stage.tell(format!("the call's language is {}", language.as_str()));
        }
        Some(CallerMatch::Dialled(_)) => stage.tell("the dialled number is listed"),
        Some(CallerMatch::Tag { name, .. }) => stage.tell(format!("the call's tag {name} is as asked for")),
        Some(CallerMatch::Hidden) => stage.tell("the caller's number is hidden"),
        Some(CallerMatch::Contacts(list)) => stage.tell(format!("the caller is in contacts:{list}")),
        None => {
            stage.tell("the caller is not listed");
            stage.takes("else");
            return Turn::Go(otherwise);
        }
    }
    stage.takes("match");
    Turn::Go(matched)
}

fn holds(stage: &Stage<'_>, condition: &CallerMatch, number: Option<&Number>) -> bool {
    let company = stage.ctx.company;
    match (condition, number) {
        (CallerMatch::Hidden, number) => number.is_none(),
        (CallerMatch::Prefix(prefix), Some(number)) => number.as_str().starts_with(prefix.as_str()),
        (CallerMatch::Contacts(list), Some(number)) => {
            company.contacts.get(list).is_some_and(|numbers| numbers.contains(number))
        }
        (CallerMatch::Abroad, Some(number)) => number::country(number).is_some_and(|(code, _)| code != "47"),
        (CallerMatch::Mobile, Some(number)) => number::class(number) == Class::Mobile,
        (CallerMatch::Language(language), _) => stage.language() == *language,
        (CallerMatch::Dialled(dialled), _) => stage.ctx.caller.dialled.as_str().starts_with(dialled.as_str()),
        (CallerMatch::Tag { name, value }, _) => {
            stage.tags().get(name).is_some_and(|tag| value.as_ref().is_none_or(|value| tag == value))
        }
        (
            CallerMatch::Prefix(_) | CallerMatch::Contacts(_) | CallerMatch::Abroad | CallerMatch::Mobile,
            None,
        ) => false,
    }
}
