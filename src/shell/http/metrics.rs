//! Numbers for Prometheus: counters from facts and messages, gauges from the switch's own counts at each scrape.
//!
//! Labels have few values: never a number, a name or an address of a person. Left out so far: what media streams,
//! webhooks and certificates would tell.

use std::time::Duration;

use anyhow::Context as _;
use metrics::counter;
use metrics::gauge;
use metrics::histogram;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::model::cdr::Cdr;
use crate::model::cdr::Direction;
use crate::model::change::Change;
use crate::model::command::QueueView;
use crate::model::command::Status;
use crate::model::command::TrunkView;
use crate::model::event::Event;
use crate::model::id::CompanyId;
use crate::shell::clock;
use crate::sip::Message;
use crate::sip::Method;
use crate::sip::Transport;

/// Seconds of waiting and of setting up.
const WAIT_BUCKETS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1200.0];
/// Seconds of a call.
const CALL_BUCKETS: &[f64] =
    &[5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0];

/// The numbers of this process. Clones show the same.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count; once per process.
    ///
    /// # Errors
    /// When something else counts already.
    pub fn start() -> anyhow::Result<Metrics> {
        let bucket = |name: &str| Matcher::Full(name.into());
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(bucket("sentral_queue_wait_seconds"), WAIT_BUCKETS)?
            .set_buckets_for_metric(bucket("sentral_call_setup_seconds"), WAIT_BUCKETS)?
            .set_buckets_for_metric(bucket("sentral_call_duration_seconds"), CALL_BUCKETS)?
            .install_recorder()
            .context("cannot start metrics")?;
        let version = env!("CARGO_PKG_VERSION");
        gauge!("sentral_build_info", "version" => version).set(1.0);
        gauge!("sentral_start_time_seconds").set(seconds_now());
        Ok(Metrics(handle))
    }

    /// The text that Prometheus reads. Also folds histogram samples together, so call it now and then even when
    /// nobody scrapes.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }

    /// Numbers that nobody counts, for tests beside each other in one process.
    #[cfg(test)]
    pub(crate) fn detached() -> Metrics {
        Metrics(PrometheusBuilder::new().build_recorder().handle())
    }
}

/// Counts a fact.
pub fn count(change: &Change) {
    match change {
        Change::CallEnded { cdr } => call_ended(cdr),
        Change::CallMedia { received, sent, lost, .. } => {
            counter!("sentral_rtp_packets_total", "direction" => "in").increment(*received);
            counter!("sentral_rtp_packets_total", "direction" => "out").increment(*sent);
            counter!("sentral_rtp_packets_lost_total").increment(*lost);
        }
        Change::Decision(event) => caller_out(event),
        Change::RegistrationFailed { why } => {
            counter!("sentral_registration_failures_total", "reason" => why.to_string()).increment(1);
        }
        Change::Refused { reason, count } => refused(reason, *count),
        Change::Alarm { company, reason, .. } => {
            let (company, reason) = (company.to_string(), reason.to_string());
            counter!("sentral_alarms_total", "company" => company.clone(), "reason" => reason.clone())
                .increment(1);
            counter!("sentral_fraud_alarms_total", "company" => company, "reason" => reason).increment(1);
        }
        Change::Trunk { trunk, up, .. } => {
            gauge!("sentral_trunk_up", "trunk" => trunk.to_string()).set(f64::from(u8::from(*up)));
        }
        Change::MessageLeft { message } => {
            counter!("sentral_voicemail_messages_total", "company" => message.mailbox.company.to_string())
                .increment(1);
        }
        Change::RecordingBegun { recording } => {
            counter!("sentral_recordings_total", "company" => recording.company.to_string()).increment(1);
        }
        Change::RecordingEnded { length_ms, .. } => {
            counter!("sentral_recorded_seconds_total").increment(length_ms / 1000);
        }
        Change::RecordingDeleted { .. }
        | Change::RecordingsExpired { .. }
        | Change::CallStarted { .. }
        | Change::CallLeg { .. }
        | Change::CallAnswered { .. }
        | Change::AgentLogin { .. }
        | Change::AgentPaused { .. }
        | Change::RoundRobin { .. }
        | Change::AgentTally { .. }
        | Change::LastAgent { .. }
        | Change::Callback { .. }
        | Change::Bound { .. }
        | Change::Unbound { .. }
        | Change::DevicePassword { .. }
        | Change::ToggleSet { .. }
        | Change::BusyCallback { .. }
        | Change::HotDesk { .. }
        | Change::PersonalSet { .. }
        | Change::AppKnown { .. }
        | Change::PinTries { .. }
        | Change::VoicemailSigns { .. }
        | Change::MessageHandled { .. }
        | Change::GreetingSet { .. }
        | Change::PinSet { .. }
        | Change::Missed { .. }
        | Change::MissedCleared { .. }
        | Change::MessageMarked { .. }
        | Change::MessageDeleted { .. } => {}
    }
}

