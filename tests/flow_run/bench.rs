//! A company, and a call that runs a program without a switch.

use sentral::model::Config;
use sentral::model::change::Change;
use sentral::model::change::Source;
use sentral::model::company::Company;
use sentral::model::flow::Destination;
use sentral::model::id::CallId;
use sentral::model::id::LineId;
use sentral::model::id::MailboxKey;
use sentral::model::id::NodeId;
use sentral::model::id::Number;
use sentral::model::id::UserId;
use sentral::model::mailbox::Message;
use sentral::model::mailbox::MessageState;
use sentral::model::prompt::PromptKey;
use sentral::model::server::Language;
use sentral::shell::store::files::load_texts;
use sentral::switch::flow::Program;
use sentral::switch::flow::Run;
use sentral::switch::flow::action::Action;
use sentral::switch::flow::action::CallerFacts;
use sentral::switch::flow::action::Context;
use sentral::switch::flow::action::Duty;
use sentral::switch::flow::action::Event;
use sentral::switch::flow::action::Place;
use sentral::switch::flow::action::Presence;
use sentral::switch::flow::action::Toggles;
use sentral::switch::flow::action::World;
use sentral::switch::identity;
use sentral::switch::mailboxes::Mailboxes;
use sentral::switch::personal::People;
use sentral::time::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const COMPANY: &str = r#"
[company]
name = "Fjell"
[numbers]
"+4736000100" = "NUMBER"
[contacts]
vip = ["+4799999999"]
[users.kari]
name = "Kari Fjell"
ext = "101"
number = "+4736000101"
voicemail = true
[users.jonas]
name = "Jonas"
ext = "102"
no_answer = { after = "15s", to = "queue:salg" }
busy = { to = "user:ola" }
unavailable = { to = "phone:+4736000297" }
[users.ola]
name = "Ola Berg"
ext = "103"
ring = "25s"
[users.alltid]
name = "Alltid"
forward_always = { to = "phone:+4736000298" }
[users.ping]
name = "Ping"
forward_always = { to = "user:pong" }
[users.pong]
name = "Pong"
[hours.lager]
name = "Lager"
mon-fri = "06:30-11:00, 11:00-11:30 lunsj, 11:30-15:30"
holidays = "no"
[closures.ferie]
name = "Ferie"
from = 2027-07-12
to = 2027-07-30
play = "ferie"
[toggles.natt]
name = "Natt"
ext = "501"
[toggles.steng]
name = "Steng"
overrides = { hours = ["lager"], category = "closed" }
[media]
en = { file = "en.wav" }
to = { file = "to.wav" }
tre = { file = "tre.wav" }
meny = { file = "meny.wav", text = "Tast 1" }
ferie = { file = "ferie.wav" }
[queues.salg]
name = "Salg"
agents = ["kari", "ola"]
keys = { 1 = "group:lager" }
nobody = "user:ola"
overflow = "group:lager"
[queues.prosjekt]
name = "Prosjekt"
agents = ["kari"]
overflow = "voicemail:felles"
[queues.bar]
name = "Bar"
agents = ["kari"]
overflow = "hangup"
[groups.lager]
name = "Lager"
members = ["kari"]
no_answer = "voicemail:felles"
[groups.bar]
name = "Bar"
members = ["ola"]
[voicemail.felles]
name = "Felles"
ext = "690"
users = ["kari"]
greeting = "en"
pin = "4321"
[voicemail.liten]
name = "Liten"
users = ["kari"]
max_messages = 1
[flows.hilsen]
name = "Hilsen"
start = "h"
[flows.hilsen.steps]
h = { play = "en" }
[flows.slutt]
name = "Slutt"
start = "h"
[flows.slutt.steps]
h = { hangup = "busy" }
"#;

/// The flow `t`, which begins at its step `s`.
pub(crate) fn flow(steps: &str) -> String {
    format!("[flows.t]\nname = \"T\"\nstart = \"s\"\n[flows.t.steps]\n{steps}\n")
}

/// The company with something more in its file.
pub(crate) fn config(more: &str) -> Arc<Config> {
    let number = if more.contains("[flows.t]") { "flow:t" } else { "flow:hilsen" };
    let company = format!("{}{more}", COMPANY.replace("NUMBER", number));
    let texts: BTreeMap<PathBuf, String> = [("companies/fjell.toml".into(), company)].into();
    let loaded = load_texts(&texts, &|_| None, &|_, file| Ok(file.into()));
    loaded.config.unwrap_or_else(|| panic!("{:#?}\n{more}", loaded.errors))
}

fn at(place: &Place) -> String {
    match &place.flow {
        Some(flow) => format!("{flow}/{}", place.step),
        None => place.step.to_string(),
    }
}

