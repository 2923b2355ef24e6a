//! Files of datastores on `/folder`.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio_util::io::{ReaderStream, StreamReader};

use super::app::{App, Remote};
use super::auth::Admitted;
use super::limits::STALL_TIME;
use super::listing;
use super::pages::http_date;
use super::query::parameter;
use crate::Account;
use crate::files::{ByteRange, Download, FileError, Files, Target, Written, unescape};

/// Bytes of a file that are read at once.
const CHUNK_BYTES: usize = 256 << 10;

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Response {
    let Some(files) = app.site.files.clone() else { return StatusCode::NOT_FOUND.into_response() };
    let (head, body) = request.into_parts();
    let who = match app.admit(&remote, &head.headers, &head.method, &head.uri).await {
        Ok(who) => who,
        Err(refusal) => return refusal.into_response(),
    };
    let (ended, upload_ended) = (who.ended(), who.ended());
    let Admitted { account, active, .. } = who;
    let path = head.uri.path();
    let path = path.strip_prefix("/folder").unwrap_or(path).trim_start_matches('/');
    let Some(path) = unescape(path) else {
        return (StatusCode::BAD_REQUEST, "the path is not UTF-8\n").into_response();
    };
    let query = head.uri.query().unwrap_or_default();
    let (datacenter, datastore) = (parameter(query, "dcPath"), parameter(query, "dsName"));
    let result = match datastore {
        None if head.method != Method::GET && head.method != Method::HEAD => {
            return (StatusCode::BAD_REQUEST, "name a datastore with dsName\n").into_response();
        }
        None => roots(&*files, &account, datacenter.as_deref()).await,
        Some(datastore) => {
            let target = Target { datacenter, datastore, path };
            match head.method {
                Method::GET => read(&*files, &account, &target, &head.headers).await,
                Method::HEAD => facts(&*files, &account, &target).await,
                Method::PUT => write(files, account, target, &head.headers, body, upload_ended).await,
                Method::DELETE => {
                    let work = tokio::spawn(async move { files.delete(&account, &target).await });
                    finished(work.await).map(|()| StatusCode::NO_CONTENT.into_response())
                }
                _ => {
                    let allow = [(header::ALLOW, "GET, HEAD, PUT, DELETE")];
                    return (StatusCode::METHOD_NOT_ALLOWED, allow).into_response();
                }
            }
        }
    };
    let mut response = result.unwrap_or_else(|error| failed(&error));
    if let Some(active) = active {
        response = response.map(|body| {
            // A transfer ends with its session.
            let stream = body.into_data_stream().take_until(Box::pin(ended));
            let held = stream.map(move |chunk| {
                let _active = &active;
                chunk
            });
            Body::from_stream(held)
        });
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn roots(
    files: &dyn Files,
    account: &Account,
    datacenter: Option<&str>,
) -> Result<Response, FileError> {
    if datacenter.is_none() {
        let datacenters = files.datacenters(account).await?;
        if !datacenters.is_empty() {
            return Ok(Html(listing::datacenters(&datacenters)).into_response());
        }
    }
    let datastores = files.datastores(account, datacenter).await?;
    Ok(Html(listing::datastores(datacenter, &datastores)).into_response())
}

async fn read(
    files: &dyn Files,
    account: &Account,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Response, FileError> {
    if target.path.is_empty() || target.path.ends_with('/') {
        return list(files, account, target).await;
    }
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(read_range);
    let Download { size, modified, range, body } = match files.read(account, target, asked).await {
        Ok(download) => download,
        Err(error) if is_directory(files, account, target, &error).await => {
            let path = format!("{}/", target.path);
            return list(files, account, &Target { path, ..target.clone() }).await;
        }
        Err(error) => return Err(error),
    };
    let length = range.end - range.start;
    let stream = ReaderStream::with_capacity(tokio::io::AsyncReadExt::take(body, length), CHUNK_BYTES);
    let mut response = Response::new(Body::from_stream(stream));
    if asked.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        insert(&mut response, header::CONTENT_RANGE, &range);
    }
    describe(&mut response, length, modified);
    Ok(response)
}

/// The page of a directory, whose path ends in `/`.
async fn list(files: &dyn Files, account: &Account, target: &Target) -> Result<Response, FileError> {
    let entries = files.list(account, target).await?;
    let datacenter = target.datacenter.as_deref();
    Ok(Html(listing::directory(&target.path, datacenter, &target.datastore, &entries)).into_response())
}

/// Whether a file could not be read because it is a directory.
async fn is_directory(files: &dyn Files, account: &Account, target: &Target, error: &FileError) -> bool {
    let unlike =
        matches!(error, FileError::NoPermission(_) | FileError::BadRange { .. } | FileError::Unavailable);
    !unlike && files.facts(account, target).await.is_ok_and(|facts| facts.directory)
}

async fn facts(files: &dyn Files, account: &Account, target: &Target) -> Result<Response, FileError> {
    let facts = files.facts(account, target).await?;
    let mut response = Response::new(Body::empty());
    if facts.directory {
        insert(&mut response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    } else {
        describe(&mut response, facts.size, facts.modified);
    }
    Ok(response)
}

fn describe(response: &mut Response, length: u64, modified: Option<std::time::SystemTime>) {
    insert(response, header::CONTENT_TYPE, "application/octet-stream");
    insert(response, header::CONTENT_LENGTH, &length.to_string());
    insert(response, header::ACCEPT_RANGES, "bytes");
    if let Some(modified) = modified {
        insert(response, header::LAST_MODIFIED, &http_date(modified));
    }
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

async fn write(
    files: Arc<dyn Files>,
    account: Account,
    target: Target,
    headers: &HeaderMap,
    body: Body,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<Response, FileError> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let why = "send files without Content-Encoding\n";
        return Ok((StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response());
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Ok((StatusCode::BAD_REQUEST, "send files as a whole\n").into_response());
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let begun = (body.into_data_stream(), Box::pin(ended));
    let chunks = stream::unfold(begun, |(mut chunks, mut ended)| async move {
        let chunk = tokio::select! {
            biased;
            // A transfer ends with its session.
            () = &mut ended => Err(io::Error::new(io::ErrorKind::PermissionDenied, "the session has ended")),
            chunk = tokio::time::timeout(STALL_TIME, chunks.next()) => match chunk {
                Ok(chunk) => chunk?.map_err(io::Error::other),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends no more bytes")),
            },
        };
        Some((chunk, (chunks, ended)))
    });
    let body = Box::new(StreamReader::new(Box::pin(chunks.into_stream())));
    // A task of its own, which ends properly when the client hangs up: the body fails then, and the write is undone.
    let work = tokio::spawn(async move { files.write(&account, &target, length, body).await });
    Ok(match finished(work.await)? {
        Written::Created => StatusCode::CREATED.into_response(),
        Written::Replaced => StatusCode::OK.into_response(),
    })
}

fn finished<T>(ended: Result<Result<T, FileError>, tokio::task::JoinError>) -> Result<T, FileError> {
    ended.unwrap_or_else(|error| Err(FileError::Io(io::Error::other(error))))
}

/// Reads `Range`, and ignores one that is malformed or has several parts (RFC 9110, 14.2).
fn read_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return Some(ByteRange::Last(last.parse().ok()?));
    }
    let first = first.parse().ok()?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    last.is_none_or(|last| last >= first).then_some(ByteRange::From { first, last })
}

fn failed(error: &FileError) -> Response {
    let status = match error {
        FileError::NotFound => StatusCode::NOT_FOUND,
        FileError::NoPermission(_) => StatusCode::FORBIDDEN,
        FileError::BadPath(_) => StatusCode::BAD_REQUEST,
        FileError::BadRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        FileError::Conflict => StatusCode::CONFLICT,
        FileError::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        FileError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FileError::Io(error) => {
            tracing::warn!(%error, "a file transfer failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let mut response = (status, format!("{error}\n")).into_response();
    if let FileError::BadRange { size } = error {
        insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_malformed_ones_ignored() {
        for (text, range) in [
            ("bytes=0-9", Some(ByteRange::From { first: 0, last: Some(9) })),
            ("bytes=5-", Some(ByteRange::From { first: 5, last: None })),
            ("bytes=-5", Some(ByteRange::Last(5))),
            ("bytes=9-5", None),
            ("bytes=0-1,4-5", None),
            ("bytes=x-", None),
            ("bytes=-", None),
            ("lines=1-2", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(read_range(text), range, "{text}");
        }
    }
}
