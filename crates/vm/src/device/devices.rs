//! The devices of a VM by their keys. A VM has about a dozen, of which each is large, so they lie in order in one piece of memory.

use std::ops::Index;

use super::Device;

/// The devices of a VM by their keys, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices(Vec<(i32, Device)>);

impl Devices {
    pub fn new() -> Self {
        Self::default()
    }

    fn place(&self, key: i32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |device| device.0)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains_key(&self, key: &i32) -> bool {
        self.place(*key).is_ok()
    }

    pub fn get(&self, key: &i32) -> Option<&Device> {
        self.place(*key).ok().map(|at| &self.0[at].1)
    }

    pub fn get_mut(&mut self, key: &i32) -> Option<&mut Device> {
        self.place(*key).ok().map(|at| &mut self.0[at].1)
    }

    /// Puts a device at this key; returns the one that was there.
    pub fn insert(&mut self, key: i32, device: Device) -> Option<Device> {
        match self.place(key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, device)),
            Err(at) => {
                self.0.insert(at, (key, device));
                None
            }
        }
    }

    pub fn remove(&mut self, key: &i32) -> Option<Device> {
        self.place(*key).ok().map(|at| self.0.remove(at).1)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&i32, &mut Device) -> bool) {
        self.0.retain_mut(|(key, device)| keep(key, device));
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &i32> + Clone {
        self.0.iter().map(|device| &device.0)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Device> + Clone {
        self.0.iter().map(|device| &device.1)
    }

    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Device> {
        self.0.iter_mut().map(|device| &mut device.1)
    }

    pub fn into_values(self) -> impl DoubleEndedIterator<Item = Device> {
        self.0.into_iter().map(|device| device.1)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&i32, &Device)> + Clone {
        self.0.iter().map(|(key, device)| (key, device))
    }

    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&i32, &mut Device)> {
        self.0.iter_mut().map(|(key, device)| (&*key, device))
    }
}

impl Index<&i32> for Devices {
    type Output = Device;

    fn index(&self, key: &i32) -> &Device {
        self.get(key).expect("a device has this key")
    }
}

impl Extend<(i32, Device)> for Devices {
    fn extend<I: IntoIterator<Item = (i32, Device)>>(&mut self, devices: I) {
        for (key, device) in devices {
            self.insert(key, device);
        }
    }
}

impl FromIterator<(i32, Device)> for Devices {
    fn from_iter<I: IntoIterator<Item = (i32, Device)>>(devices: I) -> Self {
        let mut made = Self::default();
        made.extend(devices);
        made
    }
}

impl IntoIterator for Devices {
    type Item = (i32, Device);
    type IntoIter = std::vec::IntoIter<(i32, Device)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

type Pair<'a> = (&'a i32, &'a Device);

impl<'a> IntoIterator for &'a Devices {
    type Item = Pair<'a>;
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (i32, Device)>, fn(&'a (i32, Device)) -> Pair<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, device)| (key, device))
    }
}
