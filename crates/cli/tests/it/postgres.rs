//! A PostgreSQL database of a test's own, in the cluster that `./test` starts.

use std::process::Command;

/// A database, dropped with it. All talk goes through `psql`, as another program's would.
pub(crate) struct Database {
    name: String,
}

/// The address of the cluster, with its password.
#[expect(clippy::disallowed_methods, reason = "`./test` says where its cluster is by a variable")]
fn cluster() -> String {
    let named = std::env::var("LARDER_TEST_POSTGRES");
    named.expect("start one: eval \"$(ci/postgres.sh start target/postgres)\"")
}

fn in_cluster(name: &str) -> String {
    let cluster = cluster();
    let (server, _) = cluster.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn psql(url: &str, sql: &str) -> String {
    let ran =
        Command::new("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url]).output();
    let ran = ran.expect("psql comes with PostgreSQL");
    assert!(ran.status.success(), "{sql}\n{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

impl Database {
    pub(crate) fn new() -> Self {
        // One name for each that this and other test processes make.
        let unique = tempfile::NamedTempFile::new().unwrap();
        let unique =
            unique.path().file_name().unwrap().to_str().unwrap().trim_start_matches(".tmp").to_lowercase();
        let name = format!("it_{}_{unique}", std::process::id());
        psql(&cluster(), &format!("CREATE DATABASE {name}"));
        Database { name }
    }

    /// Its address, with the password.
    pub(crate) fn url(&self) -> String {
        in_cluster(&self.name)
    }

    /// Host and port of its server.
    pub(crate) fn server(&self) -> String {
        let url = self.url();
        let (_, rest) = url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    }

    /// The password in its address.
    pub(crate) fn password(&self) -> String {
        let url = self.url();
        let (credentials, _) = url.split_once('@').unwrap();
        credentials.rsplit_once(':').unwrap().1.to_owned()
    }

    /// What a query says, columns with `|` between.
    pub(crate) fn ask(&self, sql: &str) -> String {
        psql(&self.url(), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(&cluster(), &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
