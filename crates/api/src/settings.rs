//! The seam to a part of a daemon that keeps settings by itself, which the daemon's OptionManager shows and changes.

use async_trait::async_trait;
use vim::{Fault, Value, ty};

/// Keeps settings, each with a key, and decides about their values.
#[async_trait]
pub trait OwnedSettings: Send + Sync {
    /// All settings with their present values.
    fn values(&self) -> Vec<(String, Value)>;

    fn definitions(&self) -> Vec<ty!(OptionDef)>;

    /// Checks changes without making them.
    ///
    /// # Errors
    /// `InvalidName` for an unknown setting, `InvalidArgument` for a value that cannot be set.
    fn check(&self, changes: &[(String, Value)]) -> Result<(), Fault>;

    /// Makes all of the changes or none.
    ///
    /// # Errors
    /// As for [`OwnedSettings::check`], and if they cannot be stored.
    async fn set(&self, changes: &[(String, Value)]) -> Result<(), Fault>;
}
