//! Screenshots on `/screen?id={vm}`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use vim::{MoRef, data_id, managed_id};

use super::app::{App, Remote};
use super::auth::Refusal;
use super::query::parameter;
use crate::Snapshot;

const PRIVILEGE: &str = "VirtualMachine.Interact.CreateScreenshot";

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let screens = app.site.screens.clone().ok_or_else(|| {
        Refusal::Because(StatusCode::NOT_FOUND, "this server does not make screenshots".into())
    })?;
    let find = |state: &Snapshot| {
        let id = parameter(uri.query().unwrap_or_default(), "id").ok_or_else(|| {
            Refusal::Because(StatusCode::BAD_REQUEST, "name a VM with the parameter id".into())
        })?;
        let vm = state.find(&MoRef::new(managed_id!(VirtualMachine), id));
        let missing = || Refusal::Because(StatusCode::NOT_FOUND, "the VM does not exist".into());
        vm.map(|node| node.me().clone()).ok_or_else(missing)
    };
    let (who, vm) = app.admit_to(&remote, &headers, &uri, PRIVILEGE, find).await?;
    let png = screens.screenshot(&who.account, &vm).await.map_err(|fault| {
        let status = if fault.is_a(data_id!(ManagedObjectNotFound)) {
            StatusCode::NOT_FOUND
        } else if fault.is_a(data_id!(InvalidState)) {
            StatusCode::CONFLICT
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Refusal::Because(status, fault.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")], png).into_response())
}
