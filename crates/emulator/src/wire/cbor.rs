//! Converts between CBOR and JSON's data model, for the values that Smithy RPC v2 uses.
//!
//! A timestamp in CBOR is a number of epoch seconds with tag 1. In JSON it is the number alone. The
//! members in [`TIMESTAMPS`] get the tag when an answer is written.

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// The deepest nesting that is read. No request of the APIs comes near this depth.
const DEPTH_MAX: usize = 64;
/// The members that are timestamps in the shapes of the entitlement and Agreement APIs.
const TIMESTAMPS: &[&str] = &[
    "ExpirationDate",
    "acceptanceTime",
    "endTime",
    "issuedTime",
    "startTime",
];

/// The reason why bytes cannot be read as a value.
#[derive(Debug, Error)]
pub(super) enum CborError {
    #[error("{0}")]
    Malformed(#[from] minicbor::decode::Error),
    #[error("the value is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("a value of type {0} is not allowed in a request")]
    Unexpected(Type),
    #[error("a number is infinite or NaN")]
    Number,
    #[error("there are more bytes after the value")]
    Trailing,
}

pub(super) fn decode(body: &[u8]) -> Result<Value, CborError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut decoder = Decoder::new(body);
    let value = item(&mut decoder, 0)?;
    if decoder.position() != body.len() {
        return Err(CborError::Trailing);
    }
    Ok(value)
}

fn item(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, CborError> {
    if depth > DEPTH_MAX {
        return Err(CborError::TooDeep);
    }
    Ok(match decoder.datatype()? {
        Type::Bool => Value::Bool(decoder.bool()?),
        Type::Null => {
            decoder.null()?;
            Value::Null
        }
        Type::Undefined => {
            decoder.undefined()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::Number(decoder.u64()?.into()),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Value::Number(decoder.i64()?.into()),
        Type::F32 => float(f64::from(decoder.f32()?))?,
        Type::F64 => float(decoder.f64()?)?,
        Type::String | Type::StringIndef => {
            let mut text = String::new();
            for piece in decoder.str_iter()? {
                text.push_str(piece?);
            }
            Value::String(text)
        }
        Type::Tag => {
            decoder.tag()?;
            item(decoder, depth + 1)?
        }
        Type::Array | Type::ArrayIndef => list(decoder, depth)?,
        Type::Map | Type::MapIndef => structure(decoder, depth)?,
        other => return Err(CborError::Unexpected(other)),
    })
}

fn float(value: f64) -> Result<Value, CborError> {
    // Some clients write integers and epoch seconds as whole floats.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Ok(Value::Number((value as i64).into()));
    }
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or(CborError::Number)
}

/// Whether a list or a map has another item. If its length is known, `left` counts down. If not, it
/// ends at the break.
fn has_more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, CborError> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn list(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, CborError> {
    let mut left = decoder.array()?;
    let mut items = Vec::new();
    while has_more(decoder, &mut left)? {
        items.push(item(decoder, depth + 1)?);
    }
    Ok(Value::Array(items))
}

fn structure(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, CborError> {
    let mut left = decoder.map()?;
    let mut members = Map::new();
    while has_more(decoder, &mut left)? {
        let Value::String(name) = item(decoder, depth + 1)? else {
            return Err(CborError::Unexpected(Type::Map));
        };
        members.insert(name, item(decoder, depth + 1)?);
    }
    Ok(Value::Object(members))
}

pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    // Writing into a vector cannot fail: its error type has no values.
    match write(&mut encoder, value) {
        Ok(()) => bytes,
        Err(never) => {
            tracing::error!(error = %never, "an answer could not be written as CBOR");
            Vec::new()
        }
    }
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write(encoder: &mut Encoder<&mut Vec<u8>>, value: &Value) -> Written {
    match value {
        Value::Null => encoder.null()?,
        Value::Bool(value) => encoder.bool(*value)?,
        Value::String(text) => encoder.str(text)?,
        Value::Number(number) => return write_number(encoder, number),
        Value::Array(items) => {
            encoder.array(items.len() as u64)?;
            for item in items {
                write(encoder, item)?;
            }
            encoder
        }
        Value::Object(members) => {
            encoder.map(members.len() as u64)?;
            for (name, value) in members {
                encoder.str(name)?;
                if TIMESTAMPS.contains(&name.as_str()) && value.is_number() {
                    encoder.tag(Tag::new(1))?;
                }
                write(encoder, value)?;
            }
            encoder
        }
    };
    Ok(())
}

fn write_number(encoder: &mut Encoder<&mut Vec<u8>>, number: &Number) -> Written {
    if let Some(value) = number.as_u64() {
        encoder.u64(value)?;
    } else if let Some(value) = number.as_i64() {
        encoder.i64(value)?;
    } else {
        encoder.f64(number.as_f64().unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_written_value_is_read_back_unchanged() {
        let value =
            json!({"a": [1, -2, "x", null, true, 1.5], "b": {"ExpirationDate": 1790000000}});
        assert_eq!(decode(&encode(&value)).expect("a value"), value);
    }

    #[test]
    fn endless_nesting_and_cut_off_bytes_are_refused() {
        assert!(decode(&[0x9f; 100_000]).is_err());
        assert!(decode(&[0xd8; 100_000]).is_err());
        let whole = encode(&json!({"a": ["b", "c"]}));
        for end in 1..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "{end}");
        }
    }
}