/// Counts how a caller of a queue came out.
fn caller_out(event: &Event) {
    let out = matches!(
        &*event.event,
        "queue.counted" | "queue.abandoned" | "queue.overflowed" | "queue.turned_away"
    );
    let of = &event.fields;
    if &*event.event == "queue.stalled" {
        counter!("sentral_queue_stalled_total", "company" => event.company.to_string()).increment(1);
    }
    if let (true, Some(line), Some(result)) = (out, &of.line, &of.result) {
        let (company, queue, result) = (event.company.to_string(), line.to_string(), result.to_string());
        counter!("sentral_queue_calls_total", "company" => company, "queue" => queue, "result" => result)
            .increment(1);
        histogram!("sentral_queue_wait_seconds").record(Duration::from_millis(of.wait_ms.unwrap_or(0)));
    }
}

fn call_ended(cdr: &Cdr) {
    let company = cdr.company.as_ref().map_or_else(String::new, CompanyId::to_string);
    let direction = match cdr.direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::Internal => "internal",
    };
    let result = cdr.result.as_str();
    counter!("sentral_calls_total", "company" => company, "direction" => direction, "result" => result)
        .increment(1);
    let seconds = |from: jiff::Timestamp, to: jiff::Timestamp| to.duration_since(from).as_secs_f64().max(0.0);
    if let Some(answered) = cdr.answered {
        histogram!("sentral_call_setup_seconds").record(seconds(cdr.started, answered));
        histogram!("sentral_call_duration_seconds").record(seconds(answered, cdr.ended));
    }
}

/// Counts a message that came in and could be read.
pub fn received(message: &Message, transport: Transport) {
    match message {
        Message::Request(request) => {
            counter!("sentral_sip_requests_total", "method" => name(&request.method), "transport" => transport_name(transport))
                .increment(1);
        }
        Message::Response(response) => {
            let method = response.cseq().map_or("other", |cseq| name(&cseq.method));
            counter!("sentral_sip_responses_total", "method" => method, "code" => response.status.to_string()).increment(1);
        }
    }
}

/// Counts requests that were dropped or refused; the reason is one of a few.
pub fn refused(reason: &str, count: u64) {
    counter!("sentral_sip_refused_total", "reason" => reason.to_owned()).increment(count);
}

/// Counts what was dropped unread because its sender is shut out.
pub fn shut_out() {
    counter!("sentral_sip_refused_total", "reason" => "shut_out").increment(1);
}

/// Counts what came in and could not be read.
pub fn unreadable(transport: Transport) {
    counter!("sentral_sip_parse_errors_total", "transport" => transport_name(transport)).increment(1);
}

/// Counts a connection that was not let in.
pub fn connection_refused(transport: Transport, why: &'static str) {
    counter!("sentral_sip_connections_refused_total", "transport" => transport_name(transport), "reason" => why)
        .increment(1);
}

/// Counts a connection that begins.
pub fn connection_opened(transport: Transport) {
    gauge!("sentral_sip_connections", "transport" => transport_name(transport)).increment(1.0);
}

/// Counts a connection that has ended, by one of a few reasons.
pub fn connection_closed(transport: Transport, why: &'static str) {
    gauge!("sentral_sip_connections", "transport" => transport_name(transport)).decrement(1.0);
    counter!("sentral_sip_connections_closed_total", "transport" => transport_name(transport), "reason" => why)
        .increment(1);
}

/// Notes whether the newest configuration could be loaded.
pub fn reloaded(successful: bool) {
    gauge!("sentral_config_last_reload_successful").set(f64::from(u8::from(successful)));
    if successful {
        gauge!("sentral_config_last_reload_success_timestamp_seconds").set(seconds_now());
    }
}

/// Sets the gauges of the whole switch.
pub(super) fn status(status: &Status) {
    gauge!("sentral_calls_active").set(status.calls as f64);
    gauge!("sentral_legs_active").set(status.legs as f64);
    gauge!("sentral_sip_dialogs_active").set(status.dialogs as f64);
    gauge!("sentral_sip_transactions_active").set(status.transactions as f64);
    gauge!("sentral_registrations_active").set(status.bindings as f64);
    gauge!("sentral_media_ports_free").set(status.ports_free as f64);
    gauge!("sentral_media_ports_limit").set(status.ports as f64);
    gauge!("sentral_companies").set(status.companies as f64);
    gauge!("sentral_addresses_shut_out").set(status.shut_out as f64);
    gauge!("sentral_draining").set(f64::from(u8::from(status.draining)));
    gauge!("sentral_agent_state_divergence").set(status.agent_state_divergence as f64);
}

