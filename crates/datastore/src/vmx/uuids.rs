//! UUIDs as VMware spells them: `56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70`.

use uuid::Uuid;

/// VMware's spelling of a UUID.
pub fn format_uuid(uuid: Uuid) -> String {
    let mut text = String::with_capacity(47);
    for (n, byte) in uuid.as_bytes().iter().enumerate() {
        match n {
            0 => {}
            8 => text.push('-'),
            _ => text.push(' '),
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Reads 16 bytes in hexadecimal; spaces and dashes may stand anywhere, so the usual spelling is read as well.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let hexadecimal = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hexadecimal.then(|| Uuid::try_parse(&digits).ok()).flatten()
}
