//! Request bodies that clients send packed.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::error::ApiError;

/// Undoes gzip; blocks, and holds at most `limit` bytes.
///
/// # Errors
/// [`ApiError::BodyTooLarge`] above `limit` bytes, [`ApiError::BadRequest`] when it is no gzip or
/// breaks off.
pub fn unpack(body: &[u8], limit: u64) -> Result<Vec<u8>, ApiError> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(body).take(limit.saturating_add(1)).read_to_end(&mut plain);
    read.map_err(|error| {
        ApiError::BadRequest(format!("the request body cannot be unpacked: {error}"))
    })?;
    if plain.len() as u64 > limit { Err(ApiError::BodyTooLarge(limit)) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(plain).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_body_is_unpacked_up_to_its_limit_and_no_further() {
        assert_eq!(unpack(&gzip(b"{}"), 2).unwrap(), b"{}");
        assert_eq!(unpack(&gzip(b"{} "), 2), Err(ApiError::BodyTooLarge(2)));
        let bomb = gzip(&vec![0; 8 << 20]);
        assert!(bomb.len() < 16 << 10);
        assert_eq!(unpack(&bomb, 1 << 20), Err(ApiError::BodyTooLarge(1 << 20)));
        let packed = gzip(b"{\"a\":1}");
        for bad in [&packed[..packed.len() - 4], b"{}", b""] {
            assert!(matches!(unpack(bad, 99), Err(ApiError::BadRequest(_))), "{bad:?}");
        }
    }
}
