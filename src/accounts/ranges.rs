//! The addresses that a token may be used from.

use std::net::IpAddr;

use ipnet::IpNet;

/// Most entries of a list.
pub const MOST_RANGES: usize = 10;
/// Most characters of an entry.
pub const LONGEST_RANGE: usize = 100;

/// An address, or a range of them: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
///
/// IPv4 addresses that are written as IPv6 ones (`::ffff:192.0.2.7`) mean the IPv4 address, as
/// they do where a client's own address is compared.
#[must_use]
pub fn parse_range(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    text.parse::<IpNet>().ok().map(|net| net.trunc())
}

/// Whether an address lies in one of the ranges; one that is not known lies in none.
#[must_use]
pub fn holds(ranges: &[IpNet], address: Option<IpAddr>) -> bool {
    let Some(address) = address.map(|address| address.to_canonical()) else { return false };
    ranges.iter().any(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ]
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fall_over(text in "\\PC{0,60}") {
            let _ = parse_range(&text);
        }

        #[test]
        fn an_address_alone_holds_itself_and_no_other(one in address(), other in address()) {
            let range = [parse_range(&one.to_string()).unwrap()];
            prop_assert!(holds(&range, Some(one)));
            prop_assert_eq!(holds(&range, Some(other)), one.to_canonical() == other.to_canonical());
        }

        #[test]
        fn a_range_holds_what_begins_with_its_bits(
            net in any::<[u8; 4]>(), address in any::<[u8; 4]>(), length in 0_u8..=32,
        ) {
            let text = format!("{}/{length}", std::net::Ipv4Addr::from(net));
            let range = [parse_range(&text).unwrap()];
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let inside =
                u32::from_be_bytes(net) & mask == u32::from_be_bytes(address) & mask;
            prop_assert_eq!(holds(&range, Some(IpAddr::from(address))), inside);
        }
    }

    #[test]
    fn nonsense_is_no_range_and_an_unknown_address_lies_nowhere() {
        for text in ["", "nonsense", "192.0.2.0/33", "192.0.2", "1.2.3.4/", " 192.0.2.1", "::/129"]
        {
            assert_eq!(parse_range(text), None, "{text}");
        }
        assert!(!holds(&[parse_range("0.0.0.0/0").unwrap()], None));
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert!(holds(&[parse_range("192.0.2.0/24").unwrap()], Some(mapped)));
        assert!(holds(&[parse_range("::ffff:192.0.2.7").unwrap()], Some(mapped)));
    }
}
