//! How much of a message is read before it is refused. The receiver bounds the body; these bounds keep the memory of its
//! values in proportion to it.

/// Depth of nested elements, including the envelope.
pub const MAX_DEPTH: usize = 64;
/// Length of one text, in bytes of the message: an OVF descriptor is the longest that clients send.
pub const MAX_TEXT_BYTES: usize = 16 << 20;
/// Attributes of one element, including namespace declarations.
pub const MAX_ATTRIBUTES: usize = 64;
/// Bytes of a method's, type's or property path's name.
pub const MAX_NAME_BYTES: usize = 1024;

/// Bounds of one message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Elements in the whole message.
    pub elements: usize,
    /// Elements of one list.
    pub list_items: usize,
}

/// A server's bounds for a client. A property filter that names every one of 45,000 VMs fits.
pub const REQUEST: Limits = Limits { elements: 400_000, list_items: 100_000 };

/// Our own client's bounds for a server of its choice.
pub const RESPONSE: Limits = Limits { elements: 50_000_000, list_items: 10_000_000 };
