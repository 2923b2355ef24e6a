//! Lists in pages: a marker is the id of the last item of the page before.

use vapi::{Error, ErrorKind, Record, Value};

/// Items in a page, if the client does not say, and at most.
const USUAL: usize = 1_000;

/// A page, and the marker that asks for the next; none if all items have been shown.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) marker: Value,
}

/// The page that an iteration asks for. The items are in the order of their ids.
///
/// # Errors
/// `invalid_argument` for a size that is not positive.
pub(crate) fn page<T>(
    items: impl Iterator<Item = T>,
    id: impl Fn(&T) -> String,
    iteration: Option<&Record>,
) -> Result<Page<T>, Error> {
    let marker = iteration.and_then(|iteration| iteration.get("marker")).and_then(Value::as_str);
    let size = size(iteration, "page_size")?;
    let mut items: Vec<T> =
        items.filter(|item| marker.is_none_or(|marker| id(item).as_str() > marker)).take(size + 1).collect();
    let more = items.len() > size;
    items.truncate(size);
    let last = items.last().filter(|_| more).map(|item| Value::from(id(item)));
    Ok(Page { items, marker: last.unwrap_or(Value::Unset) })
}

/// The number of items that an iteration asks for.
///
/// # Errors
/// `invalid_argument` for one that is not positive.
pub(crate) fn size(iteration: Option<&Record>, field: &str) -> Result<usize, Error> {
    match iteration.and_then(|iteration| iteration.get(field)) {
        Some(Value::Long(asked)) => match usize::try_from(*asked) {
            Ok(size) if size > 0 => Ok(size.min(USUAL)),
            _ => {
                let text = format!("{field} must be positive");
                Err(Error::new(ErrorKind::InvalidArgument, "esfera.invalid_argument", text))
            }
        },
        _ => Ok(USUAL),
    }
}

/// Whether a list or set of a filter lets a value pass: one that is not set, or empty, lets all pass.
pub(crate) fn passes(filter: Option<&Record>, field: &str, fits: impl Fn(&Value) -> bool) -> bool {
    match filter.and_then(|filter| filter.get(field)) {
        Some(Value::List(wanted)) => wanted.is_empty() || wanted.iter().any(fits),
        _ => true,
    }
}

/// The flag of a filter, if it is set.
pub(crate) fn flag(filter: Option<&Record>, field: &str) -> Option<bool> {
    match filter.and_then(|filter| filter.get(field)) {
        Some(Value::Boolean(flag)) => Some(*flag),
        _ => None,
    }
}

/// A set of texts in a structure.
pub(crate) fn texts(of: &Record, field: &str) -> Vec<String> {
    match of.get(field) {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A text in a structure.
pub(crate) fn text<'a>(of: &'a Record, field: &str) -> Option<&'a str> {
    of.get(field).and_then(Value::as_str)
}

/// The error for an id that names nothing.
pub(crate) fn not_found(what: &str, id: &str) -> Error {
    Error::new(ErrorKind::NotFound, "esfera.not_found", format!("The {what} {id} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_the_last_has_no_marker() {
        let spec = |marker: Value| {
            let fields = [("page_size", Value::Long(2)), ("marker", marker)];
            Record::new("vcenter.authorization.roles.iteration_spec", fields)
        };
        let ask = |marker: Value| {
            let all = ["a", "b", "c", "d", "e"].into_iter();
            let page = page(all, |item| (*item).to_owned(), Some(&spec(marker))).unwrap();
            (page.items, page.marker)
        };
        assert_eq!(ask(Value::Unset), (vec!["a", "b"], "b".into()));
        assert_eq!(ask("b".into()), (vec!["c", "d"], "d".into()));
        assert_eq!(ask("d".into()), (vec!["e"], Value::Unset));
        let none = Record::new("vcenter.authorization.roles.iteration_spec", [("page_size", Value::Long(0))]);
        assert!(page(["a"].into_iter(), |item| (*item).to_owned(), Some(&none)).is_err());
    }
}
