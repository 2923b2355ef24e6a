//! Scalars as text, in the spelling of XML Schema.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{DateTime, EnumValue, Kind, Value};

/// Reads the text of a scalar or an enum; `None` if it is not of that kind, or the kind has structure.
pub(crate) fn parse(kind: Kind, text: &str) -> Option<Value> {
    let word = text.trim();
    Some(match kind {
        Kind::String | Kind::Uri | Kind::TypeName | Kind::MethodName | Kind::PropertyPath => {
            Value::String(text.into())
        }
        Kind::Boolean => Value::Boolean(match word {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return None,
        }),
        Kind::Byte => Value::Byte(word.parse().ok()?),
        Kind::Short => Value::Short(word.parse().ok()?),
        Kind::Int => Value::Int(word.parse().ok()?),
        Kind::Long => Value::Long(word.parse().ok()?),
        Kind::Float => Value::Float(match special(word) {
            Some(value) => value as f32,
            None => word.parse().ok().filter(|value: &f32| value.is_finite())?,
        }),
        Kind::Double => Value::Double(match special(word) {
            Some(value) => value,
            None => word.parse().ok().filter(|value: &f64| value.is_finite())?,
        }),
        Kind::DateTime => Value::DateTime(DateTime::parse(word)?),
        Kind::Binary => Value::Binary(parse_base64(word)?.into()),
        Kind::Enum(ty) => Value::Enum(EnumValue::parse(ty, word)?),
        Kind::Any | Kind::Data(_) | Kind::Ref(_) => return None,
    })
}

/// XML Schema's spellings of values that are not numbers, and those that Python clients send.
fn special(word: &str) -> Option<f64> {
    match word {
        "NaN" | "nan" => Some(f64::NAN),
        "INF" | "+INF" | "inf" => Some(f64::INFINITY),
        "-INF" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn parse_base64(word: &str) -> Option<Vec<u8>> {
    if word.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let word: String = word.split_ascii_whitespace().collect();
        return STANDARD.decode(word).ok();
    }
    STANDARD.decode(word).ok()
}

/// Writes a whole number in decimal.
pub(crate) fn write_integer(out: &mut Vec<u8>, value: i64) {
    const DIGITS: usize = 20;
    let mut digits = [0u8; DIGITS];
    let mut at = DIGITS;
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Magnitudes that read better without an exponent.
const PLAIN: std::ops::Range<f64> = 1e-6..1e16;

/// The shortest decimal that reads back as the same number; `None` for NaN and the infinities.
macro_rules! shortest {
    ($name:ident, $float:ty) => {
        pub(crate) fn $name(value: $float) -> Option<String> {
            if !value.is_finite() {
                None
            } else if value == 0.0 || PLAIN.contains(&f64::from(value).abs()) {
                Some(format!("{value}"))
            } else {
                Some(format!("{value:e}"))
            }
        }
    };
}

shortest!(shortest_f32, f32);
shortest!(shortest_f64, f64);

/// XML Schema's name for a number that has no decimal form.
pub(crate) fn special_name(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "INF"
    } else {
        "-INF"
    }
}

pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    let length = base64::encoded_len(bytes.len(), true).expect("the length fits a vector");
    out.resize(start + length, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the space is as long as the text");
}

impl Value {
    /// The value as the scalar or enum kind `kind`, if its text reads as one: clients send an option's value as a
    /// string where the option is a number. A value that already has that kind is returned unchanged.
    pub fn converted(&self, kind: Kind) -> Option<Self> {
        let text = match (self, kind) {
            (Self::Boolean(_), Kind::Boolean)
            | (Self::Byte(_), Kind::Byte)
            | (Self::Short(_), Kind::Short)
            | (Self::Int(_), Kind::Int)
            | (Self::Long(_), Kind::Long)
            | (Self::Float(_), Kind::Float)
            | (Self::Double(_), Kind::Double)
            | (Self::DateTime(_), Kind::DateTime)
            | (Self::Binary(_), Kind::Binary)
            | (_, Kind::Any) => return Some(self.clone()),
            (Self::Enum(value), Kind::Enum(ty)) if value.ty() == ty => return Some(self.clone()),
            (Self::String(text), _) => return parse(kind, text),
            (Self::Boolean(value), _) => value.to_string(),
            (Self::Byte(value), _) => value.to_string(),
            (Self::Short(value), _) => value.to_string(),
            (Self::Int(value), _) => value.to_string(),
            (Self::Long(value), _) => value.to_string(),
            (Self::Float(value), _) => shortest_f32(*value)?,
            (Self::Double(value), _) => shortest_f64(*value)?,
            (Self::DateTime(value), _) => value.to_string(),
            (Self::Enum(value), _) => value.name().to_owned(),
            (Self::Binary(_) | Self::Ref(_) | Self::Object(_) | Self::List(_), _) => return None,
        };
        parse(kind, &text)
    }
}
