//! The UnixFS message in the data field of a dag-pb node, read.
//!
//! Fields may come in any order, the last of a number wins, and what is not known is passed over: it is plain
//! protobuf (proto2), unlike the node around it. Lengths and keys are varints in their shortest form.

use std::ops::Range;

use crate::dag_pb::{Broken, broken, varint};

/// A node of 2 MiB has room for as many links of nothing; real ones have at most 1024.
const SIZES_MAX: usize = 1 << 20;
const NANOS_MAX: u32 = 999_999_999;

/// A UnixFS message; ranges are of the bytes it was read from.
#[derive(Debug, Default)]
pub struct Message {
    pub kind: Option<u64>,
    pub data: Option<Range<usize>>,
    pub file_bytes: Option<u64>,
    pub block_bytes: Vec<u64>,
    pub hash_type: Option<u64>,
    pub fanout: Option<u64>,
    pub mode: Option<u64>,
    /// Seconds, and nanoseconds where they are known.
    pub mtime: Option<(i64, Option<u32>)>,
}

/// Read a message. Its kind may be absent or unknown: what that means is for the caller to say.
pub fn parse(raw: &[u8]) -> Result<Message, Broken> {
    let mut message = Message::default();
    let mut at = 0;
    while at < raw.len() {
        let (key, next) = varint(raw, at)?;
        let (field, wire) = (key >> 3, key & 7);
        at = match wire {
            0 => {
                let (value, end) = number(raw, next)?;
                match field {
                    1 => message.kind = Some(value),
                    3 => message.file_bytes = Some(value),
                    4 => message.block_bytes.push(value),
                    5 => message.hash_type = Some(value),
                    6 => message.fanout = Some(value),
                    7 => message.mode = Some(value),
                    _ => {}
                }
                end
            }
            2 => {
                let (length, start) = varint(raw, next)?;
                if length > (raw.len() - start) as u64 {
                    return Err(broken("a field is cut short", at));
                }
                let end = start + length as usize;
                match field {
                    2 => message.data = Some(start..end),
                    4 => packed(&raw[..end], start, &mut message.block_bytes)?,
                    8 => message.mtime = Some(time(&raw[..end], start)?),
                    _ => {}
                }
                end
            }
            1 => skip(raw, next, 8)?,
            5 => skip(raw, next, 4)?,
            _ => return Err(Broken { what: format!("wire type {wire}"), at }),
        };
        if message.block_bytes.len() > SIZES_MAX {
            return Err(broken("more than 1048576 block sizes", at));
        }
    }
    Ok(message)
}

fn packed(raw: &[u8], mut at: usize, sizes: &mut Vec<u64>) -> Result<(), Broken> {
    while at < raw.len() {
        let (size, end) = number(raw, at)?;
        sizes.push(size);
        at = end;
    }
    Ok(())
}

fn time(raw: &[u8], mut at: usize) -> Result<(i64, Option<u32>), Broken> {
    let (mut seconds, mut nanos) = (None, None);
    while at < raw.len() {
        let (key, next) = varint(raw, at)?;
        if key == 0x08 {
            let (value, end) = number(raw, next)?;
            seconds = Some(value as i64);
            at = end;
        } else if key == 0x15 {
            let end = skip(raw, next, 4)?;
            let value = raw[next..end].iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            if value > NANOS_MAX {
                return Err(broken("its time has more nanoseconds than a second", next));
            }
            nanos = Some(value);
            at = end;
        } else {
            return Err(broken("its time has an unknown field", at));
        }
    }
    Ok((seconds.ok_or_else(|| broken("its time has no seconds", at))?, nanos))
}

/// A protobuf varint: up to ten bytes, 64 bits; negative numbers take all of them.
fn number(raw: &[u8], at: usize) -> Result<(u64, usize), Broken> {
    let mut number: u64 = 0;
    for (index, &byte) in raw[at..].iter().take(10).enumerate() {
        if index == 9 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((number, at + index + 1));
        }
    }
    Err(broken("a number is cut short or too long", at))
}

fn skip(raw: &[u8], at: usize, count: usize) -> Result<usize, Broken> {
    if count > raw.len() - at {
        return Err(broken("a field is cut short", at));
    }
    Ok(at + count)
}
