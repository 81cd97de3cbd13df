//! Proofs about flows: every reference exists, every step is reached, groups lead on, flows are not too deep.
//!
//! Leaves out whether calls go round (see `round`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::check::Checker;
use crate::model::check::nearest;
use crate::model::check::round;
use crate::model::company::Company;
use crate::model::flow::CallerMatch;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::Flow;
use crate::model::flow::Played;
use crate::model::flow::Step;
use crate::model::hours::HolidayPolicy;
use crate::model::id::FlowId;
use crate::model::id::GroupId;
use crate::model::id::HoursId;
use crate::model::id::LineId;
use crate::model::id::MediaId;
use crate::model::id::StepId;

/// Steps of a flow at most.
const STEPS_MAX: usize = 500;

/// Flows inside flows at most.
const DEPTH_MAX: usize = 8;

/// Checks the flows of `company`, and what its destinations lead to in the end.
pub(super) fn check(checker: &mut Checker<'_>, company: &Company) {
    let whole = |id: &FlowId| !checker.unsure.flows.contains(&(company.id.clone(), id.clone()));
    let sure: BTreeSet<&FlowId> = company.flows.keys().filter(|id| whole(id)).collect();
    for (id, flow) in &company.flows {
        for (step_id, step) in &flow.steps {
            references(checker, company, (id, step_id), step);
            exits_exist(checker, company, flow, (id, step_id), step);
        }
        if sure.contains(id) {
            reach(checker, id, flow);
        }
        if flow.steps.len() > STEPS_MAX {
            let message = format!("flow \"{id}\" has {} steps; {STEPS_MAX} is the most", flow.steps.len());
            checker.key_error(&["flows", id.as_str()], message);
        }
    }
    for (id, user) in &company.users {
        if let Some(spoken) = &user.spoken {
            checker.known(&["users", id.as_str(), "spoken"], "media", spoken.as_str(), &company.media);
        }
    }
    groups_lead_on(checker, company, &sure);
    depth(checker, company);
    round::check(checker, company, &sure);
}

/// What the verb of a step names must exist.
fn references(checker: &mut Checker<'_>, company: &Company, at: (&FlowId, &StepId), step: &Step) {
    let path = |key: &'static str| ["flows", at.0.as_str(), "steps", at.1.as_str(), key];
    let media = |checker: &mut Checker<'_>, key: &'static str, id: &MediaId| {
        checker.known(&path(key), "media", id.as_str(), &company.media);
    };
    match step {
        Step::Hours { hours, exits } => {
            checker.known(&path("hours"), "hours", hours.as_str(), &company.hours);
            if company.hours.contains_key(hours.as_str()) {
                categories(checker, company, at, hours, exits.keys().map(|category| &**category));
            }
        }
        Step::Play { media: all, .. } => {
            for played in all {
                let [flows, flow, steps, step, key] = path("play");
                let id = match played {
                    Played::Media(id) => id,
                    Played::Reopens(hours) => {
                        let written = format!("reopens:{hours}");
                        let at = [flows, flow, steps, step, key, &written];
                        checker.known(&at, "hours", hours.as_str(), &company.hours);
                        continue;
                    }
                };
                checker.known(
                    &[flows, flow, steps, step, key, id.as_str()],
                    "media",
                    id.as_str(),
                    &company.media,
                );
            }
        }
        Step::Menu { media: id, invalid_play, .. } => {
            media(checker, "menu", id);
            if let Some(id) = invalid_play {
                media(checker, "invalid_play", id);
            }
        }
        Step::Caller { matches, .. } => {
            for found in matches {
                let CallerMatch::Contacts(list) = found else { continue };
                checker.known(&path("caller"), "contacts", list, &company.contacts);
            }
        }
        Step::Toggle { toggle, .. } => {
            checker.known(&path("toggle"), "toggle", toggle.as_str(), &company.toggles)
        }
        Step::Queue { queue, .. } => checker.known(&path("queue"), "queue", queue.as_str(), &company.queues),
        Step::Group { group, .. } => checker.known(&path("group"), "group", group.as_str(), &company.groups),
        Step::Dial { to, .. } => {
            for destination in to {
                let [flows, flow, steps, step, key] = path("dial");
                let written = destination.to_string();
                checker.destination(company, &[flows, flow, steps, step, key, &written], destination);
            }
        }
        Step::Voicemail { mailbox, greeting, .. } => {
            checker.known(&path("voicemail"), "voicemail box", mailbox.as_str(), &company.mailboxes);
            if let Some(id) = greeting {
                media(checker, "greeting", id);
            }
        }
        Step::Collect { media: id, .. } => media(checker, "collect", id),
        Step::Directory { media: id, scope, .. } => {
            media(checker, "directory", id);
            for line in scope {
                let [flows, flow, steps, step, key] = path("scope");
                let written = line.to_string();
                let at = [flows, flow, steps, step, key, &written];
                match line {
                    LineId::Queue(queue) => checker.known(&at, "queue", queue.as_str(), &company.queues),
                    LineId::Group(group) => checker.known(&at, "group", group.as_str(), &company.groups),
                }
            }
        }
        Step::Consent { media: id, .. } => media(checker, "consent", id),
        Step::Ask { what, .. } => {
            if !what.contains("://") && !checker.config.server.webhooks.contains_key(&**what) {
                checker.known(&path("ask"), "webhook", what, &company.webhooks);
            }
        }
        Step::Sms { .. } => {
            if company.sms.is_none() {
                let message = "nothing sends text messages: write [sms] with webhook = \"https://…\" in this file or in server.toml";
                checker.key_error(&path("sms"), message.to_owned());
            }
        }
        Step::Flow { flow, .. } => checker.known(&path("flow"), "flow", flow.as_str(), &company.flows),
        Step::Hangup { play, .. } => {
            if let Some(id) = play {
                media(checker, "play", id);
            }
        }
        Step::Set { .. } | Step::Split { .. } => {}
    }
}

