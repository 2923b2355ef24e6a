//! Who gets frames to multicast groups.

use serde::{Deserialize, Serialize};

/// The words are those of `VMwareDvsMulticastFilteringMode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MulticastFiltering {
    /// All ports of a VLAN; guests filter for themselves. What vSphere calls *basic*.
    #[default]
    #[serde(rename = "legacyFiltering")]
    Legacy,
    /// Those that say by IGMP or MLD that they are members, where a router or a switch asks for them.
    #[serde(rename = "snooping")]
    Snooping,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_those_of_the_schema() {
        let schema = include_str!("../../../vim-schema/vim.schema");
        let mut lines =
            schema.lines().skip_while(|line| !line.starts_with("enum VMwareDvsMulticastFilteringMode"));
        lines.next().unwrap();
        let words: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).map(str::trim).collect();
        let ours = ["legacyFiltering", "snooping"];
        assert_eq!(words, ours);
        use serde::de::{
            IntoDeserializer,
            value::{Error, StrDeserializer},
        };
        let read = |word: &'static str| {
            let word: StrDeserializer<'_, Error> = word.into_deserializer();
            MulticastFiltering::deserialize(word)
        };
        assert_eq!(ours.map(read), [Ok(MulticastFiltering::Legacy), Ok(MulticastFiltering::Snooping)]);
    }
}
