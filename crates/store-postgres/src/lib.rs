//! The shared store: PostgreSQL, for many instances and many users.
