//! Who refreshes the store without being asked to, on this machine.

use super::Check;
use crate::config::Config;
use crate::detach::{Setup, is_refreshed_behind, server_of};
use crate::wiring::Rooms;

/// Looks who does; a store that cannot be opened has no rooms.
pub fn check(config: &Config, rooms: Option<&Rooms<'_>>) -> Option<Check> {
    let Some(server) = server_of(config) else {
        let found = "a child of a command that was served an old copy refreshes this store now";
        return is_refreshed_behind(config).then(|| Check::ok("server", found));
    };
    let apart = rooms.zip(server.setup.as_ref()).and_then(|(rooms, theirs)| {
        let ours = Setup::of(rooms, config);
        ours.differs_from(theirs, &rooms.reader().keys(), rooms, config)?.told(&server.url)
    });
    Some(match apart {
        Some((found, hint)) => Check::warn("server", found, hint),
        None => Check::ok("server", format!("the `larder serve` at {} refreshes this store", server.url)),
    })
}
