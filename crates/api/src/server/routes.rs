//! The paths that are served.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};

use super::app::App;
use super::{capture, console, folder, json, pages, protocol, screen, soap};

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(pages::index))
        .route("/about", get(pages::about))
        .route("/sdk", post(soap::call).get(pages::wsdl_by_query))
        .route("/sdk/", post(soap::call).get(pages::wsdl_by_query))
        .route("/sdk/vimService", post(soap::call).get(pages::wsdl_by_query))
        .route("/pbm", post(soap::call))
        .route("/pbm/sdk", post(soap::call))
        .route("/sdk/vimServiceVersions.xml", get(pages::versions))
        .route("/sdk/vimService.wsdl", get(pages::wsdl))
        .route("/sdk/vim25/{release}/{type}/{id}/{member}", post(json::call).get(json::call))
        .route("/api/vcenter/system", post(json::hello))
        .route("/folder", any(folder::handle))
        .route("/folder/", any(folder::handle))
        .route("/folder/{*path}", any(folder::handle))
        .route("/screen", get(screen::handle))
        .route("/capture", get(capture::handle))
        .route("/ticket/{id}", get(console::handle))
        .fallback(protocol::handle)
        // Bodies have limits of their own, by what they are.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}
