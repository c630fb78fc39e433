//! What is taken for the address of a store, and what is refused.

use super::*;

fn read(text: &str) -> Result<String, String> {
    let env =
        Environment { vars: [("HOME".to_owned(), "/home/me".to_owned())].into(), ..Environment::default() };
    StoreUrl::parse(text, Path::new("/base"), &env).map(|url| url.to_string())
}

#[test]
fn a_store_is_a_path_or_an_address() {
    for (text, is) in [
        ("cache.db", "sqlite:/base/cache.db"),
        ("/var/lib/larder.db", "sqlite:/var/lib/larder.db"),
        ("~/larder.db", "sqlite:/home/me/larder.db"),
        ("sqlite:./~root", "sqlite:/base/./~root"),
        ("backup~", "sqlite:/base/backup~"),
        ("sqlite:cache.db", "sqlite:/base/cache.db"),
        ("sqlite:///srv/larder.db?mode=rwc", "sqlite:/srv/larder.db"),
        ("sqlite:x.db?mode=rw&immutable=0", "sqlite:/base/x.db"),
        ("redb:cache.redb", "redb:/base/cache.redb"),
        ("redb:~/x", "redb:/home/me/x"),
        ("postgres://db/larder", "postgres://db/larder"),
        ("postgresql+asyncpg://app@db:5432/oss", "postgres://app@db:5432/oss"),
        ("postgres:///larder?host=/run/postgresql", "postgres:///larder?host=/run/postgresql"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(is), "{text}");
    }
}

#[test]
fn what_names_no_store_is_refused_with_what_would() {
    for (text, says) in [
        ("mysql://root:s3cret@db/x", "`mysql:` is not a store: write `sqlite:PATH`, `redb:PATH`"),
        ("sqlite::memory:", "names no file"),
        ("sqlite:x.db?mode=ro", "`mode=ro` cannot be: Larder writes what it fetches"),
        ("sqlite:///x.db?cache=shared&mode=memory", "`mode=memory` cannot be: Larder keeps what it fetches"),
        ("sqlite:x.db?immutable=1", "`immutable=1` cannot be: Larder writes what it fetches"),
        ("", "names no file"),
        ("~", "`~` is the home folder: write `~/NAME`"),
        ("redb:~/", "`redb:~/` is the home folder: write `redb:~/NAME`"),
        ("~root/x.db", "`~root/x.db`: write the folder in full, or `./~root/x.db`"),
        ("sqlite:~root", "`~root`: write the folder in full, or `./~root`"),
        ("postgres:larder", "this is no PostgreSQL address"),
        ("postgres://me:s3cret with blanks@db/x", "this is no PostgreSQL address"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(says) && !error.contains("s3cret"), "{text}: {error}");
    }
}

#[test]
fn what_was_meant_for_a_server_becomes_no_file() {
    for text in [
        "postgres//larder:s3cret@h/d",
        "Postgres//h/d",
        "postgers//h/d",
        "sqlite//cache.db",
        "host=x password=s3cret",
        "password=s3cret",
        "dbname=larder",
    ] {
        let error = read(text).unwrap_err();
        assert!(error.ends_with(MEANT) && !error.contains("s3cret"), "{text}: {error}");
    }
    for (text, is) in [
        ("sqlite:host=x", "sqlite:/base/host=x"),
        ("/srv//larder.db", "sqlite:/srv//larder.db"),
        ("a=b/c.db", "sqlite:/base/a=b/c.db"),
        ("postgres/cache.db", "sqlite:/base/postgres/cache.db"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(is), "{text}");
    }
}

#[test]
fn a_password_of_the_environment_is_taken_where_the_address_has_none() {
    let vars = [("PGPASSWORD".to_owned(), "s3cret/&?@ ü".to_owned())].into();
    let env = Environment { vars, ..Environment::default() };
    let of = |text: &str| PostgresUrl::of(text, &env).unwrap();
    let own = of("postgres://me@db/x?sslmode=require");
    assert_eq!(
        own.address().expose_secret(),
        "postgresql://me@db/x?sslmode=require&password=s3cret%2F%26%3F%40%20%C3%BC"
    );
    assert_eq!(own.to_string(), "postgres://me@db/x?sslmode=require");
    assert!(!own.has_password() && !format!("{own:?}").contains("s3cret"));
    assert!(
        of("postgres://db/x").address().expose_secret().ends_with("/x?password=s3cret%2F%26%3F%40%20%C3%BC")
    );
    let written = of("postgres://me:mine@db/x");
    assert_eq!(written.address().expose_secret(), "postgresql://me:mine@db/x");
}

#[test]
fn a_mistyped_parameter_is_found_without_repeating_it() {
    let slip = |text: &str| PostgresUrl::parse(text).unwrap().slip();
    assert_eq!(slip("postgres://h/d?sslmod=x"), Some("sslmode"));
    assert_eq!(slip("postgres://h/d?sslmode=x&aplication_name=y"), Some("application_name"));
    assert_eq!(slip("postgres://h/d?sslmode=x&hostaddr=::1"), None);
    assert_eq!(slip("postgres://h/d?sslkey=k"), None);
    assert_eq!(slip("postgres://me:pa?qq=s3cret@h/d"), None);
}

#[test]
fn no_password_is_shown_wherever_it_stands() {
    for text in [
        "postgres://me:s3cret@db/x",
        "postgres://me:s3cret@db/x?sslmode=require",
        "postgres://me:a@s3cret@db/x",
        "postgres://me:a/s3cret@db/x",
        "postgres://me:a?s3cret@db/x",
        "postgres://:s3cret@db/x",
        "postgres://db/x?password=s3cret&user=me",
        "postgres://db/x?sslpassword=s3cret",
        "postgres://db/x?password=s3cret&application_name=me@work",
        "postgres://me:a?b=s3cret@db/x?application_name=me@work",
        "postgres://a:1,b:2/x?options=-c%20app.key%3Ds3cret",
    ] {
        let shown = read(text).unwrap();
        assert!(!shown.contains("s3cret"), "{text} is shown as {shown}");
        let url = PostgresUrl::parse(text).unwrap();
        assert!(!format!("{url:?}").contains("s3cret"));
    }
    assert_eq!(
        read("postgres://me:s3cret@db:1/x?sslmode=require").unwrap(),
        "postgres://me@db:1/x?sslmode=require"
    );
    for (text, shown) in [
        ("postgres://db:1/x?application_name=me@work", "postgres://db:1/x"),
        ("postgres://me@db:1/x?sslmode=require&user=me@work", "postgres://me@db:1/x?sslmode=require"),
    ] {
        let url = PostgresUrl::parse(text).unwrap();
        assert_eq!((url.to_string().as_str(), url.has_password()), (shown, false), "{text}");
    }
    assert!(PostgresUrl::parse("postgres://me:s3cret@db/x").unwrap().has_password());
    assert!(!PostgresUrl::parse("postgres://me@db:5432/x").unwrap().has_password());
}
