//! Text as XML content: runs of plain bytes are copied whole.

/// Bytes that need a check. 0xEF begins the two characters above U+FFFD that XML forbids.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        special[control] = control != b'\t' as usize && control != b'\n' as usize;
        control += 1;
    }
    special[b'&' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[b'"' as usize] = true;
    special[0xEF] = true;
    special
};

/// The replacement of a character that XML 1.0 cannot express.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Appends `text` as element content or attribute value.
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !SPECIAL[usize::from(*byte)] {
            continue;
        }
        let (instead, length): (&[u8], usize) = match byte {
            b'&' => (b"&amp;", 1),
            b'<' => (b"&lt;", 1),
            b'>' => (b"&gt;", 1),
            b'"' => (b"&quot;", 1),
            b'\r' => (b"&#xD;", 1),
            0xEF if matches!(bytes[at..], [_, 0xBF, 0xBE | 0xBF, ..]) => (REPLACEMENT, 3),
            0xEF => continue,
            _ => (REPLACEMENT, 1),
        };
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(instead);
        done = at + length;
    }
    out.extend_from_slice(&bytes[done..]);
}
