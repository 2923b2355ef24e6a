//! Reading the flows that the programs count. The programs fill one turn while the other is read and removed.

use aya::maps::{Array, HashMap, Map, MapData, MapError};

use super::Kernel;
use super::maps::{failed, missing};
use crate::Result;
use crate::layout::{Flow, FlowKey, Watched};

/// The maps of flows, for another thread.
pub(crate) struct Flows {
    flows: HashMap<MapData, FlowKey, Flow>,
    turn: Array<MapData, u32>,
    watched: Array<MapData, Watched>,
}

impl Kernel {
    /// The maps of flows; available once.
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
        self.ebpf.take_map(name).ok_or_else(missing(name))
    }
}

impl Flows {
    /// Makes the programs fill the other turn, and returns the one that they filled so far. Running programs may still
    /// write to it for a moment.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn change_turns(&mut self) -> Result<u8> {
        let turn = self.turn.get(&0, 0).map_err(failed("flow_turn"))? & 1;
        self.turn.set(0, turn ^ 1, 0).map_err(failed("flow_turn"))?;
        Ok(u8::try_from(turn).expect("is a bit"))
    }

    /// Takes all flows of a turn that is not being filled.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn drain(&mut self, turn: u8, mut take: impl FnMut(&FlowKey, &Flow)) -> Result<()> {
        // Removing an entry would make an iteration lose its place.
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

    /// How many packets of a port were not counted because there was no room.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn lost(&self, number: u32) -> Result<u64> {
        Ok(self.watched.get(&number, 0).map_err(failed("watched_by"))?.lost)
    }
}
