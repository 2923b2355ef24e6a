//! Screenshots on `/screen?id={vm}`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use vim::{MoRef, data_id, managed_id};

use super::auth::Refusal;
use super::connection::Remote;
use super::folder::parameter;
use super::routes::App;

const PRIVILEGE: &str = "VirtualMachine.Interact.CreateScreenshot";

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let screens = app
        .site
        .screens
        .clone()
        .ok_or_else(|| Refusal::Because(StatusCode::NOT_FOUND, "there are no screens here".into()))?;
    let who = app.admit(&remote, &headers, &Method::GET, &uri).await?;
    let id = parameter(uri.query().unwrap_or_default(), "id")
        .ok_or_else(|| Refusal::Because(StatusCode::BAD_REQUEST, "name a VM with id".into()))?;
    let state = app.site.service.core.tree.snapshot();
    let vm = state.find(&MoRef::new(managed_id!(VirtualMachine), id)).map(|node| node.me().clone());
    let vm = vm.ok_or_else(|| Refusal::Because(StatusCode::NOT_FOUND, "there is no such VM".into()))?;
    app.permit(&who, &vm, PRIVILEGE, &state)?;
    drop(state);
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
