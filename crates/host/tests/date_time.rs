//! The clock's settings of a host on a machine without a time service.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site};
use host::{ids, managers};
use vim::{Fault, Object, call, field, prop, vim};

async fn update(c: &Client, config: impl Into<Object>) -> Result<(), Fault> {
    let config: Object = config.into();
    c.invoke(&managers::date_time_system(), call!(UpdateDateTimeConfig { config: config })).await.map(drop)
}

fn zone(c: &Client) -> String {
    let config = c.get(&ids::host(), prop!(HostSystem.config)).unwrap();
    let info = config.get(field!(HostConfigInfo.dateTimeInfo)).unwrap();
    let zone = info.get(field!(HostDateTimeInfo.timeZone)).unwrap();
    zone.get(field!(HostDateTimeSystemTimeZone.key)).unwrap().to_owned()
}

#[tokio::test]
async fn a_change_that_names_ntp_is_refused_as_a_whole_where_nothing_would_use_it() {
    let c = Site::new().open().await;
    update(&c, vim!(HostDateTimeConfig { timeZone: "Europe/Berlin" })).await.unwrap();
    let refused = [
        vim!(HostDateTimeConfig { timeZone: "Asia/Tokyo", protocol: "ntp" }),
        vim!(HostDateTimeConfig {
            timeZone: "Asia/Tokyo",
            ntpConfig: HostNtpConfig { server: vec!["192.0.2.1"] },
        }),
    ];
    for config in refused {
        assert_eq!(update(&c, config).await.unwrap_err().type_name(), "NotSupported");
        assert_eq!(zone(&c), "Europe/Berlin", "the zone that was set before is back");
    }
}
