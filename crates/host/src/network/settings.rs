//! The advanced settings of the network.

use async_trait::async_trait;
use hostnet::NetworkConfig;
use vim::Fault;

use super::Network;
use crate::system::settings::{Owner, Setting};

/// A setting that the configuration of the network holds.
struct Row {
    setting: Setting,
    get: fn(&NetworkConfig) -> Option<u32>,
    set: fn(&mut NetworkConfig, u32),
}

/// Ranges and defaults are ESXi's.
static ROWS: [Row; 1] = [Row {
    setting: Setting {
        key: "Net.TeamPolicyUpDelay",
        label: "Delay of uplinks that are up again",
        summary: "Milliseconds for which the link of an uplink has to be up until the uplink is used again",
        min: 0,
        max: 1_800_000,
        default: 100,
    },
    get: |config| config.up_delay_ms,
    set: |config, milliseconds| config.up_delay_ms = Some(milliseconds),
}];

/// The settings with their values.
pub(super) fn values(config: &NetworkConfig) -> Vec<(&'static Setting, u32)> {
    let value = |row: &'static Row| (&row.setting, (row.get)(config).unwrap_or(row.setting.default));
    ROWS.iter().map(value).collect()
}

#[async_trait]
impl Owner for Network {
    fn setting(&self, key: &str) -> Option<&'static Setting> {
        ROWS.iter().map(|row| &row.setting).find(|setting| setting.key == key)
    }

    async fn change_settings(&self, wanted: &[(&'static Setting, u32)]) -> Result<(), Fault> {
        self.change(|config, _| {
            for row in &ROWS {
                // Of a setting that is given twice, the last value counts.
                let wanted = wanted.iter().rfind(|(setting, _)| setting.key == row.setting.key);
                if let Some((_, value)) = wanted {
                    (row.set)(config, *value);
                }
            }
            Ok(())
        })
        .await
    }
}
