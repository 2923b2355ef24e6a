//! Which ports receive frames to multicast groups.

use serde::{Deserialize, Serialize};

/// Serialized as the words of `VMwareDvsMulticastFilteringMode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MulticastFiltering {
    /// All ports of a VLAN; guests filter for themselves. vSphere's *basic*.
    #[default]
    #[serde(rename = "legacyFiltering")]
    Legacy,
    /// Ports that report membership by IGMP or MLD, where a querier asks for it.
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
