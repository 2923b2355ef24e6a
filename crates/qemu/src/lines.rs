//! Bounded lines from a stream. A peer that never ends its line costs at most the limit; a read that is cancelled
//! loses nothing, because the unfinished line stays in the reader.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Why the stream yields no further line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("a line is longer than {0} bytes")]
    TooLong(usize),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Cuts a stream into lines of at most `limit` bytes, without their line end.
pub(crate) struct LineReader<R> {
    inner: R,
    limit: usize,
    partial: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> LineReader<R> {
    pub(crate) fn new(inner: R, limit: usize) -> Self {
        LineReader { inner, limit, partial: Vec::new() }
    }

    /// The next line, or `None` at the end of the stream. An unfinished last line is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        loop {
            let chunk = self.inner.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.iter().position(|&b| b == b'\n');
            let take = end.unwrap_or(chunk.len());
            if self.partial.len() + take > self.limit {
                return Err(LineError::TooLong(self.limit));
            }
            self.partial.extend_from_slice(&chunk[..take]);
            self.inner.consume(take + usize::from(end.is_some()));
            if end.is_some() {
                let mut line = std::mem::take(&mut self.partial);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_a_torn_last_one_is_dropped() {
        let mut lines = LineReader::new(&b"one\r\n\ntwo\ntorn"[..], 10);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"two");
        assert!(lines.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_refused_before_it_is_whole() {
        let mut lines = LineReader::new(&b"0123456789A"[..], 10);
        assert!(matches!(lines.next().await, Err(LineError::TooLong(10))));
    }
}
