//! How far a host's changes are shown in the center's tree.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The number of the host's stream: marks of one stream mean nothing on another.
    stream: u64,
    /// Whether the stream's whole state is shown.
    whole: bool,
    /// The stream's mark up to which everything is shown.
    mark: u64,
}

impl Shown {
    pub(super) fn stream(self) -> u64 {
        self.stream
    }

    /// Nothing of the next stream is shown yet.
    pub(super) fn next_stream(self) -> Self {
        Self { stream: self.stream + 1, ..Self::default() }
    }

    /// Everything up to the mark is shown, and the whole state if this is `whole`.
    pub(super) fn up_to(self, mark: u64, whole: bool) -> Self {
        Self { mark: self.mark.max(mark), whole: self.whole || whole, ..self }
    }

    /// Whether everything is shown that had happened when `stream` returned `mark`. The whole state of a later stream
    /// was read after that.
    pub(super) fn covers(self, stream: u64, mark: u64) -> bool {
        if self.stream == stream { self.mark >= mark } else { self.stream > stream && self.whole }
    }
}