/// An exit of an hours step must be a category that its template can have.
fn categories<'a>(
    checker: &mut Checker<'_>,
    company: &Company,
    at: (&FlowId, &StepId),
    id: &HoursId,
    exits: impl Iterator<Item = &'a str>,
) {
    let mut known: BTreeSet<&str> = ["open", "closed", "holiday", "closure"].into();
    if let Some(hours) = company.hours.get(id) {
        let dates = hours.dates.iter().map(|date| &date.day);
        let policies = hours.holidays.iter().chain(hours.holiday_policies.values());
        let policies = policies.filter_map(|policy| match policy {
            HolidayPolicy::Spans(day) => Some(day),
            HolidayPolicy::Closed | HolidayPolicy::AsSunday | HolidayPolicy::Normal => None,
        });
        let days = hours.week.iter().chain(hours.named_days.values()).chain(dates).chain(policies);
        known.extend(days.flatten().map(|span| &*span.category));
        known.insert(&hours.default_category);
    }
    for closure in
        company.closures.values().filter(|closure| closure.hours.is_empty() || closure.hours.contains(id))
    {
        known.extend(closure.open.iter().flatten().map(|span| &*span.category));
    }
    for toggle in company.toggles.values() {
        let overrides = toggle.overrides.iter().filter(|(hours, _)| hours.contains(id));
        known.extend(overrides.map(|(_, category)| &**category));
    }
    for exit in exits.filter(|exit| !known.contains(exit)) {
        let meant = nearest(exit, known.iter().copied());
        let meant = meant.map_or(String::new(), |meant| format!(" – did you mean \"{meant}\"?"));
        let path = ["flows", at.0.as_str(), "steps", at.1.as_str(), exit];
        checker.key_error(&path, format!("hours \"{id}\" are never \"{exit}\"{meant}"));
    }
}

/// Where a step leads must exist.
fn exits_exist(
    checker: &mut Checker<'_>,
    company: &Company,
    flow: &Flow,
    at: (&FlowId, &StepId),
    step: &Step,
) {
    for (key, exit) in step.exits() {
        let path = ["flows", at.0.as_str(), "steps", at.1.as_str(), &key];
        match exit {
            Exit::Step(to) => step_exists(checker, company, flow, &path, to),
            Exit::To(destination) => checker.destination(company, &path, destination),
        }
    }
}

fn step_exists(checker: &mut Checker<'_>, company: &Company, flow: &Flow, path: &[&str], to: &StepId) {
    if flow.steps.contains_key(to) {
        return;
    }
    let word = to.as_str();
    let elsewhere = [
        ("queue", company.queues.contains_key(word)),
        ("group", company.groups.contains_key(word)),
        ("voicemail", company.mailboxes.contains_key(word)),
        ("user", company.users.contains_key(word)),
        ("flow", company.flows.contains_key(word)),
    ];
    let meant = nearest(word, flow.steps.keys().map(StepId::as_str).chain(["hangup"]));
    let meant = match (elsewhere.into_iter().find(|(_, has)| *has), meant) {
        (Some((kind, _)), _) => format!(" – did you mean \"{kind}:{word}\"?"),
        (None, Some(meant)) => format!(" – did you mean \"{meant}\"?"),
        (None, None) => String::new(),
    };
    checker.error(path, format!("unknown step \"{word}\"{meant}"));
}

