//! `sentral rooms`: conference rooms in which somebody is, and orders to their meetings.

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::RoomId;
use crate::model::room::RoomOrder;
use crate::model::room::RoomView;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentral rooms
  sentral rooms mute fjord styret              everybody but moderators
  sentral rooms mute fjord styret 0-64f0a1b2c3d4e
  sentral rooms lock fjord styret
  sentral -o json rooms | jq '.rooms[].attendees | length'")]
pub(super) struct Args {
    /// Only of this company
    #[arg(long)]
    company: Option<CompanyId>,
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Has somebody heard by nobody, or everybody who is no moderator
    Mute(Who),
    /// Has them heard again
    Unmute(Who),
    /// Lets nobody else in but moderators
    Lock(Room),
    /// Lets everybody in again
    Unlock(Room),
    /// Has somebody go
    Kick {
        #[command(flatten)]
        room: Room,
        /// Their call, as shown by `sentral rooms`
        call: CallId,
    },
    /// Ends the meeting for everybody
    End(Room),
}

#[derive(Debug, clap::Args)]
struct Room {
    /// Whose
    company: CompanyId,
    /// Its id
    room: RoomId,
}

#[derive(Debug, clap::Args)]
struct Who {
    #[command(flatten)]
    room: Room,
    /// Their call, as shown by `sentral rooms`; else all
    call: Option<CallId>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (Room { company, room }, order, done) = match args.order {
        None => {
            let answer = context.client.ask(&Command::Rooms { company: args.company })?;
            return context.show(&answer, |answer| match answer {
                Answer::Rooms { rooms } => Some(text(rooms)),
                _ => None,
            });
        }
        Some(Order::Mute(who)) => (who.room, RoomOrder::Mute { call: who.call, muted: true }, "muted"),
        Some(Order::Unmute(who)) => {
            (who.room, RoomOrder::Mute { call: who.call, muted: false }, "heard again")
        }
        Some(Order::Lock(room)) => (room, RoomOrder::Lock { locked: true }, "locked"),
        Some(Order::Unlock(room)) => (room, RoomOrder::Lock { locked: false }, "open"),
        Some(Order::Kick { room, call }) => (room, RoomOrder::Kick { call }, "let go"),
        Some(Order::End(room)) => (room, RoomOrder::End, "ended"),
    };
    let done = format!("room:{room}: {done}");
    let answer = context.client.ask(&Command::Room { company, room, order })?;
    context.done(&answer, &done)
}

fn text(rooms: &[RoomView]) -> String {
    let mut rows = Vec::new();
    for room in rooms {
        let state = match (room.locked, room.waits) {
            (true, _) => "locked",
            (false, true) => "waits",
            (false, false) => "open",
        };
        for who in &room.attendees {
            rows.push([
                room.company.to_string(),
                room.room.to_string(),
                state.to_owned(),
                who.call.to_string(),
                print::or_dash(who.user.as_ref().map_or(who.number.as_str(), |user| user.as_str())),
                if who.moderator { "moderator" } else { "attendee" }.to_owned(),
                if who.muted { "muted" } else { "-" }.to_owned(),
                print::clock(who.age_s),
            ]);
        }
    }
    print::table(
        ["COMPANY", "ROOM", "STATE", "CALL", "WHO", "ROLE", "HEARD", "AGE"],
        &rows,
        "nobody is in a room",
    )
}
