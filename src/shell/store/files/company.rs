//! Reads `companies/<id>.toml`: one file, one customer.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::check;
use crate::model::company::Company;
use crate::model::company::FeatureKeys;
use crate::model::company::Record;
use crate::model::company::Site;
use crate::model::flow::Destination;
use crate::model::id::CompanyId;
use crate::model::id::FlowId;
use crate::model::id::MailboxId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::RoomId;
use crate::model::id::SiteId;
use crate::model::id::UserId;
use crate::model::mailbox::Mailbox;
use crate::model::number;
use crate::model::parking::Parking;
use crate::model::prompt::Media;
use crate::model::room::Room;
use crate::model::room::Supervision;
use crate::model::server::Server;
use crate::model::service_number::ServiceNumber;
use crate::model::user::User;
use crate::shell::store::files::closures;
use crate::shell::store::files::cursor::Table;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::flow;
use crate::shell::store::files::fraud;
use crate::shell::store::files::hours;
use crate::shell::store::files::queue;
use crate::shell::store::files::queue::Types;
use crate::shell::store::files::read;
use crate::shell::store::files::read::DAY;
use crate::shell::store::files::read::LANGUAGES;
use crate::shell::store::files::read::SECOND;
use crate::shell::store::files::server;
use crate::shell::store::files::user;

/// Messages in a box, unless it says otherwise.
const MESSAGES: usize = 100;

/// What a company's file is read with.
pub(super) struct Around<'a> {
    /// Whose file it is.
    pub(super) id: &'a CompanyId,
    /// What the company takes from the server.
    pub(super) server: &'a Server,
    /// Queue types of the operator.
    pub(super) types: &'a Types,
    /// Whether those could be read.
    pub(super) types_sure: bool,
    /// Finds an audio file of the company.
    pub(super) media: &'a dyn Fn(&str) -> Result<PathBuf, String>,
    /// Reads a calendar of the company.
    pub(super) calendar: &'a dyn Fn(&str) -> Result<String, String>,
}

/// Reads the whole file; also tells which flows have mistakes in their form.
pub(super) fn company(mut file: Table<'_>, around: &Around<'_>) -> (Company, Vec<FlowId>) {
    let server = around.server;
    let has_company = file.left().iter().any(|entry| entry.key == "company");
    let mut about = file.table("company");
    let name = about.text("name");
    if name.is_none() && has_company {
        about.missing("name");
    } else if name.is_none() {
        file.source.error(0, "[company] with a name is missing");
    }
    let zone = about.take("timezone").and_then(read::zone).unwrap_or_else(|| server.zone.clone());
    let language = about.word("language", LANGUAGES).unwrap_or(server.language);
    let own_types = queue::types(file.take("queue_types"));
    let types = queue::TypesOf { own: &own_types, operator: around.types, sure: around.types_sure };
    let (flows, unsure) = flow::flows(file.take("flows"));
    let (numbers, services) = numbers(file.take("numbers"));
    let mut company = Company {
        id: around.id.clone(),
        name: name.unwrap_or_else(|| around.id.as_str().into()),
        orgnr: about.take("orgnr").and_then(orgnr),
        domain: about.take("domain").and_then(server::domain).unwrap_or_else(|| server.domain.clone()),
        language,
        number: about.take("number").and_then(read::public_number),
        plan: about.take("plan").and_then(read::reference),
        record: about.word("record", RECORD).unwrap_or_default(),
        music: about.take("music").and_then(read::reference),
        numbers,
        services,
        service_pin: about.flag("service_pin").unwrap_or(false),
        feature_keys: about.word("feature_keys", FEATURE_KEYS).unwrap_or_default(),
        sites: sites(file.take("sites")),
        users: user::users(file.take("users"), language),
        devices: user::devices(file.take("devices")),
        hours: hours::hours(file.take("hours"), &zone),
        closures: closures::closures(file.take("closures"), &zone, around.calendar),
        toggles: hours::toggles(file.take("toggles")),
        media: media(file.take("media"), around),
        queues: queue::queues(file.take("queues"), &types),
        groups: queue::groups(file.take("groups")),
        mailboxes: mailboxes(file.take("voicemail")),
        flows,
        rooms: rooms(file.take("rooms")),
        supervision: supervision(file.table("supervision")),
        parking: parking(file.table("parking")),
        contacts: contacts(file.take("contacts")),
        speed: user::speed(file.take("speed")),
        pauses: pauses(file.take("pauses")),
        codes: server::codes(file.take("codes"), &server.codes),
        sms: server::sms(file.take("sms")).or_else(|| server.sms.clone()),
        push: server::push(file.take("push")).or_else(|| server.push.clone()),
        webhooks: server::webhooks(file.take("webhooks")),
        allow: about.take("allow").map(fraud::classes).unwrap_or_default(),
        night: about.take("night").and_then(read::reference),
        hot_desk_until: about.take("hot_desk_until").and_then(time_of_day),
        block: about.take("block").map(fraud::classes).unwrap_or_default(),
        fraud: fraud::fraud(file.table("fraud"), &server.fraud),
        recordings: server::recordings(file.table("recordings"), &server.recordings),
        extensions: HashMap::new(),
        zone,
    };
    about.finish();
    file.finish();
    own_mailboxes(&company.users, &mut company.mailboxes);
    let extensions =
        check::extensions(&company).into_iter().map(|(number, _, _, leads)| (number.clone(), leads));
    company.extensions = extensions.collect();
    (company, unsure)
}

