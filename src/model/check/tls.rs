//! Carriers over TLS: what they need of `[tls]` and `[sip]` is there. Whether the files can be used is found out when
//! they are read.

use crate::model::check::Checker;
use crate::model::check::Part;
use crate::model::trunk::TrunkTransport;

/// Warns of trunks that cannot be reached, or whose calls would not be known as theirs.
pub(super) fn check(checker: &mut Checker<'_>) {
    checker.part = Part::Trunks;
    let server = &checker.config.server;
    for (id, trunk) in &checker.config.trunks {
        let secure = trunk.transport == TrunkTransport::Tls;
        if secure && server.tls.ca.is_none() {
            let path = ["trunks", id.as_str(), "transport"];
            checker.warn(&path, "nothing is sent to this trunk: its certificate cannot be verified without ca below [tls] of server.toml");
        }
        if secure && server.sip_tls.is_empty() {
            let path = ["trunks", id.as_str(), "transport"];
            checker
                .warn(&path, "this trunk is not reached: write an address at tls below [sip] of server.toml");
        }
        if trunk.certificate.is_some() && !secure && server.tls.client_ca.is_none() {
            let path = ["trunks", id.as_str(), "certificate"];
            checker.warn(&path, "no call is known as this trunk's: nobody is asked for a certificate without client_ca below [tls] of server.toml");
        }
    }
}
