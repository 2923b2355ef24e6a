//! An authority for tests: lets everybody do everything.

use api::{Account, Authority, Snapshot};
use async_trait::async_trait;
use vim::{Fault, MoRef};

/// Lets everybody do everything.
pub struct Anybody;

#[async_trait]
impl Authority for Anybody {
    async fn login(&self, _user: &str, _password: &str) -> Result<Account, Fault> {
        Ok(root())
    }

    async fn login_by_certificate(&self, _certificate: &api::tls::Chain) -> Result<Account, Fault> {
        Ok(root())
    }

    fn allows(&self, _account: &Account, _object: &MoRef, _privilege: &str, _state: &Snapshot) -> bool {
        true
    }

    fn roles(&self, _account: &Account, _object: &MoRef, _state: &Snapshot) -> Vec<i32> {
        vec![-1]
    }
}

/// The account of everybody.
pub fn root() -> Account {
    Account { name: "root".into(), full_name: "Administrator".into(), ..Account::default() }
}
