//! Header names, long and compact (RFC 3261 §7.3.3, §20, and the registry of later extensions).

use std::fmt;

/// One row a header: variant, the name we print, the lower-case forms we read.
macro_rules! names {
    ($($variant:ident = $text:literal, $($read:literal)|+;)+) => {
        /// A header name; names are not case-sensitive.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`.")] $variant,)+
            /// Any other name, as it was written. Compare with `Name::is`, or without regard to case.
            Other(Box<str>),
        }

        impl Name {
            /// The name, long form.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Name::$variant => $text,)+
                    Name::Other(text) => text,
                }
            }

            fn known(lower: &[u8]) -> Option<Name> {
                match lower {
                    $($($read)|+ => Some(Name::$variant),)+
                    _ => None,
                }
            }

            #[cfg(test)]
            const KNOWN: &[Name] = &[$(Name::$variant),+];
        }
    };
}

names! {
    Via = "Via", b"via" | b"v";
    From = "From", b"from" | b"f";
    To = "To", b"to" | b"t";
    CallId = "Call-ID", b"call-id" | b"i";
    CSeq = "CSeq", b"cseq";
    Contact = "Contact", b"contact" | b"m";
    MaxForwards = "Max-Forwards", b"max-forwards";
    ContentLength = "Content-Length", b"content-length" | b"l";
    ContentType = "Content-Type", b"content-type" | b"c";
    ContentEncoding = "Content-Encoding", b"content-encoding" | b"e";
    ContentDisposition = "Content-Disposition", b"content-disposition";
    ContentLanguage = "Content-Language", b"content-language";
    MimeVersion = "MIME-Version", b"mime-version";
    Expires = "Expires", b"expires";
    MinExpires = "Min-Expires", b"min-expires";
    Route = "Route", b"route";
    RecordRoute = "Record-Route", b"record-route";
    Path = "Path", b"path";
    ServiceRoute = "Service-Route", b"service-route";
    Authorization = "Authorization", b"authorization";
    ProxyAuthorization = "Proxy-Authorization", b"proxy-authorization";
    WwwAuthenticate = "WWW-Authenticate", b"www-authenticate";
    ProxyAuthenticate = "Proxy-Authenticate", b"proxy-authenticate";
    AuthenticationInfo = "Authentication-Info", b"authentication-info";
    Allow = "Allow", b"allow";
    AllowEvents = "Allow-Events", b"allow-events" | b"u";
    Supported = "Supported", b"supported" | b"k";
    Require = "Require", b"require";
    ProxyRequire = "Proxy-Require", b"proxy-require";
    Unsupported = "Unsupported", b"unsupported";
    UserAgent = "User-Agent", b"user-agent";
    Server = "Server", b"server";
    Event = "Event", b"event" | b"o";
    SubscriptionState = "Subscription-State", b"subscription-state";
    Reason = "Reason", b"reason";
    RetryAfter = "Retry-After", b"retry-after";
    Warning = "Warning", b"warning";
    Replaces = "Replaces", b"replaces";
    Join = "Join", b"join";
    TargetDialog = "Target-Dialog", b"target-dialog";
    ReferTo = "Refer-To", b"refer-to" | b"r";
    ReferredBy = "Referred-By", b"referred-by" | b"b";
    ReferSub = "Refer-Sub", b"refer-sub";
    SessionExpires = "Session-Expires", b"session-expires" | b"x";
    MinSe = "Min-SE", b"min-se";
    RAck = "RAck", b"rack";
    RSeq = "RSeq", b"rseq";
    PAssertedIdentity = "P-Asserted-Identity", b"p-asserted-identity";
    PPreferredIdentity = "P-Preferred-Identity", b"p-preferred-identity";
    Privacy = "Privacy", b"privacy";
    Diversion = "Diversion", b"diversion";
    HistoryInfo = "History-Info", b"history-info";
    Identity = "Identity", b"identity" | b"y";
    AlertInfo = "Alert-Info", b"alert-info";
    CallInfo = "Call-Info", b"call-info";
    ErrorInfo = "Error-Info", b"error-info";
    RequestDisposition = "Request-Disposition", b"request-disposition" | b"d";
    AcceptContact = "Accept-Contact", b"accept-contact" | b"a";
    RejectContact = "Reject-Contact", b"reject-contact" | b"j";
    Geolocation = "Geolocation", b"geolocation";
    FlowTimer = "Flow-Timer", b"flow-timer";
    SipETag = "SIP-ETag", b"sip-etag";
    SipIfMatch = "SIP-If-Match", b"sip-if-match";
    Accept = "Accept", b"accept";
    AcceptEncoding = "Accept-Encoding", b"accept-encoding";
    AcceptLanguage = "Accept-Language", b"accept-language";
    Date = "Date", b"date";
    InReplyTo = "In-Reply-To", b"in-reply-to";
    Organization = "Organization", b"organization";
    Priority = "Priority", b"priority";
    Subject = "Subject", b"subject" | b"s";
    Timestamp = "Timestamp", b"timestamp";
}

const LONGEST: usize = 24;

impl Name {
    /// The name that `token` spells, in any case, long or compact.
    pub fn parse(token: &[u8]) -> Name {
        let mut lower = [0; LONGEST];
        let known = lower.get_mut(..token.len()).and_then(|lower| {
            lower.copy_from_slice(token);
            lower.make_ascii_lowercase();
            Name::known(lower)
        });
        known.unwrap_or_else(|| Name::Other(String::from_utf8_lossy(token).into()))
    }

    /// Whether both are the same name.
    pub fn is(&self, other: &Name) -> bool {
        match (self, other) {
            (Name::Other(a), Name::Other(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::parse(text.as_bytes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_from_its_printed_form_in_any_case() {
        for name in Name::KNOWN {
            assert!(name.as_str().len() <= LONGEST);
            assert_eq!(Name::parse(name.as_str().as_bytes()), *name);
            assert_eq!(Name::parse(name.as_str().to_uppercase().as_bytes()), *name);
        }
    }

    #[test]
    fn compact_forms_are_their_long_names() {
        let table = [
            ("i", "Call-ID"),
            ("m", "Contact"),
            ("e", "Content-Encoding"),
            ("l", "Content-Length"),
            ("c", "Content-Type"),
            ("f", "From"),
            ("s", "Subject"),
            ("k", "Supported"),
            ("t", "To"),
            ("v", "Via"),
            ("r", "Refer-To"),
            ("b", "Referred-By"),
            ("o", "Event"),
            ("u", "Allow-Events"),
            ("x", "Session-Expires"),
            ("a", "Accept-Contact"),
            ("j", "Reject-Contact"),
            ("d", "Request-Disposition"),
            ("y", "Identity"),
        ];
        for (compact, long) in table {
            assert_eq!(Name::from(compact).as_str(), long);
            assert_eq!(Name::from(compact.to_uppercase().as_str()).as_str(), long);
        }
    }

    #[test]
    fn other_names_keep_their_case_and_compare_without_it() {
        let name = Name::from("X-Sentral");
        assert_eq!(name.as_str(), "X-Sentral");
        assert!(name.is(&Name::from("x-sentral")));
        assert!(!name.is(&Name::Subject));
    }
}
