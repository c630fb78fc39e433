//! Which addresses everybody's network has: a marketplace that is not said to be private is read
//! from no other, whatever name leads there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is the public network's: not this machine's, a private or a local network's, nor
/// one that is set aside.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_set_aside = match (a, b, c) {
        // This network, what is not in use, what a provider's customers share, what is set aside for
        // protocols and for measurements.
        (0 | 240..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) => true,
        _ => false,
    };
    !(is_set_aside
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(within) = v4_within(address) {
        return is_public_v4(within);
    }
    // All that is handed out lies in 2000::/3; of that, Teredo and documentation lead nowhere of ours.
    let [a, b, ..] = address.segments();
    let is_handed_out = a & 0xe000 == 0x2000;
    let is_set_aside = a == 0x2001 && (b < 0x0200 || b == 0x0db8);
    let is_documentation = a == 0x3fff && b < 0x1000;
    is_handed_out && !is_set_aside && !is_documentation
}

/// The older address that one of the newer carries: mapped, translated (NAT64), or 6to4.
fn v4_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at =
        |start: usize| Ipv4Addr::new(octets[start], octets[start + 1], octets[start + 2], octets[start + 3]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x0064, 0xff9b, 0, 0, 0, 0, ..] => Some(at(12)),
        [0x2002, ..] => Some(at(2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_s_network_has_is_public() {
        let public = [
            "140.82.112.3",
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:50c0:8000::153",
            "64:ff9b::101:101",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        let others = [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "3fff::1",
        ];
        for text in others {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}
