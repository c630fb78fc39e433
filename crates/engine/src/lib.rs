//! The flow: read, batch, coalesce, refresh, announce, sweep. Knows ports alone.
