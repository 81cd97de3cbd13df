//! References of a company outside its queues and flows.

use std::collections::BTreeMap;

use crate::model::check::Checker;
use crate::model::company::Company;
use crate::model::id::LineId;
use crate::model::prompt::Media;
use crate::model::service_number::ServiceNumber;
use crate::model::user::User;

/// Checks everything of `company` but queues, groups and flows.
pub(super) fn check(checker: &mut Checker<'_>, company: &Company) {
    if let Some(plan) = company.plan.as_ref().filter(|_| !checker.unsure.plans) {
        checker.known(&["company", "plan"], "plan", plan.as_str(), &checker.config.plans);
    }
    if let Some(music) = &company.music {
        checker.known(&["company", "music"], "media", music.as_str(), &company.media);
    }
    for (number, destination) in &company.numbers {
        checker.destination(company, &["numbers", number.as_str()], destination);
    }
    for (number, service) in &company.services {
        service_number(checker, company, number.as_str(), service);
    }
    for (id, found) in &company.users {
        user(checker, company, id.as_str(), found);
    }
    for (id, device) in &company.devices {
        checker.known(&["devices", id.as_str(), "user"], "user", device.user.as_str(), &company.users);
        if let Some(site) = &device.site {
            checker.known(&["devices", id.as_str(), "site"], "site", site.as_str(), &company.sites);
        }
    }
    if let Some(to) = company.parking.as_ref().and_then(|parking| parking.return_to.as_ref()) {
        checker.destination(company, &["parking", "return_to"], to);
    }
    for (id, room) in &company.rooms {
        let path = |key| ["rooms", id.as_str(), key];
        if let Some(music) = &room.music {
            checker.known(
                &["rooms", id.as_str(), "music", music.as_str()],
                "media",
                music.as_str(),
                &company.media,
            );
        }
        if room.pin.is_some() && room.pin == room.moderator_pin {
            checker
                .error(&path("moderator_pin"), "everybody with the PIN would be moderator: choose another");
        }
        for (key, needs) in
            [("wait_for_moderator", room.wait), ("ends_with_moderator", room.ends_with_moderator)]
        {
            if needs && room.moderator_pin.is_none() {
                checker.error(&path(key), "nobody can be moderator: set moderator_pin");
            }
        }
    }
    media_codes(checker, company);
    if let Some(night) = &company.night {
        checker.known(&["company", "night"], "toggle", night.as_str(), &company.toggles);
    }
    for (id, closure) in &company.closures {
        for hours in &closure.hours {
            let path = ["closures", id.as_str(), "hours", hours.as_str()];
            checker.known(&path, "hours", hours.as_str(), &company.hours);
        }
        if let Some(play) = &closure.play {
            checker.known(&["closures", id.as_str(), "play"], "media", play.as_str(), &company.media);
        }
    }
    for (id, toggle) in &company.toggles {
        for number in toggle.numbers.iter().filter(|number| !company.owns(number)) {
            let path = ["toggles", id.as_str(), "numbers", number.as_str()];
            checker.error(&path, format!("{number} is no number of this company"));
        }
        if let Some(to) = &toggle.to {
            checker.destination(company, &["toggles", id.as_str(), "to"], to);
        }
        for hours in toggle.overrides.iter().flat_map(|(hours, _)| hours) {
            let path = ["toggles", id.as_str(), "overrides", "hours", hours.as_str()];
            checker.known(&path, "hours", hours.as_str(), &company.hours);
        }
    }
    for (id, mailbox) in &company.mailboxes {
        // A user's own box is made by the loader and is right by itself.
        if id.as_str().starts_with("user:") {
            continue;
        }
        for user in &mailbox.users {
            let path = ["voicemail", id.as_str(), "users", user.as_str()];
            checker.known(&path, "user", user.as_str(), &company.users);
        }
        if let Some(greeting) = &mailbox.greeting {
            let path = ["voicemail", id.as_str(), "greeting"];
            checker.known(&path, "media", greeting.as_str(), &company.media);
        }
    }
    for (id, found) in &company.media {
        media(checker, id.as_str(), found);
    }
}

fn service_number(checker: &mut Checker<'_>, company: &Company, number: &str, service: &ServiceNumber) {
    let path = ["numbers", number];
    match service {
        ServiceNumber::Login(Some(line)) | ServiceNumber::Logout(Some(line)) => match line {
            LineId::Queue(id) => checker.known(&path, "queue", id.as_str(), &company.queues),
            LineId::Group(id) => checker.known(&path, "group", id.as_str(), &company.groups),
        },
        ServiceNumber::Toggle(id) => checker.known(&path, "toggle", id.as_str(), &company.toggles),
        ServiceNumber::Voicemail(Some(id)) => {
            checker.known(&path, "voicemail box", id.as_str(), &company.mailboxes);
        }
        ServiceNumber::Menu
        | ServiceNumber::Login(None)
        | ServiceNumber::Logout(None)
        | ServiceNumber::Pause
        | ServiceNumber::Unpause
        | ServiceNumber::WrapUpEnd
        | ServiceNumber::WrapUpExtend
        | ServiceNumber::Voicemail(None) => {}
    }
}

fn user(checker: &mut Checker<'_>, company: &Company, id: &str, user: &User) {
    if let Some(plan) = user.plan.as_ref().filter(|_| !checker.unsure.plans) {
        checker.known(&["users", id, "plan"], "plan", plan.as_str(), &checker.config.plans);
    }
    if let Some(site) = &user.site {
        checker.known(&["users", id, "site"], "site", site.as_str(), &company.sites);
    }
    let forwards = [
        ("forward_always", &user.forward_always),
        ("no_answer", &user.no_answer),
        ("busy", &user.busy),
        ("unavailable", &user.unavailable),
    ];
    for (key, forward) in forwards {
        let Some(forward) = forward else { continue };
        checker.destination(company, &["users", id, key, "to"], &forward.to);
    }
}

/// Codes of recordings: no two alike.
fn media_codes(checker: &mut Checker<'_>, company: &Company) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (id, media) in &company.media {
        let Some(code) = media.code.as_deref() else { continue };
        if let Some(other) = taken.insert(code, id.as_str()) {
            checker.error(
                &["media", id.as_str(), "code"],
                format!("code {code} is already that of \"{other}\""),
            );
        }
    }
}

fn media(checker: &mut Checker<'_>, id: &str, media: &Media) {
    if media.file.is_some() {
        return;
    }
    if media.text.is_none() {
        checker.key_error(&["media", id], format!("media \"{id}\" needs a file, or a text to be read aloud"));
    } else if checker.config.server.speech_command.is_none() {
        let message = format!(
            "media \"{id}\" has a text but no file: record one, or set command under [speech] in server.toml"
        );
        checker.key_error(&["media", id], message);
    }
}
