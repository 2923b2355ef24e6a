//! Stands between a server and the LDAP library, which trusts what it reads: the library's parser descends as deep as a message says,
//! and ends the process when its stack ends. Only whole messages of bounded size and depth pass.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

/// The largest message that a server may send: one entry of the directory.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The deepest nesting of a message. An entry of a directory has six levels.
pub const MAX_NESTING: usize = 24;
/// All that a server may send in answer to one question.
const MAX_TOTAL_BYTES: usize = 32 << 20;

/// `SEQUENCE`, which every message of LDAP is.
const SEQUENCE: u8 = 0x30;

/// Carries requests to the server as they are, and answers from it after their check, until one side ends.
pub(crate) async fn relay(
    server: impl AsyncRead + AsyncWrite + Unpin,
    library: UnixStream,
) -> io::Result<()> {
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let (mut from_library, mut to_library) = library.into_split();
    let requests = async {
        let sent = tokio::io::copy(&mut from_library, &mut to_server).await;
        sent.and(to_server.shutdown().await)
    };
    let answers = async {
        let mut total = 0;
        while let Some(message) = read_message(&mut from_server).await? {
            total += message.len();
            if total > MAX_TOTAL_BYTES {
                return Err(io::Error::other("the server's answers exceed 32 MiB"));
            }
            to_library.write_all(&message).await?;
        }
        Ok(())
    };
    // The library has nothing to wait for once the server is gone, and the other way round.
    tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    }
}

/// The next message; none at the end of the connection.
pub(crate) async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::with_capacity(64);
    loop {
        match message_length(&message).map_err(io::Error::other)? {
            Some(length) => {
                let have = message.len();
                if have < length {
                    message.resize(length, 0);
                    from.read_exact(&mut message[have..]).await?;
                }
                check(&message).map_err(io::Error::other)?;
                return Ok(Some(message));
            }
            None => match from.read_u8().await {
                Ok(byte) => message.push(byte),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && message.is_empty() => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        }
    }
}

/// The length of the message that begins so; none if more bytes must tell it.
pub(crate) fn message_length(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    match bytes.first() {
        None => return Ok(None),
        Some(&SEQUENCE) => {}
        Some(_) => return Err("the server does not speak LDAP"),
    }
    match header(bytes)? {
        Some((content, length)) if content + length <= MAX_MESSAGE_BYTES => Ok(Some(content + length)),
        Some(_) => Err("the server sent a message of more than 1 MiB"),
        None => Ok(None),
    }
}

/// Where the content of an element begins, and its length; none if bytes are missing.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, &'static str> {
    let (Some(tag), Some(&first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err("the server sent a tag of several bytes, which LDAP does not have");
    }
    let many = usize::from(first & 0x7f);
    match first {
        0..=0x7f => Ok(Some((2, usize::from(first)))),
        0x80 => Err("the server sent an element without a length"),
        // Four bytes reach 4 GiB.
        _ if many > 4 => Err("the server sent a length of more than four bytes"),
        _ => Ok(bytes
            .get(2..2 + many)
            .map(|length| (2 + many, length.iter().fold(0, |all, byte| (all << 8) | usize::from(*byte))))),
    }
}

/// Checks that every element of a message lies in its parent and none lies too deep, and that the message has the parts on which the
/// library relies: a number and an operation.
pub(crate) fn check(message: &[u8]) -> Result<(), &'static str> {
    const BROKEN: &str = "the server sent an element that is longer than its parent";
    // Ends of the open elements.
    let mut open: Vec<usize> = Vec::with_capacity(MAX_NESTING);
    let mut at = 0;
    let mut parts = 0;
    loop {
        while open.last() == Some(&at) {
            open.pop();
        }
        let end = match open.last() {
            Some(end) => *end,
            None if at == 0 => message.len(),
            None => break,
        };
        let (content, length) = header(&message[at..end])?.ok_or(BROKEN)?;
        if open.len() == 1 {
            let tag = message[at];
            let fits = match parts {
                // The number of the request to which this belongs.
                0 => tag == 0x02 && (1..=4).contains(&length),
                // An operation of the application's class.
                1 => tag & 0xc0 == 0x40,
                // Controls.
                2 => tag == 0xa0,
                _ => false,
            };
            if !fits {
                return Err("the server sent a message that is not LDAP's");
            }
            parts += 1;
        }
        let begin = at + content;
        let ends = begin.checked_add(length).filter(|ends| *ends <= end).ok_or(BROKEN)?;
        let is_constructed = message[at] & 0x20 != 0;
        if is_constructed {
            if open.len() == MAX_NESTING {
                return Err("the server sent a message that is nested too deeply");
            }
            open.push(ends);
            at = begin;
        } else {
            if open.is_empty() {
                return Err("the server sent a message that is not LDAP's");
            }
            at = ends;
        }
    }
    if parts < 2 { Err("the server sent a message without an operation") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A bind response: success.
    const BOUND: [u8; 14] =
        [0x30, 0x0c, 0x02, 0x01, 0x01, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00];

    fn nested(levels: usize) -> Vec<u8> {
        let mut inner = vec![];
        for _ in 0..levels {
            let mut outer = vec![0x30, 0x84];
            outer.extend(u32::try_from(inner.len()).expect("small").to_be_bytes());
            outer.extend(inner);
            inner = outer;
        }
        let mut message = vec![0x02, 0x01, 0x01];
        let mut operation = vec![0x64, 0x84];
        operation.extend(u32::try_from(inner.len()).expect("small").to_be_bytes());
        operation.extend(inner);
        message.extend(operation);
        let mut all = vec![0x30, 0x84];
        all.extend(u32::try_from(message.len()).expect("small").to_be_bytes());
        all.extend(message);
        all
    }

    #[test]
    fn a_sound_message_passes() {
        assert_eq!(message_length(&BOUND), Ok(Some(14)));
        assert_eq!(check(&BOUND), Ok(()));
        assert_eq!(check(&nested(MAX_NESTING - 2)), Ok(()));
    }

    #[test]
    fn a_message_that_is_nested_too_deeply_is_refused() {
        assert!(check(&nested(MAX_NESTING - 1)).is_err());
        assert!(check(&nested(5_000)).is_err());
    }

    #[test]
    fn a_message_that_lies_about_its_size_is_refused() {
        assert!(message_length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(message_length(&[0x30, 0x80]).is_err());
        assert!(message_length(b"HTTP/1.1").is_err());
        let mut lies = BOUND;
        lies[6] = 0x70;
        assert!(check(&lies).is_err());
    }

    #[test]
    fn a_message_without_an_operation_is_refused() {
        assert!(check(&[0x30, 0x00]).is_err());
        assert!(check(&[0x30, 0x03, 0x02, 0x01, 0x01]).is_err());
        assert!(check(&[0x30, 0x05, 0x02, 0x01, 0x01, 0x04, 0x00]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_bring_the_check_down(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = message_length(&bytes);
            let _ = check(&bytes);
            if bytes.len() > 2 {
                bytes[0] = SEQUENCE;
                bytes[1] = u8::try_from((bytes.len() - 2).min(127)).expect("small");
                let _ = check(&bytes);
            }
        }
    }
}
