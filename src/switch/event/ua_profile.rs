//! Where a phone finds its configuration (RFC 6080 §5): a URL that the phone fetches, no document of ours.

use bytes::Bytes;

/// Writes a pointer to `url`: the Content-Type bears the URL (RFC 4483 §3.2), the body says what is found there.
pub(crate) fn write(url: &str) -> (String, Bytes) {
    // The URL stands in quotes; `address` lets none through that could end them.
    let content_type = format!("message/external-body; access-type=\"URL\"; URL=\"{url}\"");
    (content_type, Bytes::from_static(b"Content-Type: application/octet-stream\r\n\r\n"))
}

/// Fills the device's name and hardware address into the configured URL: `{device}`, and `{mac}` as twelve small
/// hexadecimal digits. None when the address is asked for and not known.
pub(crate) fn address(template: &str, device: &str, mac: Option<&str>) -> Option<String> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
    };
    let mut url: String =
        template.chars().filter(|c| c.is_ascii_graphic() && *c != '"' && *c != '\\').collect();
    if url.contains("{mac}") {
        url = url.replace("{mac}", &plain(&mac?.replace(':', "")));
    }
    Some(url.replace("{device}", &plain(device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_filled_in_for_the_device() {
        let template = "https://p.example/{device}/{mac}.cfg";
        let rows = [
            ((template, "kari", Some("00:15:65:aa:bb:cc")), Some("https://p.example/kari/001565aabbcc.cfg")),
            ((template, "kari", None), None),
            (("https://p.example/{device}", "a\"; URL=\"b/c", None), Some("https://p.example/aURLbc")),
        ];
        for ((template, device, mac), expect) in rows {
            assert_eq!(address(template, device, mac).as_deref(), expect, "{template} {device}");
        }
    }

    #[test]
    fn the_pointer_is_in_the_content_type() {
        let (content_type, body) = write("https://p.example/1");
        assert_eq!(content_type, "message/external-body; access-type=\"URL\"; URL=\"https://p.example/1\"");
        assert_eq!(&body[..], b"Content-Type: application/octet-stream\r\n\r\n");
    }
}