const RECORD: &[(&str, Record)] = &[
    ("off", Record::Off),
    ("queues", Record::Queues),
    ("all", Record::All),
    ("on_demand", Record::OnDemand),
];

/// An organisation number, kept as nine digits.
fn orgnr(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if !number::orgnr_valid(text) {
        value.error(format!(
            "\"{text}\" is no organisation number: nine digits, the last of which checks the others"
        ));
        return None;
    }
    Some(text.chars().filter(char::is_ascii_digit).collect::<String>().into())
}

const FEATURE_KEYS: &[(&str, FeatureKeys)] =
    &[("off", FeatureKeys::Off), ("mobile", FeatureKeys::Mobile), ("all", FeatureKeys::All)];

/// Public numbers, and those of services (`service:login`).
fn numbers(section: Option<Value<'_>>) -> (BTreeMap<Number, Destination>, BTreeMap<Number, ServiceNumber>) {
    let (mut numbers, mut services) = (BTreeMap::new(), BTreeMap::new());
    let Some(mut section) = section.and_then(Value::table) else {
        return (numbers, services);
    };
    for entry in section.take_all(|_| true) {
        if let Some(service) = entry.value.as_text().and_then(|text| text.strip_prefix("service:")) {
            match (read::e164(entry.key), service.parse()) {
                (Ok(number), Ok(service)) => drop(services.insert(number, service)),
                (Err(why), _) => entry.error(why),
                (Ok(_), Err(why)) => entry.value.error(why.to_string()),
            }
            continue;
        }
        let destination = read::destination(entry.value).unwrap_or(Destination::Hangup);
        match read::e164(entry.key) {
            Ok(number) => {
                numbers.insert(number, destination);
            }
            Err(why) => entry.error(why),
        }
    }
    (numbers, services)
}

fn sites(section: Option<Value<'_>>) -> BTreeMap<SiteId, Site> {
    let mut sites = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let number = table.take("number");
        if number.is_none() {
            table.missing("number");
        }
        let number = number.and_then(read::public_number);
        let address = table.take("address").and_then(address);
        table.finish();
        if let Some(number) = number {
            sites.insert(entry.key.into(), Site { number, address });
        }
    }
    sites
}

/// A postal address in one line, as it goes into a header.
fn address(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if text.len() > 200 || text.chars().any(char::is_control) {
        value.error("an address is one line of at most 200 bytes");
        return None;
    }
    Some(text.into())
}

fn media(section: Option<Value<'_>>, around: &Around<'_>) -> BTreeMap<MediaId, Media> {
    let mut all = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let media = Media {
            name: table.text("name"),
            code: table.take("code").and_then(media_code),
            text: table.text("text"),
            file: table.take("file").and_then(|value| audio_file(value, around)),
        };
        table.finish();
        all.insert(entry.key.into(), media);
    }
    all
}

/// Reasons of pauses, by what is dialled for them: one or two digits.
fn pauses(section: Option<Value<'_>>) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut pauses = BTreeMap::new();
    let Some(mut section) = section.and_then(Value::table) else { return pauses };
    for entry in section.take_all(|_| true) {
        if !(1..=2).contains(&entry.key.len()) || !entry.key.bytes().all(|byte| byte.is_ascii_digit()) {
            entry.error("the reason of a pause is dialled by one or two digits");
            continue;
        }
        let Some(text) = entry.value.text() else { continue };
        if text.trim().is_empty() || text.chars().count() > 60 || text.chars().any(char::is_control) {
            entry.error("the reason of a pause is one line of 1 to 60 signs");
            continue;
        }
        pauses.insert(entry.key.into(), text.into());
    }
    pauses
}

/// What is dialled behind the service code to record it: 1 to 4 digits.
fn media_code(value: Value<'_>) -> Option<Arc<str>> {
    let text = value.text()?;
    if !(1..=4).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        value.error(format!("\"{text}\" is no code of a recording: write 1 to 4 digits"));
        return None;
    }
    Some(text.into())
}

/// A time of day, `"18:00"`.
fn time_of_day(value: Value<'_>) -> Option<jiff::civil::Time> {
    let text = value.text()?;
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
    let time = parts.and_then(|(hour, minute)| jiff::civil::Time::new(hour, minute, 0, 0).ok());
    if time.is_none() {
        value.error(format!("\"{text}\" is no time of day: write for example \"18:00\""));
    }
    time
}

