//! Identities GitHub would give: numbers that stay the same between runs, and the opaque node ids made of them.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A number for a name: the same in every run and whatever else the world holds.
/// It fits the 32-bit signed integer that GraphQL's `databaseId` is.
pub(crate) fn number_of(name: &str) -> u64 {
    digest(name.to_ascii_lowercase().as_bytes()) % 0x3fff_ffff + 1
}

/// FNV-1a, for identities and `ETag`s alike: stable between runs and machines, and short.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A node id in GitHub's own form: `R_` for a repository, `U_` for a user, `O_` for an organisation, then the
/// base64 of a `MessagePack` array of zero and the number.
pub(crate) fn node_id(prefix: &str, number: u64) -> String {
    let number = (number & 0xffff_ffff) as u32;
    let mut packed = vec![0x92, 0x00, 0xce];
    packed.extend_from_slice(&number.to_be_bytes());
    format!("{prefix}_{}", base64_url(&packed))
}

/// Base64 as mail has it, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = base64_url(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Base64 in the alphabet that is safe in addresses, without padding.
pub(crate) fn base64_url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = (word >> (18 - 6 * place)) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