/// Sets the gauges of queues and ring groups.
pub(super) fn queues(queues: &[QueueView]) {
    for queue in queues {
        let (company, line) = (queue.company.to_string(), queue.line.to_string());
        gauge!("sentral_queue_waiting", "company" => company.clone(), "queue" => line.clone())
            .set(queue.waiting as f64);
        gauge!("sentral_queue_longest_wait_seconds", "company" => company.clone(), "queue" => line.clone())
            .set(queue.longest_s as f64);
        let today = |what: &'static str, count: u64| {
            let (company, line) = (company.clone(), line.clone());
            gauge!("sentral_queue_today", "company" => company, "queue" => line, "what" => what)
                .set(count as f64);
        };
        let of = &queue.today;
        today("offered", of.offered);
        today("answered", of.answered);
        today("in_target", of.in_target);
        today("abandoned", of.abandoned);
        today("short_abandoned", of.short_abandoned);
        today("overflowed", of.overflowed_in_all());
        today("lost", of.lost);
        today("wait_ms", of.wait_ms);
        today("talk_ms", of.talk_ms);
    }
}

/// Sets the gauges of trunks.
pub(super) fn trunks(trunks: &[TrunkView]) {
    for trunk in trunks {
        gauge!("sentral_trunk_channels", "trunk" => trunk.id.clone()).set(trunk.calls as f64);
        if let Some(channels) = trunk.channels {
            gauge!("sentral_trunk_channels_limit", "trunk" => trunk.id.clone()).set(f64::from(channels));
        }
    }
}

/// A method as a label; what anybody can invent is `other`.
fn name(method: &Method) -> &'static str {
    match method {
        Method::Invite => "INVITE",
        Method::Ack => "ACK",
        Method::Bye => "BYE",
        Method::Cancel => "CANCEL",
        Method::Options => "OPTIONS",
        Method::Register => "REGISTER",
        Method::Info => "INFO",
        Method::Subscribe => "SUBSCRIBE",
        Method::Notify => "NOTIFY",
        Method::Refer => "REFER",
        Method::Message => "MESSAGE",
        Method::Prack => "PRACK",
        Method::Update => "UPDATE",
        Method::Publish => "PUBLISH",
        Method::Other(_) => "other",
    }
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Ws => "ws",
        Transport::Wss => "wss",
    }
}

fn seconds_now() -> f64 {
    clock::now().utc.as_millisecond() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_counts_are_shown_under_their_names() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            count(&Change::RegistrationFailed { why: "bad password".into() });
            count(&Change::Trunk { trunk: "carrier".into(), up: true, why: "registered".into() });
            count(&Change::Decision(Box::new(Event {
                company: "fjord".into(),
                seq: 1,
                at: jiff::Timestamp::UNIX_EPOCH,
                call: None,
                event: "queue.counted".into(),
                why: "answered: kari".into(),
                fields: crate::model::event::Fields {
                    result: Some("answered".into()),
                    wait_ms: Some(4_500),
                    ..crate::model::event::Fields::of_line(crate::model::id::LineId::Queue("salg".into()))
                },
            })));
            status(&Status { calls: 42, ..Status::default() });
            unreadable(Transport::Tcp);
            connection_refused(Transport::Tls, "connections_per_address");
            for _ in 0..2 {
                connection_opened(Transport::Wss);
            }
            connection_closed(Transport::Wss, "idle");
        });
        let text = handle.render();
        for line in [
            "sentral_registration_failures_total{reason=\"bad password\"} 1",
            "sentral_trunk_up{trunk=\"carrier\"} 1",
            "sentral_queue_calls_total{company=\"fjord\",queue=\"queue:salg\",result=\"answered\"} 1",
            "sentral_queue_wait_seconds_sum 4.5",
            "sentral_calls_active 42",
            "sentral_sip_parse_errors_total{transport=\"tcp\"} 1",
            "sentral_sip_connections_refused_total{transport=\"tls\",reason=\"connections_per_address\"} 1",
            "sentral_sip_connections{transport=\"wss\"} 1",
            "sentral_sip_connections_closed_total{transport=\"wss\",reason=\"idle\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
