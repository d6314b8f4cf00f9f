//! The dag-pb and UnixFS readers take any bytes without a panic, and what they give lies in the block.

use _native::{base32, dag_pb, unixfs};

/// Bytes that look like the format more often than chance would have it.
fn bytes(seed: u64) -> Vec<u8> {
    let mut raw = vec![0; (seed % 97) as usize];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut raw);
    const LIKELY: [u8; 16] = [0x0a, 0x12, 0x18, 0x08, 0x22, 0x42, 0x15, 0, 1, 2, 4, 0x55, 0x70, 0x80, 0xff, 0x05];
    for (index, byte) in raw.iter_mut().enumerate() {
        if (seed >> (index % 8)) & 1 == 1 {
            *byte = LIKELY[(*byte & 15) as usize];
        }
    }
    raw
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut sound = 0;
    for seed in 0..400_000 {
        let raw = bytes(seed);
        match dag_pb::parse(&raw) {
            Ok(node) => {
                sound += 1;
                for link in &node.links {
                    assert!(!raw[link.cid.range()].is_empty());
                    assert!(link.name.is_none_or(|span| raw.get(span.range()).is_some()));
                }
                assert!(node.data.is_none_or(|span| raw.get(span.range()).is_some()));
            }
            Err(broken) => assert!(broken.at <= raw.len(), "{broken:?}"),
        }
        match unixfs::parse(&raw) {
            Ok(message) => assert!(message.data.is_none_or(|range| raw.get(range).is_some())),
            Err(broken) => assert!(broken.at <= raw.len(), "{broken:?}"),
        }
    }
    assert!(sound > 1000, "{sound} sound ones say little");
}

#[test]
fn every_prefix_of_a_node_is_read_or_refused() {
    let link = [&[0x12, 46, 0x0a, 36, 1, 0x55, 0x12, 0x20][..], &[7; 32], b"\x12\x03abc\x18\xac\x02"].concat();
    let node = [&link[..], &link, b"\x0a\x04\x08\x05\x12\x00"].concat();
    assert_eq!(dag_pb::parse(&node).unwrap().links.len(), 2);
    for stop in 0..node.len() {
        let whole = stop == 0 || stop == link.len() || stop == 2 * link.len();
        assert_eq!(dag_pb::parse(&node[..stop]).is_ok(), whole, "{stop}");
    }
}

#[test]
fn base32_is_that_of_rfc_4648() {
    for (data, text) in
        [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb")]
    {
        assert_eq!(base32::encode(data.as_bytes()), text);
    }
}