/// Two digits.
fn two(text: &str) -> Option<i8> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// An audio file; one that is not found has been reported and stands for itself.
fn audio_file(value: Value<'_>, around: &Around<'_>) -> Option<PathBuf> {
    let text = value.text()?;
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if !text.split('/').all(plain) {
        value.error(format!("\"{text}\" must be the name of a file in the company's media folder"));
        return Some(text.into());
    }
    if !text.ends_with(".wav") {
        value.error(format!("\"{text}\" must be a WAV file"));
        return Some(text.into());
    }
    match (around.media)(text) {
        Ok(path) => Some(path),
        Err(why) => {
            value.error(why);
            Some(text.into())
        }
    }
}

fn mailboxes(section: Option<Value<'_>>) -> BTreeMap<MailboxId, Mailbox> {
    let mut mailboxes = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let most = table.integer("max_messages", 1..=10_000).and_then(|most| usize::try_from(most).ok());
        let longest =
            table.take("max_length").and_then(|value| read::duration(value, SECOND * 5..=SECOND * 3_600));
        let keep = table.take("keep").and_then(|value| read::duration_or_never(value, DAY..=DAY * 3_650));
        let mailbox = Mailbox {
            name: table.text("name").unwrap_or_else(|| entry.key.into()),
            ext: table.take("ext").and_then(read::extension),
            users: table.take("users").map(read::references).unwrap_or_default(),
            email: table.take("email").and_then(server::email),
            email_audio: table.flag("email_audio").unwrap_or(true),
            greeting: table.take("greeting").and_then(read::reference),
            pin: table.take("pin").and_then(user::pin),
            max_messages: most.unwrap_or(MESSAGES),
            max_length: longest.unwrap_or(SECOND * 180),
            keep: keep.flatten(),
        };
        table.finish();
        mailboxes.insert(entry.key.into(), mailbox);
    }
    mailboxes
}

/// Gives a box to each user who has voicemail.
fn own_mailboxes(users: &BTreeMap<UserId, User>, mailboxes: &mut BTreeMap<MailboxId, Mailbox>) {
    for (id, user) in users {
        let Some(own) = &user.voicemail else { continue };
        let mailbox = Mailbox {
            name: user.name.clone(),
            ext: None,
            users: vec![id.clone()],
            email: user.email.clone(),
            email_audio: own.email_audio,
            greeting: None,
            pin: own.pin.clone(),
            max_messages: MESSAGES,
            max_length: SECOND * 180,
            keep: own.keep,
        };
        mailboxes.insert(format!("user:{id}").into(), mailbox);
    }
}

fn rooms(section: Option<Value<'_>>) -> BTreeMap<RoomId, Room> {
    let mut rooms = BTreeMap::new();
    for (entry, mut table) in read::things(section) {
        let room = Room {
            name: table.text("name").unwrap_or_else(|| entry.key.into()),
            ext: table.take("ext").and_then(read::extension),
            pin: table.take("pin").and_then(user::pin),
            moderator_pin: table.take("moderator_pin").and_then(user::pin),
            max: table.integer("max", 2..=500).and_then(|max| usize::try_from(max).ok()).unwrap_or(50),
            wait: table.flag("wait_for_moderator").unwrap_or(false),
            ends_with_moderator: table.flag("ends_with_moderator").unwrap_or(false),
            sounds: table.flag("sounds").unwrap_or(true),
            music: table.take("music").and_then(read::reference),
        };
        table.finish();
        rooms.insert(entry.key.into(), room);
    }
    rooms
}

fn supervision(mut table: Table<'_>) -> Supervision {
    let supervision = Supervision { beep: table.flag("beep").unwrap_or(false) };
    table.finish();
    supervision
}

fn parking(mut table: Table<'_>) -> Option<Parking> {
    let slots = table.take("slots").and_then(|value| {
        let text = value.text()?;
        let parts = text.split_once('-').and_then(|(first, last)| Some((slot(first)?, slot(last)?)));
        let parts = parts.filter(|(first, last)| first <= last && last - first < 1_000);
        if parts.is_none() {
            value.error(format!("\"{text}\" is no range of parking slots: write for example \"701-709\""));
        }
        parts
    });
    let return_after = table
        .take("return_after")
        .and_then(|value| read::duration(value, SECOND * 10..=SECOND * 3_600))
        .unwrap_or(SECOND * 120);
    let return_to = table.take("return_to").and_then(read::destination);
    table.finish();
    let (first, last) = slots?;
    Some(Parking { first, last, return_after, return_to })
}

fn slot(text: &str) -> Option<u32> {
    let text = text.trim();
    let fits = (2..=7).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten().filter(|_| !text.starts_with('0'))
}

fn contacts(section: Option<Value<'_>>) -> BTreeMap<Arc<str>, Vec<Number>> {
    let mut lists = BTreeMap::new();
    let Some(mut section) = section.and_then(Value::table) else {
        return lists;
    };
    for entry in section.take_all(|_| true) {
        read::id_is_well_formed(&entry);
        let numbers = entry.value.one_or_more().into_iter().filter_map(read::public_number).collect();
        lists.insert(entry.key.into(), numbers);
    }
    lists
}
