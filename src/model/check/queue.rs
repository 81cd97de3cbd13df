//! References of queues and ring groups, and that every caller who is not answered goes somewhere.

use crate::model::check::Checker;
use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::queue::Queue;
use crate::model::queue::Whisper;
use crate::model::queue::Whispered;
use crate::model::user::Rings;

/// Checks the queues and ring groups of `company`.
pub(super) fn check(checker: &mut Checker<'_>, company: &Company) {
    for (id, queue) in &company.queues {
        references(checker, company, id.as_str(), queue);
        exits(checker, company, id.as_str(), queue);
    }
    for (id, group) in &company.groups {
        for member in &group.members {
            let path = ["groups", id.as_str(), "members", member.as_str()];
            checker.known(&path, "user", member.as_str(), &company.users);
        }
        if group.members.is_empty() {
            checker.warn(&["groups", id.as_str()], format!("group \"{id}\" has no members"));
        }
        for (key, exit) in [("no_answer", &group.no_answer), ("busy", &group.busy), ("nobody", &group.nobody)]
        {
            let Some(exit) = exit else { continue };
            checker.destination(company, &["groups", id.as_str(), key], exit);
        }
    }
}

fn references(checker: &mut Checker<'_>, company: &Company, id: &str, queue: &Queue) {
    for agent in &queue.agents {
        let user = agent.user.as_str();
        checker.known(&["queues", id, "agents", user], "user", user, &company.users);
    }
    if queue.agents.is_empty() {
        checker.warn(&["queues", id], format!("queue \"{id}\" has no agents"));
    }
    if let Some(hours) = &queue.hours {
        checker.known(&["queues", id, "hours"], "hours", hours.as_str(), &company.hours);
    }
    let media = [
        ("welcome", queue.welcome.as_ref().and_then(Option::as_ref)),
        ("music", queue.music.as_ref()),
        ("comfort", queue.comfort.as_ref().and_then(Option::as_ref)),
        ("high_traffic", queue.high_traffic.as_ref().and_then(|high| high.play.as_ref())),
    ];
    for (key, media) in media {
        let Some(media) = media else { continue };
        checker.known(&["queues", id, key], "media", media.as_str(), &company.media);
    }
    if let Some(spoken) = &queue.present.spoken {
        checker.known(&["queues", id, "present", "spoken"], "media", spoken.as_str(), &company.media);
    }
    let whisper = ["queues", id, "present", "whisper"];
    match &queue.present.whisper {
        Some(Whisper::Media(media)) => checker.known(&whisper, "media", media.as_str(), &company.media),
        Some(Whisper::Said(said)) if said.contains(&Whispered::Queue) && queue.present.spoken.is_none() => {
            checker.error(&whisper, "to say {queue}, set spoken in present to a recording of its name");
        }
        Some(Whisper::Said(_)) | None => {}
    }
    for member in &queue.agents {
        let mobile = company.users.get(&member.user).is_some_and(|user| user.mobile.is_some());
        let rings = member.contacts.iter().flatten().any(|rule| rule.what == Rings::Mobile);
        if rings && !mobile {
            let path = ["queues", id, "agents", member.user.as_str(), "contacts"];
            checker.error(&path, "\"mobile\" rings, but the user has no mobile number");
        }
    }
    if let Some(callback) = queue.callback
        && queue.keys.contains_key(&callback.key)
    {
        let key = callback.key;
        let message = format!("key {key} asks for a call-back: give one of the two another key");
        checker.error(&["queues", id, "keys", key.to_string().as_str()], message);
    }
    for (key, destination) in &queue.keys {
        checker.destination(company, &["queues", id, "keys", key.to_string().as_str()], destination);
    }
}

fn exits(checker: &mut Checker<'_>, company: &Company, id: &str, queue: &Queue) {
    let exits = [
        ("timeout", &queue.timeout, queue.max_wait.is_some()),
        ("full", &queue.full, true),
        ("nobody", &queue.nobody, true),
        ("closed", &queue.closed, queue.hours.is_some()),
        ("all_paused", &queue.all_paused, false),
        ("no_answer", &queue.no_answer, false),
        ("rejected_by_all", &queue.rejected_by_all, false),
        ("callback_taken", &queue.callback_taken, false),
        ("gone", &queue.gone, false),
    ];
    let mut missing = Vec::new();
    for (key, exit, needed) in exits {
        match exit {
            Some(exit) => exit_leads_on(checker, company, id, key, exit),
            None if needed && queue.overflow.is_none() => missing.push(key),
            None => {}
        }
    }
    if let Some(overflow) = &queue.overflow {
        exit_leads_on(checker, company, id, "overflow", overflow);
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let message = format!(
            "queue \"{id}\" has no way out for {missing}: write overflow, such as overflow = \"voicemail:…\""
        );
        checker.key_error(&["queues", id], message);
    }
}

fn exit_leads_on(checker: &mut Checker<'_>, company: &Company, id: &str, key: &str, exit: &Destination) {
    if matches!(exit, Destination::Queue(to) if to.as_str() == id) {
        checker.error(&["queues", id, key], format!("queue \"{id}\" cannot overflow into itself"));
    } else {
        checker.destination(company, &["queues", id, key], exit);
    }
}
