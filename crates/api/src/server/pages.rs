//! Pages without a login: the one at `/`, the product's facts, versions and the WSDL.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use vim::{Kind, Object, Value, api_release, data_id, field, json, prop, version, wsdl};

use super::answer;
use super::app::App;
use super::listing::escape_html;

/// The end of the year 9999, since 1970.
const LAST: Duration = Duration::from_secs(253_402_300_799);
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
    answer::answer(&headers, StatusCode::OK, "application/json", out, None).await
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
    answer::answer(&headers, StatusCode::OK, XML, text, None).await
}

pub(super) async fn wsdl(headers: HeaderMap) -> Response {
    static COMPRESSED: LazyLock<Vec<u8>> = LazyLock::new(|| answer::gzip(wsdl::service_wsdl().as_bytes()));
    let is_compressed = answer::wants_gzip(&headers);
    // Made at first use, which takes some milliseconds, and the same for all clients.
    let text = tokio::task::spawn_blocking(move || match is_compressed {
        true => COMPRESSED.as_slice(),
        false => wsdl::service_wsdl().as_bytes(),
    });
    match text.await {
        Ok(text) => answer::standing(XML, text, is_compressed),
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

/// A time as `Last-Modified` writes it. Times before 1970 and after 9999, which a file may bear, become the nearest possible one.
pub(super) fn http_date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn dates_are_written_as_http_has_them() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(http_date(early), "Thu, 01 Jan 1970 00:00:00 GMT");
        let late = SystemTime::UNIX_EPOCH + LAST + Duration::from_secs(86_400);
        assert_eq!(http_date(late), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
