//! `sentral status`: counts of the running switch.

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::command::Status;
use crate::shell::cli::Context;
use crate::shell::cli::Failure;
use crate::shell::cli::print;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let answer = context.client.ask(&Command::Status)?;
    context.show(&answer, |answer| match answer {
        Answer::Status(status) => Some(text(status)),
        _ => None,
    })
}

fn text(status: &Status) -> String {
    let Status { name, version, up_s, companies, calls, legs, dialogs, transactions, bindings, .. } = status;
    let draining = if status.draining { ", draining: no new calls" } else { "" };
    let alarms: String = status.alarms.iter().map(|alarm| format!("alarm          {alarm}\n")).collect();
    format!(
        "{name}  sentral {version}, up {up}{draining}\n\
         companies      {companies}\n\
         calls          {calls} ({legs} legs)\n\
         waiting        {waiting}\n\
         registrations  {bindings}\n\
         SIP            {dialogs} dialogs, {transactions} transactions\n\
         RTP ports      {free} of {ports} free\n\
         shut out       {shut_out} addresses\n\
         {alarms}",
        up = print::clock(*up_s),
        waiting = status.waiting,
        free = status.ports_free,
        ports = status.ports,
        shut_out = status.shut_out,
    )
}
