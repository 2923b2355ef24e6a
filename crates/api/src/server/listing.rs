//! Directories as HTML, as a browser shows them.

use std::fmt::Write;

use super::pages::http_date;
use crate::files::{Entry, escape};

/// A page with links to datacenters.
pub(super) fn datacenters(paths: &[String]) -> String {
    let rows = paths.iter().map(|path| (format!("/folder?dcPath={}", escape(path)), path.as_str()));
    links("Datacenters", rows)
}

/// A page with links to the datastores of a datacenter.
pub(super) fn datastores(datacenter: Option<&str>, names: &[String]) -> String {
    let rows = names.iter().map(|name| (directory_url("", datacenter, name), name.as_str()));
    links("Datastores", rows)
}

/// A page with the entries of a directory of a datastore.
pub(super) fn directory(path: &str, datacenter: Option<&str>, datastore: &str, entries: &[Entry]) -> String {
    let title = escape_html(&format!("[{datastore}] {path}"));
    let mut page = top(&title);
    page.push_str("<table><tr><th>Name</th><th>Last modified</th><th>Size</th></tr>\n");
    if let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
        let url = directory_url(&format!("{parent}/"), datacenter, datastore);
        let _ = writeln!(page, "<tr><td><a href=\"{}\">Parent directory</a></td></tr>", escape_html(&url));
    } else if !path.is_empty() {
        let url = directory_url("", datacenter, datastore);
        let _ = writeln!(page, "<tr><td><a href=\"{}\">Parent directory</a></td></tr>", escape_html(&url));
    }
    for entry in entries {
        let slash = if entry.facts.directory { "/" } else { "" };
        let url = directory_url(&format!("{path}{}{slash}", entry.name), datacenter, datastore);
        let modified = entry.facts.modified.map(http_date).unwrap_or_default();
        let size = if entry.facts.directory { String::from("-") } else { entry.facts.size.to_string() };
        let (url, name) = (escape_html(&url), escape_html(&entry.name));
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{url}\">{name}{slash}</a></td><td>{modified}</td><td>{size}</td></tr>"
        );
    }
    page.push_str("</table></body></html>\n");
    page
}

fn directory_url(path: &str, datacenter: Option<&str>, datastore: &str) -> String {
    let path: Vec<String> = path.split('/').map(escape).collect();
    let datacenter = datacenter.map(|path| format!("dcPath={}&", escape(path))).unwrap_or_default();
    format!("/folder/{}?{datacenter}dsName={}", path.join("/"), escape(datastore))
}

fn links<'a>(title: &str, rows: impl Iterator<Item = (String, &'a str)>) -> String {
    let mut page = top(title);
    page.push_str("<ul>\n");
    for (url, name) in rows {
        let _ = writeln!(page, "<li><a href=\"{}\">{}</a></li>", escape_html(&url), escape_html(name));
    }
    page.push_str("</ul></body></html>\n");
    page
}

fn top(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\
         <h1>{title}</h1>\n"
    )
}

/// Text between tags or in a quoted attribute.
pub(super) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
