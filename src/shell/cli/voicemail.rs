//! `sentral voicemail`: the messages of a box, and who of the team sees to them.

use std::sync::Arc;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::InboxOrder;
use crate::model::id::CompanyId;
use crate::model::id::MailboxId;
use crate::model::id::UserId;
use crate::model::mailbox::Message;
use crate::model::mailbox::MessageState;
use crate::model::mailbox::Progress;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral voicemail list fjord felles
  sentral voicemail take fjord felles 0-5f3a-1 --by kari --note \"vil ha pris på 40 boller\"
  sentral voicemail done fjord felles 0-5f3a-1 --by kari
  sentral voicemail put-back fjord felles 0-5f3a-1 --by kari
  sentral voicemail call-back fjord felles 0-5f3a-1 --by kari
  sentral voicemail delete fjord felles 0-5f3a-1")]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// The messages of a box, newest first
    List(Where),
    /// Somebody sees to a message: the lamp goes out for everybody
    Take(By),
    /// A message is seen to
    Done(By),
    /// Nobody sees to a message any longer
    PutBack(By),
    /// Takes a message and calls who left it: the phones of `--by` ring first
    CallBack {
        #[command(flatten)]
        place: Where,
        /// Message
        id: Arc<str>,
        /// Who
        #[arg(long, value_name = "USER")]
        by: UserId,
    },
    /// Deletes a message and its recording
    Delete {
        #[command(flatten)]
        place: Where,
        /// Message
        id: Arc<str>,
    },
}

#[derive(Debug, clap::Args)]
struct Where {
    /// Company
    company: CompanyId,
    /// Box: `felles`, or `user:kari` for her own
    mailbox: MailboxId,
}

#[derive(Debug, clap::Args)]
struct By {
    #[command(flatten)]
    place: Where,
    /// Message
    id: Arc<str>,
    /// Who
    #[arg(long, value_name = "USER")]
    by: UserId,
    /// For colleagues
    #[arg(long, value_name = "TEXT")]
    note: Option<Arc<str>>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (Where { company, mailbox }, order, done) = match args.order {
        Order::List(place) => (place, InboxOrder::List, String::new()),
        Order::Take(by) => handle(by, Some(Progress::Taken), "is taken"),
        Order::Done(by) => handle(by, Some(Progress::Done), "is done"),
        Order::PutBack(by) => handle(by, None, "is put back"),
        Order::CallBack { place, id, by } => {
            let done = format!("{by} is rung, then who left {id}");
            (place, InboxOrder::CallBack { id, by }, done)
        }
        Order::Delete { place, id } => {
            let done = format!("message {id} is deleted");
            (place, InboxOrder::Delete { id }, done)
        }
    };
    let answer = context.client.ask(&Command::Inbox { company, mailbox, order })?;
    context.show(&answer, |answer| match answer {
        Answer::Messages { messages } => Some(text(messages)),
        Answer::Done | Answer::Dialled { .. } => Some(format!("{done}\n")),
        _ => None,
    })
}

fn handle(by: By, progress: Option<Progress>, what: &str) -> (Where, InboxOrder, String) {
    let done = format!("message {} {what}", by.id);
    (by.place, InboxOrder::Handle { id: by.id, by: by.by, progress, note: by.note }, done)
}

fn text(messages: &[Message]) -> String {
    let rows: Vec<_> = messages
        .iter()
        .map(|message| {
            let state = match (&message.handling, message.state) {
                (Some(handling), _) => match handling.progress {
                    Progress::Taken => format!("taken by {}", handling.by),
                    Progress::Done => format!("done by {}", handling.by),
                },
                (None, MessageState::New) => "new".to_owned(),
                (None, MessageState::Saved) => "heard".to_owned(),
            };
            let note = message.handling.as_ref().and_then(|handling| handling.note.as_deref());
            let from = message.from.as_ref().map_or_else(|| "hidden".to_owned(), ToString::to_string);
            [
                message.id.to_string(),
                message.at.to_string(),
                from,
                format!("{} s", message.length_ms.div_ceil(1000)),
                state,
                print::or_dash(note.unwrap_or_default()),
            ]
        })
        .collect();
    print::table(["ID", "AT", "FROM", "LENGTH", "STATE", "NOTE"], &rows, "no messages")
}
