//! Screenshots on `/screen?id={vm}`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use vim::{MoRef, data_id, managed_id};

use super::connection::Remote;
use super::folder::parameter;
use super::routes::App;

const PRIVILEGE: &str = "VirtualMachine.Interact.CreateScreenshot";

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(screens) = app.site.screens.clone() else { return StatusCode::NOT_FOUND.into_response() };
    let whole = uri.path_and_query().map_or("/", |whole| whole.as_str());
    let Some((account, session)) = app.account(&remote, &headers, &Method::GET, whole).await else {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"Esfera\"")];
        return (StatusCode::UNAUTHORIZED, ask, "log in first\n").into_response();
    };
    let _active = session.as_ref().map(crate::Session::begin);
    let Some(id) = parameter(uri.query().unwrap_or_default(), "id") else {
        return (StatusCode::BAD_REQUEST, "name a VM with id\n").into_response();
    };
    let service = &app.site.service;
    let state = service.core.tree.snapshot();
    let vm = MoRef::new(managed_id!(VirtualMachine), id);
    let Some(vm) = state.find(&vm).map(|node| node.me().clone()) else {
        return (StatusCode::NOT_FOUND, "there is no such VM\n").into_response();
    };
    if !service.authority.allows(&account, &vm, PRIVILEGE, &state) {
        return (StatusCode::FORBIDDEN, format!("the privilege {PRIVILEGE} is missing\n")).into_response();
    }
    match screens.screenshot(&account, &vm).await {
        Ok(png) => {
            ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")], png).into_response()
        }
        Err(fault) => {
            let status = if fault.is_a(data_id!(ManagedObjectNotFound)) {
                StatusCode::NOT_FOUND
            } else if fault.is_a(data_id!(InvalidState)) {
                StatusCode::CONFLICT
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            (status, format!("{fault}\n")).into_response()
        }
    }
}