/// A call that runs a program, without a switch.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) config: Arc<Config>,
    pub(crate) program: Program,
    pub(crate) facts: CallerFacts,
    pub(crate) toggles: Toggles,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) people: People,
    pub(crate) now: Timestamp,
    pub(crate) duty: Duty,
    pub(crate) random: u32,
    /// Decisions, `at: why`.
    pub(crate) steps: Vec<String>,
    /// Steps come to (`+flow/step verb`) and left (`-flow/step exit`).
    pub(crate) way: Vec<String>,
}

impl Bench {
    pub(crate) fn with(more: &str, program: Program) -> Bench {
        Bench {
            config: config(more),
            program,
            facts: CallerFacts {
                number: Some(Number::new("+4722000000")),
                name: None,
                hidden: false,
                user: None,
                own_device: false,
                dialled: Number::new("+4736000100"),
                answered: false,
                diversions: Vec::new(),
                language: Language::Nb,
            },
            toggles: Toggles::default(),
            mailboxes: Mailboxes::default(),
            people: People::default(),
            now: "2026-11-23T10:00:00+01:00".parse().expect("a time"),
            duty: Duty::default(),
            random: 0,
            steps: Vec::new(),
            way: Vec::new(),
        }
    }

    pub(crate) fn flow(steps: &str) -> Bench {
        Bench::with(&flow(steps), Program::Flow(Run::at(Destination::Flow("t".into()))))
    }

    pub(crate) fn at_destination(to: &str) -> Bench {
        let destination = match to.split_once(':') {
            Some(("user", id)) => Destination::User(id.into()),
            Some(("queue", id)) => Destination::Queue(id.into()),
            Some(("group", id)) => Destination::Group(id.into()),
            Some(("voicemail", id)) => Destination::Voicemail(id.into()),
            _ => Destination::Hangup,
        };
        Bench::with("", Program::Flow(Run::at(destination)))
    }

    pub(crate) fn at(mut self, now: &str) -> Bench {
        self.now = now.parse().expect("a time");
        self
    }

    pub(crate) fn calling(mut self, user: &str) -> Bench {
        let company = &self.config.companies["fjell"];
        self.facts = identity::caller_user(company, &UserId::from(user));
        self
    }

    pub(crate) fn toggled(self, toggle: &str) -> Bench {
        self.toggled_until(toggle, None)
    }

    pub(crate) fn toggled_until(mut self, toggle: &str, until: Option<&str>) -> Bench {
        self.toggles.apply(&Change::ToggleSet {
            company: "fjell".into(),
            toggle: toggle.into(),
            on: true,
            until: until.map(|until| until.parse().expect("a time")),
            by: Source::Cli,
            user: None,
            at: self.now,
        });
        self
    }

    pub(crate) fn message(mut self, mailbox: &str, id: &str, state: MessageState) -> Bench {
        let message = Message {
            id: id.into(),
            mailbox: MailboxKey { company: "fjell".into(), mailbox: mailbox.into() },
            call: CallId { node: NodeId(0), seq: 1 },
            from: None,
            at: self.now,
            length_ms: 5000,
            state,
            handling: None,
        };
        self.mailboxes.apply(&Change::MessageLeft { message });
        self
    }

    pub(crate) fn reload(&mut self, steps: &str) {
        self.config = config(&flow(steps));
    }

