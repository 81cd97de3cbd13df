//! A customer: its people, devices, numbers, hours, queues, flows and media.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::model::class::Classes;
use crate::model::flow::Destination;
use crate::model::flow::Flow;
use crate::model::fraud::Fraud;
use crate::model::hours::Closure;
use crate::model::hours::Hours;
use crate::model::hours::Toggle;
use crate::model::id::ClosureId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::FlowId;
use crate::model::id::GroupId;
use crate::model::id::HoursId;
use crate::model::id::MailboxId;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::PlanId;
use crate::model::id::QueueId;
use crate::model::id::RoomId;
use crate::model::id::SiteId;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::id::WebhookId;
use crate::model::mailbox::Mailbox;
use crate::model::parking::Parking;
use crate::model::prompt::Media;
use crate::model::queue::Queue;
use crate::model::recording::Recordings;
use crate::model::ring_group::RingGroup;
use crate::model::room::Room;
use crate::model::room::Supervision;
use crate::model::server::Codes;
use crate::model::server::Language;
use crate::model::server::Push;
use crate::model::server::Sms;
use crate::model::server::Webhook;
use crate::model::service_number::ServiceNumber;
use crate::model::user::Device;
use crate::model::user::User;

/// Which calls are recorded, where neither queue nor user says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Record {
    /// None.
    #[default]
    Off,
    /// Those of queues.
    Queues,
    /// All.
    All,
    /// Those that somebody of ours wants recorded.
    OnDemand,
}

/// Who may transfer by keys while talking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeatureKeys {
    /// Nobody.
    Off,
    /// Users at their mobiles.
    #[default]
    Mobile,
    /// Users at their phones too.
    All,
}

/// `companies/<id>.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Company {
    /// The file's name.
    pub id: CompanyId,
    /// Shown.
    pub name: Arc<str>,
    /// Organisation number, nine digits.
    pub orgnr: Option<Arc<str>>,
    /// SIP domain: its own, else the server's.
    pub domain: Arc<str>,
    /// Its own, else the server's.
    pub language: Language,
    /// IANA zone: its own, else the server's.
    pub zone: Arc<str>,
    /// Shown when the company rings out.
    pub number: Option<Number>,
    /// Subscription.
    pub plan: Option<PlanId>,
    /// Recording of calls.
    pub record: Record,
    /// Hold and queue music unless a queue has its own; `None` plays the system's.
    pub music: Option<MediaId>,
    /// Public numbers of this company, without those of users.
    pub numbers: BTreeMap<Number, Destination>,
    /// Public numbers by which users serve themselves.
    pub services: BTreeMap<Number, ServiceNumber>,
    /// Service numbers ask for the PIN even where the carrier vouches for the caller's number.
    pub service_pin: bool,
    /// Who may transfer by keys while talking.
    pub feature_keys: FeatureKeys,
    /// Where people sit, for emergency calls.
    pub sites: BTreeMap<SiteId, Site>,
    /// People and places.
    pub users: BTreeMap<UserId, User>,
    /// SIP devices.
    pub devices: BTreeMap<DeviceId, Device>,
    /// Opening hours.
    pub hours: BTreeMap<HoursId, Hours>,
    /// Dated exceptions.
    pub closures: BTreeMap<ClosureId, Closure>,
    /// States set by hand.
    pub toggles: BTreeMap<ToggleId, Toggle>,
    /// Media bank.
    pub media: BTreeMap<MediaId, Media>,
    /// Queues, with their type's settings already in them.
    pub queues: BTreeMap<QueueId, Queue>,
    /// Ring groups.
    pub groups: BTreeMap<GroupId, RingGroup>,
    /// Shared voicemail boxes; users' own are made as `user:<id>` when a user is given one.
    pub mailboxes: BTreeMap<MailboxId, Mailbox>,
    /// Call flows.
    pub flows: BTreeMap<FlowId, Flow>,
    /// Conference rooms.
    pub rooms: BTreeMap<RoomId, Room>,
    /// Supervision of calls.
    pub supervision: Supervision,
    /// Where callers are parked.
    pub parking: Option<Parking>,
    /// Caller lists for the `caller` verb (`contacts:<id>`).
    pub contacts: BTreeMap<Arc<str>, Vec<Number>>,
    /// Numbers for everybody by the digits that stand for them; a user's own stand above them.
    pub speed: BTreeMap<Arc<str>, Number>,
    /// Reasons of pauses by the digit or two that are dialled for them.
    pub pauses: BTreeMap<Arc<str>, Arc<str>>,
    /// The server's, overridden.
    pub codes: Codes,
    /// How text messages are sent: its own way, else the server's.
    pub sms: Option<Sms>,
    /// How sleeping apps are woken; else as the server.
    pub push: Option<Push>,
    /// Webhooks.
    pub webhooks: BTreeMap<WebhookId, Webhook>,
    /// Destinations open to its flows, and to its users who have no `allow` of their own, besides the usual ones.
    pub allow: Classes,
    /// The toggle by which the switchboard turns night service on.
    pub night: Option<ToggleId>,
    /// Who is logged in at a shared phone is logged out at this time of day.
    pub hot_desk_until: Option<jiff::civil::Time>,
    /// Destinations closed to everybody.
    pub block: Classes,
    /// The server's, overridden.
    pub fraud: Fraud,
    /// How calls are recorded, and how long that is kept: the server's, overridden.
    pub recordings: Recordings,
    /// Extension → where it leads: users, queues, groups, mailboxes, toggles are found here.
    pub extensions: HashMap<Number, Extension>,
}

impl Company {
    /// Whether a public number is one of the company's or of a user's.
    pub fn owns(&self, number: &Number) -> bool {
        self.number.as_ref() == Some(number)
            || self.numbers.contains_key(number)
            || self.services.contains_key(number)
            || self.users.values().any(|user| user.number.as_ref() == Some(number))
    }
}

/// A place where people sit. Emergency centres find it by its number, which the carrier has an address for.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Shown on emergency calls from there.
    pub number: Number,
    /// In words, for carriers that take it in a header.
    pub address: Option<Arc<str>>,
}

/// What an extension reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// A user, queue, group, voicemail box or room.
    To(Destination),
    /// A toggle's extension: calling it flips the toggle.
    Toggle(ToggleId),
}