/// Every step is reached from the first.
fn reach(checker: &mut Checker<'_>, id: &FlowId, flow: &Flow) {
    if !flow.steps.contains_key(&flow.start) {
        let meant = nearest(flow.start.as_str(), flow.steps.keys().map(StepId::as_str));
        let meant = meant.map_or(String::new(), |meant| format!(" – did you mean \"{meant}\"?"));
        checker.error(&["flows", id.as_str(), "start"], format!("unknown step \"{}\"{meant}", flow.start));
        return;
    }
    let mut seen = BTreeSet::from([&flow.start]);
    let mut next = vec![&flow.start];
    while let Some(step) = next.pop().and_then(|at| flow.steps.get(at)) {
        for (_, exit) in step.exits() {
            let Exit::Step(to) = exit else { continue };
            if flow.steps.contains_key(to) && seen.insert(to) {
                next.push(to);
            }
        }
    }
    for step in flow.steps.keys().filter(|step| !seen.contains(step)) {
        let message = format!("step \"{step}\" is never reached");
        checker.key_error(&["flows", id.as_str(), "steps", step.as_str()], message);
    }
}

/// A ring group that nobody answers must lead on, unless every step that rings it says where.
fn groups_lead_on(checker: &mut Checker<'_>, company: &Company, sure: &BTreeSet<&FlowId>) {
    let leads_on = |id: &GroupId| company.groups.get(id).is_none_or(|group| group.no_answer.is_some());
    for (id, group) in &company.groups {
        let destination = Destination::Group(id.clone());
        let called = group.ext.is_some() || company.numbers.values().any(|to| *to == destination);
        if called && group.no_answer.is_none() {
            let message = format!(
                "group \"{id}\" has no way out when nobody answers: write no_answer, such as no_answer = \"voicemail:…\""
            );
            checker.key_error(&["groups", id.as_str()], message);
        }
    }
    for (id, flow) in company.flows.iter().filter(|(id, _)| sure.contains(id)) {
        for (step_id, step) in &flow.steps {
            let path = |key: &'static str| ["flows", id.as_str(), "steps", step_id.as_str(), key];
            if let Step::Group { group, exits, .. } = step
                && !exits.contains_key("no_answer")
                && !leads_on(group)
            {
                let message = format!("\"no_answer\" is missing, and group \"{group}\" has none of its own");
                checker.key_error(&path("group"), message);
            }
            for (key, exit) in step.exits() {
                let Exit::To(Destination::Group(group)) = exit else { continue };
                if !leads_on(group) {
                    let message =
                        format!("group \"{group}\" has no way out when nobody answers: write its no_answer");
                    checker.error(&["flows", id.as_str(), "steps", step_id.as_str(), &key], message);
                }
            }
        }
    }
}

/// Flows lie in flows to a certain depth only, and none in itself.
fn depth(checker: &mut Checker<'_>, company: &Company) {
    let inner = |step: &Step| match step {
        Step::Flow { flow, .. } => company.flows.get_key_value(flow).map(|(id, _)| id),
        _ => None,
    };
    let mut depths: BTreeMap<&FlowId, usize> = company.flows.keys().map(|id| (id, 1)).collect();
    // Each round carries depths one flow further out; what still grows after the last is too deep or in
    // itself.
    for _ in 0..=DEPTH_MAX {
        for (id, flow) in &company.flows {
            let deepest = flow.steps.values().filter_map(inner).filter_map(|inner| depths.get(inner)).max();
            let depth = deepest.map_or(1, |depth| (depth + 1).min(DEPTH_MAX + 1));
            depths.insert(id, depth);
        }
    }
    for (id, flow) in &company.flows {
        for (step_id, step) in &flow.steps {
            let Some(inner) =
                inner(step).filter(|inner| depths.get(inner).is_some_and(|depth| *depth >= DEPTH_MAX))
            else {
                continue;
            };
            let path = ["flows", id.as_str(), "steps", step_id.as_str(), "flow"];
            checker.error(
                &path,
                format!("flow \"{inner}\" is inside itself, or flows are more than {DEPTH_MAX} deep here"),
            );
        }
    }
}
