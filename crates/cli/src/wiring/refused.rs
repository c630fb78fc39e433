//! Why a database server cannot be used, as the store says it. An address that cannot be read is a mistake in
//! the configuration, and the configuration knows where it was written.

use larder_core::StoreError;
use larder_store_postgres::READING;

use crate::config::{Config, PostgresUrl};
use crate::report::Complaint;

/// What to tell of it.
pub fn complaint(error: StoreError, url: &PostgresUrl, config: &Config) -> Complaint {
    match &error {
        StoreError::Failed { attempted: READING, cause, .. } => {
            let origin = &config.store.url.origin;
            let slip = url.slip().map(|known| format!("did you mean `{known}`?"));
            Complaint::usage(format!("{origin}: the store's address cannot be read"))
                .because(cause)
                .hints(slip)
        }
        _ => error.into(),
    }
}
