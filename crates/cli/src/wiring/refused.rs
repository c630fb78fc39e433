//! Why a database server cannot be used, as the store says it, with what to do about it here: where its
//! address comes from, where a password may stand, whom a certificate is trusted from.

use larder_core::StoreError;

use crate::config::{Config, PostgresUrl};
use crate::report::Complaint;

/// What the store attempts when it reads its address.
const READING: &str = "read it";

/// Where a password may stand.
const PASSWORD: &str = "set PGPASSWORD, or write `postgres://USER:PASSWORD@HOST/DATABASE` where others cannot \
                        read it: LARDER_STORE__URL, DATABASE_URL, or `[store] url` of a private larder.toml";
/// Whom certificates are trusted from.
const SIGNER: &str = "name the PEM file with the certificate of who signed it: \
                      `?sslmode=verify-full&sslrootcert=/PATH/ca.pem`; the system's are looked at otherwise";
/// A certificate of another name.
const NAME: &str =
    "write the host as its certificate names it, or check only who signed it: `?sslmode=verify-ca`";

/// What to tell of it.
pub fn complaint(error: StoreError, url: &PostgresUrl, config: &Config) -> Complaint {
    let StoreError::Failed { attempted, cause, .. } = &error else { return error.into() };
    if *attempted == READING {
        let origin = &config.store.url.origin;
        let slip = url.slip().map(|known| format!("did you mean `{known}`?"));
        return Complaint::usage(format!("{origin}: the store's address cannot be read"))
            .because(cause)
            .hints(slip);
    }
    let hint = match cause.as_str() {
        cause if cause.contains("password missing") => Some(PASSWORD),
        cause if cause.contains("UnknownIssuer") || cause.contains("trusted certificates") => Some(SIGNER),
        cause if cause.contains("not valid for name") || cause.contains("NotValidForName") => Some(NAME),
        _ => None,
    };
    Complaint::from(error).hints(hint.map(str::to_owned))
}
