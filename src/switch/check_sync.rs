//! An operator's order to phones: fetch your configuration again, and start anew if asked.
//!
//! It is a NOTIFY outside of any dialog with `Event: check-sync`, which no RFC describes and every desk phone knows.

use crate::model::command::Answer;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::sip::Method;
use crate::sip::Uri;
use crate::sip::endpoint::OutOfDialog;
use crate::sip::header::NameAddr;
use crate::switch::Switch;
use crate::switch::location::Aor;
use crate::switch::location::Binding;
use crate::time::Now;

impl Switch {
    /// Tells every binding of a device; names are unique in a SIP domain, `company` says which when several have it.
    pub(crate) fn sync_device(
        &mut self,
        now: Now,
        company: Option<&CompanyId>,
        device: &DeviceId,
        reboot: bool,
    ) -> Answer {
        let wanted = |id: &CompanyId| company.is_none_or(|company| company == id);
        let has =
            self.config.companies.iter().filter(|(id, of)| wanted(id) && of.devices.contains_key(device));
        let mut aors = has.map(|(_, of)| Aor { domain: of.domain.clone(), device: device.clone() });
        let refused = |why: String, not_found| Answer::Refused { why, not_found };
        let aor = match (aors.next(), aors.next()) {
            (Some(aor), None) => aor,
            (None, _) => {
                let why = format!("sync device \"{device}\": there is none; `sentral devices` lists them");
                return refused(why, true);
            }
            (Some(_), Some(_)) => {
                let why =
                    format!("sync device \"{device}\": several companies have one; say which by --company");
                return refused(why, false);
            }
        };
        let bindings = self.location.of(&aor).to_vec();
        if bindings.is_empty() {
            return refused(format!("sync device \"{device}\": it is not registered"), false);
        }
        for binding in &bindings {
            self.check_sync(now, binding, reboot);
        }
        Answer::Done
    }

    fn check_sync(&mut self, now: Now, binding: &Binding, reboot: bool) {
        let record = &binding.record;
        let (Ok(uri), Ok(own)) =
            (Uri::parse(&record.contact), Uri::parse(&format!("sip:{}@{}", record.device, record.domain)))
        else {
            return;
        };
        let event = if reboot { "check-sync;reboot=true" } else { "check-sync" };
        let ask = OutOfDialog {
            method: Method::Notify,
            uri,
            hop: binding.hop,
            route: record.path.iter().filter_map(|path| NameAddr::parse(path).ok()).collect(),
            from: NameAddr::new(own.clone()),
            to: NameAddr::new(own),
            call_id: None,
            cseq: None,
            // Nobody subscribed: the header is demanded of every NOTIFY (RFC 6665 §4.2.2).
            extra: vec![("Event", event.to_owned()), ("Subscription-State", "terminated".to_owned())],
            body: None,
            credentials: None,
            contact_user: Some("sentral".to_owned()),
        };
        self.endpoint.request(now, ask);
    }
}
