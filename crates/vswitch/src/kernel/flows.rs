//! Reading the flows that the programs have counted. They fill one turn while the other is read and removed.

use aya::maps::{Array, HashMap, Map, MapData, MapError};

use super::layout::{Flow, FlowKey, Watched};
use super::{Kernel, in_words};
use crate::{Error, Result};

/// The maps of flows, for a thread of its own.
pub(crate) struct Flows {
    flows: HashMap<MapData, FlowKey, Flow>,
    turn: Array<MapData, u32>,
    watched: Array<MapData, Watched>,
}

fn failed(map: &'static str) -> impl Fn(MapError) -> Error {
    move |error| Error::Map { map, reason: in_words(&error) }
}

impl Kernel {
    /// The maps of flows. They are given out once.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn take_flows(&mut self) -> Result<Flows> {
        Ok(Flows {
            flows: self.take("flows")?.try_into().map_err(failed("flows"))?,
            turn: self.take("flow_turn")?.try_into().map_err(failed("flow_turn"))?,
            watched: self.take("watched_by")?.try_into().map_err(failed("watched_by"))?,
        })
    }

    fn take(&mut self, name: &'static str) -> Result<Map> {
        self.ebpf.take_map(name).ok_or_else(|| Error::Map { map: name, reason: "is not there".into() })
    }
}

impl Flows {
    /// Has the programs fill the other turn; which one they have filled until now. Some may still be at it for a moment.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn change_turns(&mut self) -> Result<u8> {
        let turn = self.turn.get(&0, 0).map_err(failed("flow_turn"))? & 1;
        self.turn.set(0, turn ^ 1, 0).map_err(failed("flow_turn"))?;
        Ok(u8::try_from(turn).expect("is a bit"))
    }

    /// Takes all flows of a turn that is not filled.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn drain(&mut self, turn: u8, mut take: impl FnMut(&FlowKey, &Flow)) -> Result<()> {
        // An entry that is removed would lose the place of who walks over them.
        let keys: Vec<FlowKey> =
            self.flows.keys().filter_map(|key| key.ok()).filter(|key| key.turn == turn).collect();
        for key in keys {
            let flow = match self.flows.get(&key, 0) {
                Ok(flow) => flow,
                Err(MapError::KeyNotFound) => continue,
                Err(error) => return Err(failed("flows")(error)),
            };
            self.flows.remove(&key).map_err(failed("flows"))?;
            take(&key, &flow);
        }
        Ok(())
    }

    /// How many packets of a port were not counted for want of room.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn lost(&self, number: u32) -> Result<u64> {
        Ok(self.watched.get(&number, 0).map_err(failed("watched_by"))?.lost)
    }
}