    /// Changes what a file could not say.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Company)) {
        let company = Arc::make_mut(&mut self.config).companies.get_mut("fjell").expect("configured above");
        change(Arc::make_mut(company));
    }

    pub(crate) fn start(&mut self) -> String {
        self.on(Event::Start)
    }

    /// What is done after an event, in short; decisions are kept apart.
    pub(crate) fn on(&mut self, event: Event) -> String {
        let actions = self.actions(event);
        let short: Vec<String> = actions.iter().filter_map(|action| self.short(action)).collect();
        short.join("; ")
    }

    pub(crate) fn actions(&mut self, event: Event) -> Vec<Action> {
        let world = World {
            toggles: &self.toggles,
            mailboxes: &self.mailboxes,
            people: &self.people,
            presence: &|_, _| Presence::Ready,
            duty: &|_| self.duty,
            random: self.random,
        };
        let context = Context {
            config: &self.config,
            company: &self.config.companies["fjell"],
            now: self.now,
            caller: &self.facts,
            world: &world,
        };
        let actions = self.program.handle(&context, event);
        for action in &actions {
            match action {
                Action::Answer => self.facts.answered = true,
                Action::SetLanguage(language) => self.facts.language = *language,
                Action::Enter(place) => self.way.push(format!("+{} {}", at(place), place.verb)),
                Action::Leave { place, exit } => self.way.push(format!("-{} {exit}", at(place))),
                Action::Step { at, why, .. } => self.steps.push(format!("{at}: {why}")),
                Action::MarkMessage { mailbox, id, state } => {
                    let mailbox = MailboxKey { company: "fjell".into(), mailbox: mailbox.clone() };
                    self.mailboxes.apply(&Change::MessageMarked { mailbox, id: id.clone(), state: *state });
                }
                _ => {}
            }
        }
        actions
    }

    fn short(&self, action: &Action) -> Option<String> {
        let secs = |duration: &Duration| format!("{}s", duration.as_secs());
        let optional = |line: &Option<LineId>| line.as_ref().map_or("all".to_owned(), LineId::to_string);
        let prompt = |prompt: &PromptKey| match prompt {
            PromptKey::System(_, id) | PromptKey::Recording(id) => id.to_string(),
            PromptKey::Media(_, id) => id.to_string(),
        };
        Some(match action {
            Action::Step { .. } => return None,
            Action::Ring => "ring".into(),
            Action::Answer => "answer".into(),
            Action::Early => "early".into(),
            Action::Play { prompts, repeat } => {
                let names: Vec<String> = prompts.iter().map(prompt).filter(|id| id != "num/pause").collect();
                let repeat = if *repeat == 1 { String::new() } else { format!(" x{repeat}") };
                format!("play {}{repeat}", names.join("+"))
            }
            Action::StopPlay => "stop".into(),
            Action::Beep => "beep".into(),
            Action::Echo => "echo".into(),
            Action::Timer(after) => format!("timer {}", secs(after)),
            Action::ClearTimer => "clear".into(),
            Action::Enqueue { queue, priority, carry_wait } => {
                let priority = priority.map_or(String::new(), |p| format!(" p{p}"));
                format!("enqueue {queue}{priority}{}", if *carry_wait { " carry" } else { "" })
            }
            Action::LeaveQueue => "leave".into(),
            Action::Group { group, ring } => {
                format!("group {group}{}", ring.map_or(String::new(), |ring| format!(" {}", secs(&ring))))
            }
            Action::Dial { to, ring, .. } => {
                let to: Vec<String> = to.iter().map(Destination::to_string).collect();
                format!("dial {} {}", to.join(","), secs(ring))
            }
            Action::Find { user, rings, long } => format!("find {user} {rings:?} {}", secs(long)),
            Action::SentOn { .. } => return None,
            Action::SetPersonal(setting) => format!("set {}", setting.name()),
            Action::Outbound { number, .. } => format!("outbound {number}"),
            Action::Record { mailbox, max, min, .. } => {
                format!("record {mailbox} {} min {}", secs(max), secs(min))
            }
            Action::StopRecord => "stop record".into(),
            Action::KeepMessage => "keep".into(),
            Action::DropMessage => "drop".into(),
            Action::Load(file) => format!("load {file}"),
            Action::MarkMessage { id, state, .. } => format!("mark {id} {state:?}"),
            Action::DeleteMessage { id, .. } => format!("delete {id}"),
            Action::LoadRecorded => "load recorded".into(),
            Action::HearRecorded => "hear".into(),
            Action::KeepGreeting { occasion, days, .. } => format!("greeting {occasion:?} {days}"),
            Action::DropGreeting { occasion, .. } => format!("no greeting {occasion:?}"),
            Action::PinTried { right, .. } => format!("pin {right}"),
            Action::SetPin { pin, .. } => format!("new pin {pin}"),
            Action::SendMessageOn { id, to, .. } => format!("send {id} to {to}"),
            Action::LeadTo(target) => format!("lead to {target:?}"),
            Action::Login { line, logged_in: true } => format!("login {}", optional(line)),
            Action::Login { line, logged_in: false } => format!("logout {}", optional(line)),
            Action::Pause { reason: Some(reason), until: None } => format!("pause {reason}"),
            Action::Pause { reason: Some(reason), until: Some(at) } => format!("pause {reason} until {at}"),
            Action::Pause { reason: None, .. } => "unpause".into(),
            Action::PinGiven { user, right } => format!("pin of {user} {right}"),
            Action::WrapUpEnd => "wrap-up end".into(),
            Action::WrapUpExtend => "wrap-up extend".into(),
            Action::People(deed) => format!("{deed:?}"),
            Action::Room(deed) => format!("{deed:?}"),
            Action::KeepPlace { number } => format!("keep place {number}"),
            Action::FlipToggle(toggle) => format!("flip {toggle}"),
            Action::ToggleUntil { toggle, until } => format!("on {toggle} until {until}"),
            Action::Ask { what, timeout, names, tags } => {
                let tags: Vec<String> = tags.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("ask {what} {}ms {}{}", timeout.as_millis(), names.join(","), tags.concat())
            }
            Action::Sms { text } => format!("sms {text}"),
            Action::Alarm { reason, .. } => format!("alarm {reason}"),
            Action::Enter(_) | Action::Leave { .. } => return None,
            Action::SetName(name) => format!("name {name}"),
            Action::SetLanguage(language) => format!("language {language:?}"),
            Action::SetTag { name, value } => format!("tag {name}={value}"),
            Action::SetPriority(priority) => format!("priority {priority}"),
            Action::Key(key) => format!("key {key}"),
            Action::HangUp(cause) => format!("hangup {cause:?}"),
        })
    }
}
