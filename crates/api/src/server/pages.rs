//! What needs no login: the page at `/`, the product's facts, versions and WSDL. And dates as HTTP writes them.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use vim::{Kind, Object, Value, api_release, data_id, field, json, prop, version, wsdl};

use super::body;
use super::listing::escape_html;
use super::routes::App;

const XML: &str = "text/xml; charset=utf-8";

impl App {
    /// `AboutInfo`, once the daemon has made its `ServiceInstance`.
    fn about(&self) -> Option<Arc<Object>> {
        let state = self.site.service.core.tree.snapshot();
        let instance = state.find_id("ServiceInstance")?;
        let content = instance.get(prop!(ServiceInstance.content))?;
        content.get(field!(ServiceContent.about)).cloned()
    }
}

pub(super) async fn about(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(about) = app.about() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let mut out = Vec::new();
    let kind = Kind::Data(data_id!(AboutInfo));
    json::write_value(&mut out, kind, false, &Value::Object(about), api_release());
    body::answer(&headers, StatusCode::OK, "application/json", out).await
}

pub(super) async fn index(State(app): State<Arc<App>>) -> Response {
    let about = app.about();
    let full_name = about.as_ref().and_then(|about| about.get(field!(AboutInfo.fullName)));
    let name = escape_html(full_name.unwrap_or("Esfera"));
    let what = match about.as_ref().and_then(|about| about.get(field!(AboutInfo.apiType))) {
        Some("VirtualCenter") => "the control center of a virtual data center",
        Some(_) => "a host of virtual machines",
        None => "starting",
    };
    Html(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title></head><body>\
         <h1>{name}</h1><p>This is {what}. It speaks the vSphere API at <code>/sdk</code>.</p><ul>\
         <li><a href=\"/about\">Facts about this product</a></li>\
         <li><a href=\"/folder\">Files of its datastores</a></li>\
         <li><a href=\"/sdk/vimServiceVersions.xml\">Versions of the API</a></li>\
         <li><a href=\"/sdk/vimService.wsdl\">The API as WSDL</a></li>\
         </ul></body></html>\n"
    ))
    .into_response()
}

pub(super) async fn versions(headers: HeaderMap) -> Response {
    let text = version::service_versions_xml().as_bytes().to_vec();
    body::answer(&headers, StatusCode::OK, XML, text).await
}

pub(super) async fn wsdl(headers: HeaderMap) -> Response {
    // Made at first use, which takes some milliseconds.
    let text = tokio::task::spawn_blocking(|| wsdl::service_wsdl().as_bytes().to_vec()).await;
    match text {
        Ok(text) => body::answer(&headers, StatusCode::OK, XML, text).await,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /sdk?wsdl`, as some tools ask for it.
pub(super) async fn wsdl_by_query(uri: Uri, headers: HeaderMap) -> Response {
    match uri.query() {
        Some(query) if query.eq_ignore_ascii_case("wsdl") => wsdl(headers).await,
        _ => (StatusCode::METHOD_NOT_ALLOWED, [("allow", "POST")]).into_response(),
    }
}

/// A time as `Last-Modified` writes it.
pub(super) fn http_date(at: SystemTime) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    OffsetDateTime::from(at).format(&format).unwrap_or_default()
}

/// Reads a time as `Last-Modified` writes it.
pub fn read_http_date(text: &str) -> Option<SystemTime> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    Some(PrimitiveDateTime::parse(text.trim(), &format).ok()?.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_written_and_read_as_http_has_them() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(at));
        assert_eq!(read_http_date("yesterday"), None);
    }
}
